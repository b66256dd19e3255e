"""Sixteen numbers as one value inside numba kernels: the lanes of a SIMD register.

Sixteen windows are transformed at a time, one in each lane, so a kernel reads like the scalar algorithm
while each operation is one vector instruction (LLVM splits it on narrower machines). Lanes never mix:
what a lane computes cannot depend on its neighbours, which is why a live window equals the same window
in any batch bit for bit.

Real lanes live in rows of C-contiguous ``[n, 16]`` float32 arrays, complex lanes in ``[n, 2, 16]`` (real
parts, then imaginary). Kernels have ``+``, ``−`` and ``*`` — also by a float32 or complex64 scalar — and
the functions below; nothing checks bounds. With ``NUMBA_DISABLE_JIT=1`` lanes are numpy rows.
"""
# ruff: noqa: ARG001 — numba fixes the arguments of these hooks, used or not

from __future__ import annotations

import operator
from typing import Any, Final

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, register_model, type_callable
from numpy.typing import NDArray

LANES: Final = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_PAIR = ir.LiteralStructType([_VECTOR, _VECTOR])
# Contraction makes a·b + c one fused instruction: the same one for every caller on a machine.
_FLAGS = ("contract",)


class LanesType(types.Type):
    """numba's type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="float32x16")


class ComplexLanesType(types.Type):
    """numba's type of sixteen complex64 lanes."""

    def __init__(self) -> None:
        super().__init__(name="complex64x16")


_REAL = LanesType()
_COMPLEX = ComplexLanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _VECTOR)


@register_model(ComplexLanesType)
class _ComplexLanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _PAIR)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, everywhere)


def _parts(builder: Any, pair: Any) -> tuple[Any, Any]:
    return builder.extract_value(pair, 0), builder.extract_value(pair, 1)


def _pair(builder: Any, real: Any, imaginary: Any) -> Any:
    pair = builder.insert_value(ir.Constant(_PAIR, ir.Undefined), real, 0)
    return builder.insert_value(pair, imaginary, 1)


def _add_real(builder: Any, left: Any, right: Any) -> Any:
    return builder.fadd(left, right, flags=_FLAGS)


def _subtract_real(builder: Any, left: Any, right: Any) -> Any:
    return builder.fsub(left, right, flags=_FLAGS)


def _multiply_real(builder: Any, left: Any, right: Any) -> Any:
    return builder.fmul(left, right, flags=_FLAGS)


def _scale_real(builder: Any, lanes: Any, scalar: Any) -> Any:
    return builder.fmul(lanes, _splat(builder, scalar), flags=_FLAGS)


def _add_complex(builder: Any, left: Any, right: Any) -> Any:
    (a, b), (c, d) = _parts(builder, left), _parts(builder, right)
    return _pair(builder, _add_real(builder, a, c), _add_real(builder, b, d))


def _subtract_complex(builder: Any, left: Any, right: Any) -> Any:
    (a, b), (c, d) = _parts(builder, left), _parts(builder, right)
    return _pair(builder, _subtract_real(builder, a, c), _subtract_real(builder, b, d))


def _scale_complex(builder: Any, pair: Any, scalar: Any) -> Any:
    (a, b), (c, d) = _parts(builder, pair), _parts(builder, scalar)
    c, d = _splat(builder, c), _splat(builder, d)
    real = _subtract_real(builder, _multiply_real(builder, a, c), _multiply_real(builder, b, d))
    imaginary = _add_real(builder, _multiply_real(builder, a, d), _multiply_real(builder, b, c))
    return _pair(builder, real, imaginary)


def _define(function: Any, left: Any, right: Any, result: Any, build: Any) -> None:
    """Give a Python operator its meaning for one pair of operand types."""

    @type_callable(function)
    def type_operator(context: Any) -> Any:
        return lambda a, b: result if (a, b) == (left, right) else None

    @lower_builtin(function, left, right)
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return build(builder, *arguments)


_define(operator.add, _REAL, _REAL, _REAL, _add_real)
_define(operator.sub, _REAL, _REAL, _REAL, _subtract_real)
_define(operator.mul, _REAL, _REAL, _REAL, _multiply_real)
_define(operator.mul, _REAL, types.float32, _REAL, _scale_real)
_define(operator.add, _COMPLEX, _COMPLEX, _COMPLEX, _add_complex)
_define(operator.sub, _COMPLEX, _COMPLEX, _COMPLEX, _subtract_complex)
_define(operator.mul, _COMPLEX, types.complex64, _COMPLEX, _scale_complex)


