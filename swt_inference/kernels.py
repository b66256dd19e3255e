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
# Reassociation lets the reductions vectorise; the order of a row's sums is fixed at compile time.
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


@nb.njit(cache=True, fastmath=_FAST)
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


@nb.njit(cache=True, fastmath=_FAST)
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


@nb.njit(cache=True)
def add_bias_nb(rows: int, values: Float32, bias: Float32, outputs: Float32) -> None:
    """``outputs += values + bias`` per row."""
    width = outputs.shape[1]
    for i in range(rows):
        row, output = values[i], outputs[i]
        for j in range(width):
            output[j] += row[j] + bias[j]


@nb.njit(cache=True)
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


@nb.njit(cache=True, fastmath=_FAST)
def expected_value_nb(logits: Float32, bias: Float32, atoms: Float32, powers: Float32) -> float:
    """Σ p·atom under softmax(logits + bias) in two passes.

    All four arrays have one length, a multiple of 16; the padding's bias is −1e30. ``logits`` is
    overwritten. 2^x comes from a polynomial on [0, 1) and the exponent bits, because ``exp`` alone would
    not vectorise; its relative error is below 2e-7.
    """
    size = atoms.shape[0]
    peaks = np.empty(LANES, np.float32)
    for j in range(LANES):
        logits[j] += bias[j]
        peaks[j] = logits[j]
    for start in range(LANES, size, LANES):
        for j in range(LANES):
            x = logits[start + j] + bias[start + j]
            logits[start + j] = x
            peaks[j] = x if x > peaks[j] else peaks[j]
    peak = peaks[0]
    for j in range(1, LANES):
        peak = max(peak, peaks[j])
    bits = powers.view(np.int32)
    for j in range(size):
        t = (logits[j] - peak) * LOG2E
        t = t if t > np.float32(-125.0) else np.float32(-125.0)
        whole = np.floor(t)
        f = t - whole
        p = np.float32(1.535336188319500e-4)
        p = p * f + np.float32(1.339887440266574e-3)
        p = p * f + np.float32(9.618437357674640e-3)
        p = p * f + np.float32(5.550332471162809e-2)
        p = p * f + np.float32(2.402264791363012e-1)
        p = p * f + np.float32(6.931472028550421e-1)
        logits[j] = p * f + np.float32(1.0)
        bits[j] = (np.int32(whole) + np.int32(127)) << np.int32(23)
    mass = np.float32(0.0)
    moment = np.float32(0.0)
    for j in range(size):
        weight = logits[j] * powers[j]
        mass += weight
        moment += weight * atoms[j]
    return float(moment / mass)


@nb.njit(cache=True)
def inverse_transform_nb(value: float) -> float:
    """MuZero's h⁻¹, see `swt_models.support`."""
    epsilon = 1e-3
    shifted = abs(value) + 1.0 + epsilon
    root = 2.0 * shifted / (np.sqrt(1.0 + 4.0 * epsilon * shifted) + 1.0)
    result = root * root - 1.0
    return result if value >= 0.0 else -result


@nb.njit(cache=True)
def heads_nb(
    rows: int,
    values: Float32,
    norm: Float32,
    weight: Float32,
    bias: Float32,
    atoms: Float32,
    transformed: bool,
    hidden: Float32,
    space: Float32,
    powers: Float32,
    scalars: Float32,
    extras: Float32,
) -> None:
    """``relu(LayerNorm(values))`` through one matrix: a support head's scalar and further logits.

    ``norm``: ``[3, H]`` = zeros, gain, shift; ``weight``: ``[H, S + E]`` with the support's S columns (a
    multiple of 16) first; ``scalars``: ``[rows]`` out; ``extras``: ``[rows, E']`` out, E' ≤ E logits;
    ``space``: at least ``rows · (S + E)`` long.
    """
    support = atoms.shape[0]
    columns = weight.shape[1]
    logits = space[: rows * columns].reshape(rows, columns)
    hidden[:rows] = values[:rows]
    norm_relu_nb(rows, hidden, norm[0], norm[1], norm[2])
    linear_nb(hidden, weight, logits, rows)
    for i in range(scalars.shape[0]):
        scalar = expected_value_nb(logits[i, :support], bias[:support], atoms, powers)
        scalars[i] = inverse_transform_nb(scalar) if transformed else scalar
        for j in range(extras.shape[1]):
            extras[i, j] = logits[i, support + j] + bias[support + j]
