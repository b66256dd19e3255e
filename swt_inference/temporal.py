"""The micro profile's TCN with attention pooling in numba: see `swt_models.representation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.errors import IncompatibleModelError
from swt_inference.kernels import Float32, linear_nb, norm_relu_nb
from swt_models.architecture import TCN_CHANNELS, TCN_DILATIONS, TCN_TAPS
from swt_models.observation import ObservationShape


class TemporalWeights(NamedTuple):
    """All layers at one width: the first layer's few columns are padded with zeros."""

    taps: Float32  # [layers, taps, W, W]
    vectors: Float32  # [layers, 3, W]: bias, norm gain, norm shift
    dilations: NDArray[np.int64]
    residual: NDArray[np.bool_]
    attention: Float32  # [W]
    bars: int
    columns: int

    @property
    def channels(self) -> int:
        """Width of the pooled series."""
        return int(self.attention.shape[0])


def temporal_weights(
    weights: Mapping[str, NDArray[np.float32]], observation: ObservationShape
) -> TemporalWeights:
    """Collect the TCN's weights.

    Raises:
        IncompatibleModelError: a weight is missing or has another shape.
    """
    layers, width = len(TCN_DILATIONS), TCN_CHANNELS
    taps = np.zeros((layers, TCN_TAPS, width, width), np.float32)
    vectors = np.zeros((layers, 3, width), np.float32)
    residual = np.ones(layers, np.bool_)
    try:
        for layer in range(layers):
            name = f"representation.layers.{layer}"
            inputs = observation.columns if layer == 0 else width
            taps[layer, :, :inputs] = weights[f"{name}.weight"]
            for place, part in enumerate(("bias", "norm.weight", "norm.bias")):
                vectors[layer, place] = weights[f"{name}.{part}"]
            residual[layer] = inputs == width
        attention = np.ascontiguousarray(weights["representation.attention.weight"][0], np.float32)
    except (KeyError, ValueError) as error:
        raise IncompatibleModelError(
            f"the checkpoint holds no temporal representation of this version: {error}",
            remedy="choose the feature profile the checkpoint was trained with",
        ) from error
    return TemporalWeights(
        taps,
        vectors,
        np.asarray(TCN_DILATIONS, np.int64),
        residual,
        attention,
        observation.bars,
        observation.columns,
    )


@nb.njit(cache=True)
def pooled_series_nb(
    market: Float32,
    taps: Float32,
    vectors: Float32,
    dilations: NDArray[np.int64],
    residual: NDArray[np.bool_],
    attention: Float32,
    bars: int,
    columns: int,
    outputs: Float32,
) -> None:
    """``outputs[:, :W]`` = attention-pooled TCN of each row's ``[bars, columns]`` series.

    The attention's bias cancels in the softmax. One observation at a time: its 32 bars are the rows of the
    products.
    """
    width = attention.shape[0]
    series = np.zeros((bars, width), np.float32)
    total = np.zeros((bars, width), np.float32)
    product = np.zeros((bars, width), np.float32)
    scores = np.zeros(bars, np.float32)
    for i in range(market.shape[0]):
        series[:] = 0.0
        for t in range(bars):
            for j in range(columns):
                series[t, j] = market[i, t * columns + j]
        for layer in range(taps.shape[0]):
            total[:] = 0.0
            for tap in range(taps.shape[1]):
                shift = tap * dilations[layer]
                if shift >= bars:
                    continue
                linear_nb(series, taps[layer, tap], product, bars)
                for t in range(shift, bars):
                    for j in range(width):
                        total[t, j] += product[t - shift, j]
            norm_relu_nb(bars, total, vectors[layer, 0], vectors[layer, 1], vectors[layer, 2])
            for t in range(bars):
                for j in range(width):
                    series[t, j] = total[t, j] + (series[t, j] if residual[layer] else np.float32(0.0))
        peak = np.float32(-np.inf)
        for t in range(bars):
            score = np.float32(0.0)
            for j in range(width):
                score += series[t, j] * attention[j]
            scores[t] = score
            peak = max(peak, score)
        mass = np.float32(0.0)
        outputs[i, :width] = 0.0
        for t in range(bars):
            share = np.exp(scores[t] - peak)
            mass += share
            for j in range(width):
                outputs[i, j] += share * series[t, j]
        for j in range(width):
            outputs[i, j] /= mass
