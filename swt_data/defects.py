"""What is wrong with a single bar: detectors that tell data errors from real volatility.

Each detector takes `Bars` and returns ``bool[n]``. Thresholds were set on recorded bars with room to
spare: the wildest real minutes (Brexit night, parliament votes, thin week opens) reverse by at most 15
local ranges, so a spike must revert from 18; a live feed repeats a flat bar at most 4 times, so a stale
run is 10.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_data.bars import Bars, Int64

BoolArray = NDArray[np.bool_]
Float64 = NDArray[np.float64]

SPIKE_LOCAL_RANGES = 18.0
SPIKE_RESIDUAL = 0.25
WICK_LOCAL_RANGES = 25.0
SMALLEST_LOCAL_RANGE_PIPS = 0.5
LOCAL_BARS = 30
STALE_BARS = 10
LEVEL_BREAK = 0.2
LEVEL_BREAK_WITHIN_S = 3600


class Defect(IntFlag):
    """Kinds of data error a bar can carry, as bits."""

    DUPLICATE = 1
    OHLC = 2
    CROSSED = 4
    STALE = 8
    SPIKE = 16
    LEVEL = 32
    OUTSIDE_WEEK = 64


def find_defects(bars: Bars) -> NDArray[np.uint8]:
    """``[n]`` bits of `Defect`, 0 for a sound bar."""
    defects = np.zeros(len(bars), np.uint8)
    for defect, detector in (
        (Defect.DUPLICATE, duplicates),
        (Defect.OHLC, ohlc_violations),
        (Defect.CROSSED, crossed_quotes),
        (Defect.STALE, stale_runs),
        (Defect.SPIKE, spikes),
        (Defect.LEVEL, level_breaks),
        (Defect.OUTSIDE_WEEK, outside_week),
    ):
        defects |= np.where(detector(bars), np.uint8(defect), np.uint8(0))
    return defects


def duplicates(bars: Bars) -> BoolArray:
    """Bars that share a time with another, or come out of order."""
    marked = np.zeros(len(bars), np.bool_)
    repeated = np.diff(bars.time_s) <= 0
    marked[1:] |= repeated
    marked[:-1] |= repeated
    return marked


def ohlc_violations(bars: Bars) -> BoolArray:
    """High below the body, low above it, or a price that is not positive."""
    top, bottom = np.maximum(bars.open_hp, bars.close_hp), np.minimum(bars.open_hp, bars.close_hp)
    marked: BoolArray = (bars.high_hp < top) | (bars.low_hp > bottom) | (bars.low_hp <= 0)
    return marked


def crossed_quotes(bars: Bars) -> BoolArray:
    """An ask below the bid at open or close."""
    marked: BoolArray = (bars.spread_open < 0) | (bars.spread_close < 0)
    return marked


def stale_runs(bars: Bars) -> BoolArray:
    """Every bar of a run of at least `STALE_BARS` that repeat one price."""
    flat = (bars.high_hp == bars.low_hp) & (bars.open_hp == bars.close_hp)
    repeats = np.zeros(len(bars), np.bool_)
    repeats[1:] = flat[1:] & (bars.open_hp[1:] == bars.close_hp[:-1])
    edges = np.flatnonzero(np.diff(np.concatenate(([0], repeats.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= STALE_BARS
    cover = np.zeros(len(bars) + 1, np.int64)
    cover[starts[long]] += 1
    cover[ends[long]] -= 1
    marked: BoolArray = np.cumsum(cover[:-1]) > 0
    return marked


def spikes(bars: Bars) -> BoolArray:
    """Closes that leave and return at the next bar, and lone wicks, both far beyond the local range.

    The local range is the median range of the bars around, so a wild night raises its own threshold.
    """
    pip = bars.instrument.half_points_per_pip
    marked = np.zeros(len(bars), np.bool_)
    if len(bars) < 3:
        return marked
    move = np.diff(bars.close_hp) / pip
    away, back = move[:-1], move[1:]
    smaller = np.minimum(np.abs(away), np.abs(back))
    floor = SPIKE_LOCAL_RANGES * SMALLEST_LOCAL_RANGE_PIPS
    reverts = (away * back < 0) & (smaller >= floor) & (np.abs(away + back) <= SPIKE_RESIDUAL * smaller)
    rows = np.flatnonzero(reverts) + 1
    marked[rows] = smaller[rows - 1] >= SPIKE_LOCAL_RANGES * _local_range_pips(bars, rows)
    top, bottom = np.maximum(bars.open_hp, bars.close_hp), np.minimum(bars.open_hp, bars.close_hp)
    wick = np.maximum(bars.high_hp - top, bottom - bars.low_hp) / pip
    rows = np.flatnonzero(wick >= WICK_LOCAL_RANGES * SMALLEST_LOCAL_RANGE_PIPS)
    marked[rows] |= wick[rows] >= WICK_LOCAL_RANGES * _local_range_pips(bars, rows)
    return marked


def level_breaks(bars: Bars) -> BoolArray:
    """Bars that open or close 20 % away from the minute before: another scale, not another market."""
    marked = np.zeros(len(bars), np.bool_)
    level = np.log(np.maximum(bars.close_hp, 1))
    near = np.diff(bars.time_s) <= LEVEL_BREAK_WITHIN_S
    marked[1:] = near & (np.abs(np.diff(level)) > LEVEL_BREAK)
    marked |= np.abs(level - np.log(np.maximum(bars.open_hp, 1))) > LEVEL_BREAK
    return marked


def outside_week(bars: Bars) -> BoolArray:
    """Bars stamped between Friday 17:00 and Sunday 17:00 New York."""
    marked: BoolArray = calendar.seconds_to_week_close(bars.time_s) == 0
    return marked


def _local_range_pips(bars: Bars, rows: Int64) -> Float64:
    """Median range of the bars around each row, itself left out, not below the smallest local range."""
    if not len(rows):
        return np.zeros(0)
    offsets = np.concatenate([np.arange(-LOCAL_BARS, 0), np.arange(1, LOCAL_BARS + 1)])
    around = np.clip(rows[:, None] + offsets, 0, len(bars) - 1)
    ranges = (bars.high_hp[around] - bars.low_hp[around]) / bars.instrument.half_points_per_pip
    return np.maximum(np.median(ranges, axis=1), SMALLEST_LOCAL_RANGE_PIPS)
