"""The `realistic` synthetic market: it looks like a year of GBP/JPY and holds no known edge.

Volatility is a season of the day times two slow log-normal factors (about a day and half an hour of
memory); shocks have Student's t tails; weeks open with a gap; thin minutes go without a tick; the spread
follows the hour and widens with volatility. Shapes were read off recorded one-minute and hourly bars.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.instruments import Instrument
from swt_data.bars import Bars, Int64, bars_from_mids
from swt_data.synthetic import first_order_nb, ohlc_points, to_positive_points

Float64 = NDArray[np.float64]

# By the hour of New York, 0 to 23; relative volatility and median round-trip spread in pips.
_SEASON = np.array(
    [0.9, 1.0, 1.35, 1.5, 1.35, 1.2, 1.1, 1.15, 1.4, 1.35, 1.35, 1.2]
    + [0.9, 0.8, 0.75, 0.7, 0.6, 0.45, 0.55, 0.85, 1.05, 0.95, 0.85, 0.8]
)
HOURLY_SPREAD_PIPS = np.array([2.8] * 7 + [2.6] * 5 + [2.6] * 4 + [3.0, 15.0, 9.0, 3.4, 3.0, 2.8, 2.8, 2.8])
_SIGMA_PIPS = 2.6
_TAIL_DEGREES = 4.0
_DAY_MEMORY_BARS, _DAY_DEPTH = 2000.0, 0.35
_HOUR_MEMORY_BARS, _HOUR_DEPTH = 30.0, 0.35
_WEEKEND_GAP_PIPS = 18.0
_TICKLESS_SHARE = {17: 0.25, 18: 0.06}


def realistic_bars(
    time_s: Int64, instrument: Instrument, state: Generator, shocks: Generator, extremes: Generator
) -> Bars:
    """Bars on (most of) the given minutes, with a recorded spread."""
    n = len(time_s)
    hour = calendar.new_york_seconds(time_s) // 3600 % 24
    log_volatility = _slow(n, _DAY_MEMORY_BARS, _DAY_DEPTH, state) + _slow(
        n, _HOUR_MEMORY_BARS, _HOUR_DEPTH, state
    )
    texture = np.exp(log_volatility - (_DAY_DEPTH**2 + _HOUR_DEPTH**2))
    sigma = _SIGMA_PIPS * _SEASON[hour] * texture
    unit_tails = shocks.standard_t(_TAIL_DEGREES, n) * np.sqrt((_TAIL_DEGREES - 2) / _TAIL_DEGREES)
    # The mid of a minute without a tick does not move.
    ticks = state.random(n) >= _tickless_share(hour)
    ticks[[0, -1]] = True
    changes = np.where(ticks, sigma * unit_tails, 0.0)
    gaps = np.where(
        np.diff(calendar.week_number(time_s), prepend=calendar.week_number(time_s[:1])) > 0,
        shocks.normal(0.0, _WEEKEND_GAP_PIPS, n) * ticks,
        0.0,
    )
    opens_pips = np.cumsum(changes + gaps) - changes
    path = to_positive_points(np.stack([opens_pips, opens_pips + changes], axis=1), instrument)
    mids = ohlc_points(path[:, 0], path[:, 1], 0.8 * sigma * instrument.points_per_pip, extremes)
    spread = _spread_points(hour, np.exp(log_volatility), instrument, state)
    volume = 1 + state.poisson(30.0 * sigma)
    bars = bars_from_mids(instrument, time_s, 2 * mids, spread[:-1], volume)
    return Bars(
        instrument=instrument,
        time_s=bars.time_s[ticks],
        open_hp=bars.open_hp[ticks],
        high_hp=bars.high_hp[ticks],
        low_hp=bars.low_hp[ticks],
        close_hp=bars.close_hp[ticks],
        spread_open=bars.spread_open[ticks],
        spread_close=spread[1:][ticks],
        volume=bars.volume[ticks],
        spread_recorded=True,
    )


def _slow(n: int, memory_bars: float, depth: float, rng: Generator) -> Float64:
    """A stationary first-order factor of standard deviation ``depth`` and memory ``memory_bars``."""
    decay = np.exp(-1 / memory_bars)
    shocks = rng.normal(0.0, depth * np.sqrt(1 - decay**2), n)
    shocks[0] /= np.sqrt(1 - decay**2)
    return first_order_nb(shocks, decay)


def _spread_points(hour: Int64, unrest: Float64, instrument: Instrument, rng: Generator) -> Int64:
    """``[n + 1]`` even spreads: row i at bar i's open, row i + 1 at its close."""
    n = len(hour)
    pips = HOURLY_SPREAD_PIPS[hour] * np.sqrt(unrest) * np.exp(rng.normal(0.0, 0.12, n))
    even = 2 * np.maximum(np.rint(pips * instrument.points_per_pip / 2), 1).astype(np.int64)
    return np.concatenate([even, even[-1:]])


def _tickless_share(hour: Int64) -> Float64:
    share = np.full(24, 0.002)
    for thin_hour, probability in _TICKLESS_SHARE.items():
        share[thin_hour] = probability
    return share[hour]
