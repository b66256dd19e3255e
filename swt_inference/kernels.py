"""Network layers as numba kernels over BLAS: rows of a batch in, rows out, no allocation of weights.

Matrix products go through ``np.dot`` in slices of few rows: OpenBLAS has a path without packing for small
products (m·k·n ≤ 10⁶) that is about twice as fast. A product of one row takes another path with other
rounding, so no slice ever has one row: a row's result is then the same bits in any batch.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

NORM_EPSILON: Final = np.float32(1e-5)
LOG2E: Final = np.float32(1.4426950408889634)
SMALL_PRODUCT: Final = 1_000_000
LANES: Final = 16
PADDING: Final = np.float32(-1e30)
# Reassociation lets the reductions vectorise; the order of a row's sums is fixed at compile time.
# forceinline: each caller would bring a copy of its own, rounded otherwise, and the first one loaded would
# serve them all; a result's bits would depend on what a process compiled or loaded before.
_FAST: Final = {"reassoc", "nsz", "contract", "arcp", "nnan"}


@nb.njit(cache=True)
def linear_nb(inputs: Float32, weight: Float32, outputs: Float32, rows: int) -> None:
    """``outputs[:rows] = inputs[:rows] @ weight``; ``rows`` ≥ 2, weight ``[K, N]``."""
    step = SMALL_PRODUCT // (weight.shape[0] * weight.shape[1])
    step = 8 if step >= 9 else (4 if step >= 5 else 2)
    start = 0
    while start < rows:
        stop = start + step
        if stop + 1 >= rows:
            stop = rows
        np.dot(inputs[start:stop], weight, outputs[start:stop])
        start = stop


@nb.njit(cache=True, forceinline=True, fastmath=_FAST)
def norm_relu_nb(rows: int, values: Float32, bias: Float32, gain: Float32, shift: Float32) -> None:
    """In place, per row: relu(LayerNorm(values + bias) · gain + shift)."""
    width = values.shape[1]
    inverse_width = np.float32(1.0) / np.float32(width)
    zero = np.float32(0.0)
    for i in range(rows):
        row = values[i]
        total = zero
        for j in range(width):
            row[j] += bias[j]
            total += row[j]
        mean = total * inverse_width
        square = zero
        for j in range(width):
            centred = row[j] - mean
            square += centred * centred
        scale = np.float32(1.0) / np.sqrt(square * inverse_width + NORM_EPSILON)
        for j in range(width):
            y = (row[j] - mean) * scale * gain[j] + shift[j]
            row[j] = y if y > zero else zero


@nb.njit(cache=True, forceinline=True, fastmath=_FAST)
def normalise_nb(rows: int, values: Float32, outputs: Float32) -> None:
    """LayerNorm without parameters of each row."""
    width = values.shape[1]
    inverse_width = np.float32(1.0) / np.float32(width)
    for i in range(rows):
        row, output = values[i], outputs[i]
        total = np.float32(0.0)
        for j in range(width):
            total += row[j]
        mean = total * inverse_width
        square = np.float32(0.0)
        for j in range(width):
            centred = row[j] - mean
            square += centred * centred
        scale = np.float32(1.0) / np.sqrt(square * inverse_width + NORM_EPSILON)
        for j in range(width):
            output[j] = (row[j] - mean) * scale


@nb.njit(cache=True, forceinline=True)
def add_bias_nb(rows: int, values: Float32, bias: Float32, outputs: Float32) -> None:
    """``outputs += values + bias`` per row."""
    width = outputs.shape[1]
    for i in range(rows):
        row, output = values[i], outputs[i]
        for j in range(width):
            output[j] += row[j] + bias[j]


@nb.njit(cache=True, forceinline=True)
def residual_stack_nb(
    rows: int,
    values: Float32,
    first: Float32,
    second: Float32,
    vectors: Float32,
    hidden: Float32,
    scratch: Float32,
) -> None:
    """Residual blocks in place on ``values[:rows]``.

    ``first``, ``second``: ``[blocks, H, H]``; ``vectors``: ``[blocks, 4, H]`` = first bias, norm gain, norm
    shift, second bias.
    """
    for block in range(first.shape[0]):
        linear_nb(values, first[block], hidden, rows)
        norm_relu_nb(rows, hidden, vectors[block, 0], vectors[block, 1], vectors[block, 2])
        linear_nb(hidden, second[block], scratch, rows)
        add_bias_nb(rows, scratch, vectors[block, 3], values)


@nb.njit(cache=True, forceinline=True, fastmath=_FAST)
def peak_nb(values: Float32, scratch: Float32) -> float:
    """The largest value, by halving: a plain maximum would not vectorise. ``scratch``: half as long."""
    size = values.shape[0] // 2
    for j in range(size):
        left, right = values[j], values[size + j]
        scratch[j] = left if left > right else right
    while size > LANES:
        half = size // 2
        lower, upper = scratch[:half], scratch[size - half : size]
        for j in range(half):
            lower[j] = lower[j] if lower[j] > upper[j] else upper[j]
        size -= half
    peak = scratch[0]
    for j in range(1, size):
        peak = max(peak, scratch[j])
    return peak


@nb.njit(cache=True, forceinline=True, fastmath=_FAST)
def exponentials_nb(values: Float32, peak: float, powers: Float32) -> None:
    """``exp(values − peak)`` as the product of ``values`` (overwritten) and ``powers``.

    2^x is a polynomial on [0, 1) times a power of two built from its exponent bits, because ``exp`` itself
    would not vectorise; relative error below 2e-7.
    """
    bits = powers.view(np.int32)
    for j in range(values.shape[0]):
        t = (values[j] - peak) * LOG2E
        t = t if t > np.float32(-125.0) else np.float32(-125.0)
        whole = np.floor(t)
        f = t - whole
        p = np.float32(1.535336188319500e-4)
        p = p * f + np.float32(1.339887440266574e-3)
        p = p * f + np.float32(9.618437357674640e-3)
        p = p * f + np.float32(5.550332471162809e-2)
        p = p * f + np.float32(2.402264791363012e-1)
        p = p * f + np.float32(6.931472028550421e-1)
        values[j] = p * f + np.float32(1.0)
        # (e + 127)·2²³ is the bit pattern of 2^e, and exact in float32.
        bits[j] = np.int32((whole + np.float32(127.0)) * np.float32(8388608.0))


@nb.njit(cache=True, forceinline=True, fastmath=_FAST)
def weighted_mean_nb(values: Float32, powers: Float32, atoms: Float32) -> float:
    """Σ w·atom / Σ w with w = values · powers."""
    mass = np.float32(0.0)
    moment = np.float32(0.0)
    for j in range(values.shape[0]):
        weight = values[j] * powers[j]
        mass += weight
        moment += weight * atoms[j]
    return float(moment / mass)


@nb.njit(cache=True, forceinline=True)
def expected_value_nb(logits: Float32, atoms: Float32, powers: Float32) -> float:
    """Σ p·atom under softmax(logits); lengths equal and even, ``logits`` overwritten, padding −1e30."""
    peak = peak_nb(logits, powers)
    exponentials_nb(logits, peak, powers)
    return weighted_mean_nb(logits, powers, atoms)


@nb.njit(cache=True, forceinline=True)
def inverse_transform_nb(value: float) -> float:
    """MuZero's h⁻¹, see `swt_models.support`."""
    epsilon = 1e-3
    shifted = abs(value) + 1.0 + epsilon
    root = 2.0 * shifted / (np.sqrt(1.0 + 4.0 * epsilon * shifted) + 1.0)
    result = root * root - 1.0
    return result if value >= 0.0 else -result


