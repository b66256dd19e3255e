"""The `micro` profile's market columns: nine numbers for each of the last 32 bars.

Five come from closes alone, in integer half-points, so every minimum and maximum is exact and the
result cannot depend on how rows are batched; four tell the time. All windows look back only.
"""

from __future__ import annotations

import itertools
import math
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_data.bars import Bars
from swt_features.timing import TIME_NAMES, time_rows

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

MICRO_BARS: Final = 32
MICRO_NAMES: Final = (
    "position_in_range_60",
    "min_max_scaled_momentum_60",
    "min_max_scaled_rolling_range",
    "min_max_scaled_momentum_5",
    "price_change_pips",
    *TIME_NAMES,
)
MICRO_COLUMNS: Final = len(MICRO_NAMES)
PRICE_COLUMNS: Final = 5
_SPAN: Final = 60
_SHORT_SPAN: Final = 5
# Rows before a bar that its columns read: 60 for the momentum, 59 more for its rolling scale.
_WARM_UP: Final = 2 * _SPAN - 1


@nb.njit(cache=True)
def _place_nb(values: Int64, last: int) -> float:
    """Where ``values[last]`` lies in the range of the 60 values up to it, 0 … 1; 0 without a range."""
    low = high = values[last]
    for i in range(last - _SPAN + 1, last):
        low = min(low, values[i])
        high = max(high, values[i])
    return (values[last] - low) / (high - low) if high > low else 0.0


@nb.njit(cache=True)
def price_columns_nb(closes_hp: Int64, first: int, last: int, half_points_per_pip: float) -> Float32:
    """The five price columns of bars ``first … last``, ``[last − first + 1, 5]``; reads 119 rows back."""
    start = first - _WARM_UP
    span = last + 1 - start
    closes = closes_hp[start : last + 1]
    momentum = np.zeros(span, np.int64)
    short_momentum = np.zeros(span, np.int64)
    ranges = np.zeros(span, np.int64)
    for i in range(_SPAN, span):
        momentum[i] = closes[i] - closes[i - _SPAN]
    for i in range(_SHORT_SPAN, span):
        short_momentum[i] = closes[i] - closes[i - _SHORT_SPAN]
    for i in range(_SPAN - 1, span):
        low = high = closes[i]
        for k in range(i - _SPAN + 1, i):
            low = min(low, closes[k])
            high = max(high, closes[k])
        ranges[i] = high - low
    out = np.empty((last - first + 1, PRICE_COLUMNS), np.float32)
    for i in range(len(out)):
        at = i + _WARM_UP
        out[i, 0] = _place_nb(closes, at)
        out[i, 1] = _place_nb(momentum, at)
        out[i, 2] = _place_nb(ranges, at)
        out[i, 3] = _place_nb(short_momentum, at)
        out[i, 4] = math.tanh((closes[at] - closes[at - 1]) / half_points_per_pip / 10.0)
    return out


def consecutive_runs(rows: Int64) -> Int64:
    """Where ``rows`` breaks into runs of consecutive numbers: run i is ``rows[b[i]:b[i + 1]]``."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    return np.concatenate([[0], breaks, [len(rows)]]).astype(np.int64)


def micro_rows(bars: Bars, rows: Int64) -> Float32:
    """The temporal part at ``rows``: 32 bars × 9 columns, oldest bar first, flattened to ``[k, 288]``."""
    out = np.empty((len(rows), MICRO_BARS, MICRO_COLUMNS), np.float32)
    if not len(rows):
        return out.reshape(0, MICRO_BARS * MICRO_COLUMNS)
    bounds = consecutive_runs(rows)
    scale = float(bars.instrument.half_points_per_pip)
    for begin, end in itertools.pairwise(bounds):
        first, last = int(rows[begin]) - MICRO_BARS + 1, int(rows[end - 1])
        columns = np.empty((last - first + 1, MICRO_COLUMNS), np.float32)
        columns[:, :PRICE_COLUMNS] = price_columns_nb(bars.close_hp, first, last, scale)
        columns[:, PRICE_COLUMNS:] = time_rows(bars.time_s[first : last + 1])
        windows = np.lib.stride_tricks.sliding_window_view(columns, MICRO_BARS, axis=0)
        out[begin:end] = windows.transpose(0, 2, 1)
    return out.reshape(len(rows), MICRO_BARS * MICRO_COLUMNS)
