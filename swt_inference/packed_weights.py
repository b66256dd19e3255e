"""Exported weights rearranged for the kernels: inputs first, heads merged and cut into cache-sized blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import ModelConfig
from swt_core.errors import IncompatibleModelError
from swt_inference.kernels import LANES, SMALL_PRODUCT, Float32

ROWS_AT_ONCE = 8


class Stack(NamedTuple):
    """Residual blocks: see `residual_stack_nb`."""

    first: Float32
    second: Float32
    vectors: Float32


class HeadWeights(NamedTuple):
    """Heads on one trunk: see `heads_nb`."""

    norm: Float32
    weight: Float32
    bias: Float32
    bins: int


def norm_names(name: str) -> tuple[str, str]:
    """The two parameters of a LayerNorm."""
    return f"{name}.weight", f"{name}.bias"


class WeightReader:
    """Rearranges torch's ``[out, in]`` matrices into the kernels' layout."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], model: ModelConfig) -> None:
        self._weights = weights
        self._model = model
        self._width = model.hidden_dim

    def _get(self, name: str, shape: tuple[int, ...]) -> Float32:
        found = self._weights.get(name)
        if found is None or found.shape != shape:
            raise IncompatibleModelError(
                f"weight {name} is {'absent' if found is None else found.shape}, "
                f"the configuration needs {shape}",
                remedy="use the model configuration the checkpoint was trained with",
            )
        return np.asarray(found, np.float32)

    def vector(self, name: str) -> Float32:
        return self._get(name, (self._width,))

    def matrix(self, name: str, inputs: int, outputs: int) -> Float32:
        return np.ascontiguousarray(self._get(name, (outputs, inputs)).T)

    def stack(self, name: str) -> Stack:
        width = self._width
        blocks = [f"{name}.{i}" for i in range(self._model.residual_blocks)]
        return Stack(
            np.stack([self.matrix(f"{block}.first.weight", width, width) for block in blocks]),
            np.stack([self.matrix(f"{block}.second.weight", width, width) for block in blocks]),
            np.stack(
                [
                    np.stack(
                        [
                            self.vector(f"{block}.first.bias"),
                            self.vector(f"{block}.norm.weight"),
                            self.vector(f"{block}.norm.bias"),
                            self.vector(f"{block}.second.bias"),
                        ]
                    )
                    for block in blocks
                ]
            ),
        )

    def heads(self, name: str, scalar: str, extra: str | None, extras: int) -> HeadWeights:
        """One matrix of all outputs, cut into blocks of columns that allow `ROWS_AT_ONCE`."""
        bins, width = self._model.support_bins, self._width
        weights = [self.matrix(f"{name}.outputs.{scalar}.weight", width, bins)]
        biases = [self._get(f"{name}.outputs.{scalar}.bias", (bins,))]
        if extra is not None:
            weights.append(self.matrix(f"{name}.outputs.{extra}.weight", width, extras))
            biases.append(self._get(f"{name}.outputs.{extra}.bias", (extras,)))
        blocks = -(-(bins + extras) * width * ROWS_AT_ONCE // SMALL_PRODUCT)
        columns = -(-(bins + extras) // (blocks * LANES)) * LANES
        whole = np.zeros((width, blocks * columns), np.float32)
        whole[:, : bins + extras] = np.concatenate(weights, axis=1)
        bias = np.zeros(blocks * columns, np.float32)
        bias[: bins + extras] = np.concatenate(biases)
        norm = [np.zeros(width, np.float32), *(self.vector(f"{name}.{part}") for part in norm_names("norm"))]
        cut = whole.reshape(width, blocks, columns).transpose(1, 0, 2)
        return HeadWeights(np.stack(norm), np.ascontiguousarray(cut), bias.reshape(blocks, columns), bins)