@nb.njit(cache=True, forceinline=True, fastmath=_FAST)
def biased_row_nb(products: Float32, row: int, rows: int, bias: Float32, line: Float32) -> None:
    """``line`` = one row's products plus bias; ``products`` holds ``[blocks, rows, W]``."""
    blocks, width = bias.shape
    for block in range(blocks):
        start = (block * rows + row) * width
        source = products[start : start + width]
        target = line[block * width : (block + 1) * width]
        offset = bias[block]
        for j in range(width):
            target[j] = source[j] + offset[j]


@nb.njit(cache=True, forceinline=True)
def heads_nb(
    rows: int,
    values: Float32,
    norm: Float32,
    weight: Float32,
    bias: Float32,
    bins: int,
    atoms: Float32,
    transformed: bool,
    hidden: Float32,
    space: Float32,
    powers: Float32,
    line: Float32,
    scalars: Float32,
    extras: Float32,
) -> None:
    """``relu(LayerNorm(values))`` through one matrix: a support head's scalar and further logits.

    The matrix lies in blocks of columns, each small enough to stay in the cache while all rows pass.

    Args:
        rows: rows to compute, ≥ 2 and ≥ ``len(scalars)``.
        values: ``[rows, H]``.
        norm: ``[3, H]`` = zeros, gain, shift.
        weight, bias: ``[blocks, H, W]``, ``[blocks, W]``; ``bins`` columns of the support, then extras.
        bins: bins of the support.
        atoms: padded with zeros to a multiple of 16.
        transformed: whether the support is in MuZero's transformed value.
        hidden, space, powers, line: work space, ``space`` at least ``blocks · rows · W`` long.
        scalars, extras: out, ``[n]`` and ``[n, E]``.
    """
    blocks, _, width = weight.shape
    hidden[:rows] = values[:rows]
    norm_relu_nb(rows, hidden, norm[0], norm[1], norm[2])
    size = rows * width
    for block in range(blocks):
        product = space[block * size : (block + 1) * size].reshape(rows, width)
        linear_nb(hidden, weight[block], product, rows)
    padded = atoms.shape[0]
    for i in range(scalars.shape[0]):
        biased_row_nb(space, i, rows, bias, line)
        for j in range(extras.shape[1]):
            extras[i, j] = line[bins + j]
        line[bins:padded] = PADDING
        scalar = expected_value_nb(line[:padded], atoms, powers)
        scalars[i] = inverse_transform_nb(scalar) if transformed else scalar