def _row(context: Any, builder: Any, kind: Any, array_and_row: Any, vectors: int) -> list[Any]:
    """Pointers to the vectors of one row."""
    array, row = array_and_row
    data = context.make_array(kind)(context, builder, array).data
    first = builder.mul(row, ir.Constant(row.type, LANES * vectors))
    return [
        builder.bitcast(
            builder.gep(data, [builder.add(first, ir.Constant(row.type, LANES * i))]), _VECTOR.as_pointer()
        )
        for i in range(vectors)
    ]


def _holds_lanes(array: Any, dimensions: int) -> bool:
    return (
        isinstance(array, types.Array)
        and array.dtype == types.float32
        and array.ndim == dimensions
        and array.layout == "C"
    )


@intrinsic
def load_nb(typing_context: Any, array: Any, row: Any) -> Any:
    """Row ``row`` of a ``[n, 16]`` array."""
    if not _holds_lanes(array, 2):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (pointer,) = _row(context, builder, signature.args[0], arguments, 1)
        return builder.load(pointer, align=4, typ=_VECTOR)

    return _REAL(array, types.intp), generate


@intrinsic
def store_nb(typing_context: Any, array: Any, row: Any, lanes: Any) -> Any:
    """Write row ``row`` of a ``[n, 16]`` array."""
    if not _holds_lanes(array, 2):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (pointer,) = _row(context, builder, signature.args[0], arguments[:2], 1)
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _REAL), generate


@intrinsic
def load_complex_nb(typing_context: Any, array: Any, row: Any) -> Any:
    """Row ``row`` of a ``[n, 2, 16]`` array."""
    if not _holds_lanes(array, 3):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = _row(context, builder, signature.args[0], arguments, 2)
        return _pair(builder, *(builder.load(pointer, align=4, typ=_VECTOR) for pointer in pointers))

    return _COMPLEX(array, types.intp), generate


@intrinsic
def store_complex_nb(typing_context: Any, array: Any, row: Any, lanes: Any) -> Any:
    """Write row ``row`` of a ``[n, 2, 16]`` array."""
    if not _holds_lanes(array, 3):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = _row(context, builder, signature.args[0], arguments[:2], 2)
        for part, pointer in zip(_parts(builder, arguments[2]), pointers, strict=True):
            builder.store(part, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _COMPLEX), generate


@intrinsic
def zero_nb(typing_context: Any) -> Any:
    """Real lanes of zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_VECTOR, [0.0] * LANES)

    return _REAL(), generate


@intrinsic
def complex_nb(typing_context: Any, real: Any, imaginary: Any) -> Any:
    """Complex lanes from real and imaginary lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _pair(builder, *arguments)

    return _COMPLEX(_REAL, _REAL), generate


@intrinsic
def conjugate_nb(typing_context: Any, lanes: Any) -> Any:
    """Complex conjugate."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real, imaginary = _parts(builder, arguments[0])
        return _pair(builder, real, builder.fneg(imaginary))

    return _COMPLEX(_COMPLEX), generate


@intrinsic
def times_i_nb(typing_context: Any, lanes: Any) -> Any:
    """Multiplication by the imaginary unit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real, imaginary = _parts(builder, arguments[0])
        return _pair(builder, builder.fneg(imaginary), real)

    return _COMPLEX(_COMPLEX), generate


@intrinsic
def modulus_nb(typing_context: Any, lanes: Any) -> Any:
    """Absolute value of complex lanes, as real lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real, imaginary = _parts(builder, arguments[0])
        squared = _add_real(
            builder, _multiply_real(builder, real, real), _multiply_real(builder, imaginary, imaginary)
        )
        square_root = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.sqrt.v{LANES}f32"
        )
        return builder.call(square_root, [squared])

    return _REAL(_COMPLEX), generate


@nb.njit
def aligned_rows_nb(rows: int) -> NDArray[np.float32]:
    """An uninitialised ``[rows, 16]`` array whose rows start on 64-byte boundaries."""
    raw = np.empty(rows * LANES + LANES, np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + rows * LANES].reshape(rows, LANES)


if config.DISABLE_JIT:
    from swt_features.plain_lanes import (  # noqa: F401
        complex_nb,
        conjugate_nb,
        load_complex_nb,
        load_nb,
        modulus_nb,
        store_complex_nb,
        store_nb,
        times_i_nb,
        zero_nb,
    )
