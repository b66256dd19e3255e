"""Exact integer products of a tile: uint8 rows times an int8 matrix into int32 sums.

One AVX-512 VNNI instruction multiplies and adds 64 pairs of bytes; nothing saturates, so the plain loop that
stands in on other processors gives the same integers, slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import llvmlite.binding as llvm
import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

TILE_COLUMNS: Final = 32
GROUP: Final = 4  # bytes that one lane multiplies at once
_LANES: Final = 16
_INSTRUCTION: Final = "llvm.x86.avx512.vpdpbusd.512"


def _host_has_vnni() -> bool:
    # With a processor named by hand numba compiles for that one, of which nothing is known here.
    named = nb.config.CPU_NAME or nb.config.CPU_FEATURES
    # The instruction's operand types are those of LLVM 22.
    known = llvm.llvm_version_info[0] >= 22
    return known and not named and bool(llvm.get_host_cpu_features().get("avx512vnni", False))


HAS_VNNI: Final = _host_has_vnni()


def _vnni_tile(rows: int) -> Any:
    """A tile of ``rows`` rows and `TILE_COLUMNS` columns, its sums in registers all the way down."""

    @intrinsic
    def tile(
        _context: Any, _x: Any, _x_stride: Any, _weight: Any, _sums: Any, _sums_stride: Any, _groups: Any
    ) -> tuple[Any, Callable[..., Any]]:
        signature = types.void(*(types.intp,) * 6)

        def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            x, x_stride, weight, sums, sums_stride, groups = arguments
            word, address = ir.IntType(32), ir.IntType(64)
            vector = ir.VectorType(word, _LANES)
            octets = ir.VectorType(ir.IntType(8), 4 * _LANES)
            accumulate = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector, octets, octets]), _INSTRUCTION
            )

            def at(base: Any, offset: Any, kind: Any) -> Any:
                return builder.inttoptr(builder.add(base, offset), kind.as_pointer())

            before = builder.block
            loop, after = builder.append_basic_block("groups"), builder.append_basic_block("stored")
            builder.branch(loop)
            builder.position_at_end(loop)
            group = builder.phi(address)
            group.add_incoming(address(0), before)
            vectors = TILE_COLUMNS // _LANES
            totals = [[builder.phi(vector) for _ in range(vectors)] for _ in range(rows)]
            start = builder.mul(group, address(TILE_COLUMNS * GROUP))
            weights = [
                builder.load(at(weight, builder.add(start, address(64 * part)), octets), align=1)
                for part in range(vectors)
            ]
            place = builder.mul(group, address(GROUP))
            updated = []
            for row in range(rows):
                offset = builder.add(builder.mul(x_stride, address(row)), place)
                bytes4 = builder.load(at(x, offset, word), align=1)
                single = builder.insert_element(ir.Constant(vector, ir.Undefined), bytes4, word(0))
                zeros = ir.Constant(ir.VectorType(word, _LANES), [0] * _LANES)
                spread = builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)
                spread = builder.bitcast(spread, octets)
                updated.append(
                    [
                        builder.call(accumulate, [totals[row][part], spread, weights[part]])
                        for part in range(vectors)
                    ]
                )
            following = builder.add(group, address(1))
            more = builder.icmp_signed("<", following, groups)
            builder.cbranch(more, loop, after)
            group.add_incoming(following, loop)
            for row in range(rows):
                for part in range(vectors):
                    totals[row][part].add_incoming(ir.Constant(vector, [0] * _LANES), before)
                    totals[row][part].add_incoming(updated[row][part], loop)
            builder.position_at_end(after)
            for row in range(rows):
                for part in range(vectors):
                    offset = builder.add(builder.mul(sums_stride, address(row)), address(64 * part))
                    builder.store(updated[row][part], at(sums, offset, vector), align=1)
            return _target.get_dummy_value()

        return signature, generate

    return tile


_tile8, _tile4, _tile2, _tile1 = (_vnni_tile(rows) for rows in (8, 4, 2, 1))


@nb.njit(cache=True)
def vnni_products_nb(
    rows: int, inputs: NDArray[np.uint8], weight: NDArray[np.int8], sums: NDArray[np.int32]
) -> None:
    """`plain_products_nb` through AVX-512 VNNI."""
    tiles, groups = weight.shape[0], weight.shape[1]
    x_stride, sums_stride = inputs.strides[0], sums.strides[0]
    x, w, s = inputs.ctypes.data, weight.ctypes.data, sums.ctypes.data
    for tile in range(tiles):
        matrix = w + tile * weight.strides[0]
        column = s + tile * 32 * 4
        row = 0
        while row + 8 <= rows:
            _tile8(x + row * x_stride, x_stride, matrix, column + row * sums_stride, sums_stride, groups)
            row += 8
        if row + 4 <= rows:
            _tile4(x + row * x_stride, x_stride, matrix, column + row * sums_stride, sums_stride, groups)
            row += 4
        if row + 2 <= rows:
            _tile2(x + row * x_stride, x_stride, matrix, column + row * sums_stride, sums_stride, groups)
            row += 2
        if row < rows:
            _tile1(x + row * x_stride, x_stride, matrix, column + row * sums_stride, sums_stride, groups)


@nb.njit(cache=True)
def plain_products_nb(
    rows: int, inputs: NDArray[np.uint8], weight: NDArray[np.int8], sums: NDArray[np.int32]
) -> None:
    """``sums[:rows] = inputs[:rows] @ weight`` in exact integers.

    Args:
        rows: rows to compute.
        inputs: ``[R, 4·groups]``.
        weight: ``[tiles, groups, 32, 4]``: columns by tile, their bytes in groups of four.
        sums: out, ``[R, 32·tiles]``.
    """
    tiles, groups = weight.shape[0], weight.shape[1]
    for row in range(rows):
        for tile in range(tiles):
            out = sums[row, tile * 32 : tile * 32 + 32]
            out[:] = 0
            for group in range(groups):
                for column in range(32):
                    total = np.int32(0)
                    for byte in range(4):
                        x = np.int32(inputs[row, group * 4 + byte])
                        total += x * np.int32(weight[tile, group, column, byte])
                    out[column] += total


products_nb = vnni_products_nb if HAS_VNNI else plain_products_nb
