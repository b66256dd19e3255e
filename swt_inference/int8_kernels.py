"""Network layers on bytes: int8 weights with a scale per output, uint8 rows with a scale and an offset each.

A row x ≈ low + step·q with q in 0…255, a column w ≈ scale·v with v in −127…127; then
``x·w = scale·(step·Σqv + low·Σv)``. Sums are exact integers, so a row's result is the same bits in any batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_inference.int8_tiles import GROUP, TILE_COLUMNS, products_nb
from swt_inference.kernels import (
    PADDING,
    Float32,
    expected_value_nb,
    inverse_transform_nb,
    norm_relu_nb,
)

Int8 = NDArray[np.int8]


class Int8Matrix(NamedTuple):
    """``weight`` ``[..., tiles, groups, 32, 4]``; ``scale`` and ``shift`` (scale·Σv) ``[..., 32·tiles]``."""

    weight: Int8
    scale: Float32
    shift: Float32


class Int8Scratch(NamedTuple):
    """Work space of the products."""

    inputs: NDArray[np.uint8]  # [R, 4·groups], zero beyond the inputs
    low: Float32  # [R]
    step: Float32  # [R]
    sums: NDArray[np.int32]  # [R, 32·tiles]


def int8_matrix(weight: Float32) -> Int8Matrix:
    """Quantise ``[K, N]`` by output; padded with zeros to whole tiles and groups."""
    inputs, outputs = weight.shape
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127.0
    rows, columns = -(-inputs // GROUP) * GROUP, -(-outputs // TILE_COLUMNS) * TILE_COLUMNS
    whole = np.zeros((rows, columns), np.int8)
    whole[:inputs, :outputs] = np.rint(weight / scale)
    scales = np.zeros(columns, np.float32)
    scales[:outputs] = scale
    tiles = whole.reshape(rows // GROUP, GROUP, columns // TILE_COLUMNS, TILE_COLUMNS).transpose(2, 0, 3, 1)
    shift = scales * whole.sum(axis=0, dtype=np.int64)
    return Int8Matrix(np.ascontiguousarray(tiles), scales, shift.astype(np.float32))


def stacked(matrices: list[Int8Matrix]) -> Int8Matrix:
    """One more axis in front."""
    return Int8Matrix(*(np.stack(parts) for parts in zip(*matrices, strict=True)))


@nb.njit(cache=True, forceinline=True, fastmath={"nsz", "nnan", "contract"})
def quantise_nb(rows: int, values: Float32, inputs: NDArray[np.uint8], low: Float32, step: Float32) -> None:
    """``values[:rows]`` as ``low + step·inputs``; zero is always inside a row's range."""
    width = values.shape[1]
    for i in range(rows):
        row, output = values[i], inputs[i]
        lowest, highest = np.float32(0.0), np.float32(0.0)
        for j in range(width):
            lowest = row[j] if row[j] < lowest else lowest
            highest = row[j] if row[j] > highest else highest
        size = (highest - lowest) / np.float32(255.0)
        size = size if size > np.float32(1e-30) else np.float32(1e-30)
        inverse = np.float32(1.0) / size
        for j in range(width):
            # Never negative: adding a half and cutting off rounds.
            output[j] = np.uint8(np.int32((row[j] - lowest) * inverse + np.float32(0.5)))
        low[i], step[i] = lowest, size


@nb.njit(cache=True, forceinline=True)
def int8_linear_nb(
    rows: int,
    values: Float32,
    weight: Int8,
    inputs: NDArray[np.uint8],
    low: Float32,
    step: Float32,
    sums: NDArray[np.int32],
) -> None:
    """Sums of ``values[:rows] @ weight`` before scaling."""
    quantise_nb(rows, values, inputs, low, step)
    products_nb(rows, inputs, weight, sums)


@nb.njit(cache=True, forceinline=True, fastmath={"nsz", "nnan", "contract"})
def scaled_row_nb(
    sums: NDArray[np.int32], step: float, low: float, scale: Float32, shift: Float32, output: Float32
) -> None:
    """One row of a product in float32."""
    for j in range(output.shape[0]):
        output[j] = scale[j] * (step * np.float32(sums[j])) + shift[j] * low


@nb.njit(cache=True, forceinline=True, fastmath={"nsz", "nnan", "contract"})
def int8_residual_stack_nb(
    rows: int,
    values: Float32,
    first_weight: Int8,
    first_scale: Float32,
    first_shift: Float32,
    second_weight: Int8,
    second_scale: Float32,
    second_shift: Float32,
    vectors: Float32,
    hidden: Float32,
    inputs: NDArray[np.uint8],
    low: Float32,
    step: Float32,
    sums: NDArray[np.int32],
) -> None:
    """`swt_inference.kernels.residual_stack_nb` on bytes; ``values`` themselves stay float32."""
    width = values.shape[1]
    for block in range(vectors.shape[0]):
        int8_linear_nb(rows, values, first_weight[block], inputs, low, step, sums)
        for i in range(rows):
            scaled_row_nb(sums[i], step[i], low[i], first_scale[block], first_shift[block], hidden[i])
        norm_relu_nb(rows, hidden, vectors[block, 0], vectors[block, 1], vectors[block, 2])
        int8_linear_nb(rows, hidden, second_weight[block], inputs, low, step, sums)
        scale, shift, bias = second_scale[block], second_shift[block], vectors[block, 3]
        for i in range(rows):
            row, total, size, offset = values[i], sums[i], step[i], low[i]
            for j in range(width):
                row[j] += scale[j] * (size * np.float32(total[j])) + shift[j] * offset + bias[j]


@nb.njit(cache=True, forceinline=True)
def int8_heads_nb(
    rows: int,
    values: Float32,
    norm: Float32,
    weight: Int8,
    scale: Float32,
    shift: Float32,
    bias: Float32,
    bins: int,
    atoms: Float32,
    transformed: bool,
    hidden: Float32,
    inputs: NDArray[np.uint8],
    low: Float32,
    step: Float32,
    sums: NDArray[np.int32],
    powers: Float32,
    line: Float32,
    scalars: Float32,
    extras: Float32,
) -> None:
    """`swt_inference.kernels.heads_nb` on bytes; the matrix needs no cutting, it stays in the cache whole."""
    hidden[:rows] = values[:rows]
    norm_relu_nb(rows, hidden, norm[0], norm[1], norm[2])
    int8_linear_nb(rows, hidden, weight, inputs, low, step, sums)
    padded, size = atoms.shape[0], bias.shape[0]
    for i in range(rows):
        scaled_row_nb(sums[i], step[i], low[i], scale, shift, line[:size])
        for j in range(size):
            line[j] += bias[j]
        for j in range(extras.shape[1]):
            extras[i, j] = line[bins + j]
        line[bins:padded] = PADDING
        scalar = expected_value_nb(line[:padded], atoms, powers)
        scalars[i] = inverse_transform_nb(scalar) if transformed else scalar
