"""Assumed spreads, for bars that record none."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import new_york_seconds
from swt_core.errors import ConfigError
from swt_data.bars import Bars

Int64 = NDArray[np.int64]

# Medians of OANDA practice H1 bars 2016-2021 (open ask − open bid), pips: outside / 17 h / 18 h New York.
_BY_HOUR: Final = {
    "GBP_JPY": (2.8, 15.0, 9.1),
    "EUR_JPY": (1.8, 10.0, 6.1),
    "USD_JPY": (1.4, 6.9, 4.2),
    "EUR_USD": (1.3, 5.4, 3.3),
    "GBP_USD": (1.9, 6.4, 3.9),
}


def constant_spread(bars: Bars, spread_pips: float) -> Bars:
    """The same mids with one spread, rounded to an even number of points."""
    return _with_spread(bars, np.full(len(bars), bars.instrument.spread_points(spread_pips), np.int64))


def hourly_spread(bars: Bars) -> Bars:
    """The same mids with the spread that is usual for each hour of New York.

    Raises:
        ConfigError: no spreads are known for the pair.
    """
    if bars.instrument.name not in _BY_HOUR:
        raise ConfigError(
            f"no hourly spreads are known for {bars.instrument.name}",
            remedy=f"set data.spread_source to constant, or use one of {', '.join(_BY_HOUR)}",
        )
    usual, rollover, after = _BY_HOUR[bars.instrument.name]
    by_hour = np.full(24, usual)
    by_hour[17], by_hour[18] = rollover, after
    points = np.array([bars.instrument.spread_points(pips) for pips in by_hour], np.int64)
    return _with_spread(bars, points[new_york_seconds(bars.time_s) // 3600 % 24])


def _with_spread(bars: Bars, points: Int64) -> Bars:
    # A mid in odd half-points takes an odd spread, so that bid and ask stay whole points.
    return replace(
        bars,
        spread_open=points + bars.open_hp % 2,
        spread_close=points + bars.close_hp % 2,
        spread_recorded=False,
    )
