"""Ticks inside a bar: a plausible path whose first is the bar's open and whose last is its close.

A bar built from these ticks has exactly the recorded open and close, bid and ask, and the recorded mid
high and low. An up bar visits its low first, a down bar its high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_data.bars import Bars

Int64 = NDArray[np.int64]
OPEN, HIGH, LOW, CLOSE = range(4)


@dataclass(frozen=True)
class TickTiming:
    """When in the minute the ticks come, seconds after it began, increasing.

    The open comes after the trader's decision (1 s by default), so an order sent at a bar's close has
    not seen the next open. The distances keep well below the broker's 4 prices a second.
    """

    open_s: float = 2.0
    first_extreme_s: float = 17.0
    second_extreme_s: float = 34.0
    close_s: float = 51.0


@dataclass(frozen=True)
class Tick:
    """One quote, in points, of the bar at ``row``."""

    time_s: float
    bid: int
    ask: int
    row: int


def bar_quotes(bars: Bars, rows: slice) -> tuple[Int64, Int64]:
    """Bids and asks ``[k, 4]`` in points at open, high, low and close of the mids.

    Extremes carry the opening spread, widened by a point where the mid's parity asks for it.
    """
    mids = np.stack([bars.open_hp[rows], bars.high_hp[rows], bars.low_hp[rows], bars.close_hp[rows]], axis=1)
    spread = np.repeat(bars.spread_open[rows, None], 4, axis=1)
    spread[:, CLOSE] = bars.spread_close[rows]
    spread += (mids - spread) % 2
    return (mids - spread) // 2, (mids + spread) // 2


def bar_ticks(bars: Bars, row: int, timing: TickTiming) -> list[Tick]:
    """The ticks of one bar, oldest first; a quote that does not change is not repeated."""
    bids, asks = bar_quotes(bars, slice(row, row + 1))
    rises = bars.close_hp[row] >= bars.open_hp[row]
    extremes = (LOW, HIGH) if rises else (HIGH, LOW)
    offsets = (timing.open_s, timing.first_extreme_s, timing.second_extreme_s, timing.close_s)
    mids = bids[0] + asks[0]
    ticks: list[Tick] = []
    for place, offset_s in zip((OPEN, *extremes, CLOSE), offsets, strict=True):
        bid, ask = int(bids[0, place]), int(asks[0, place])
        # An extreme that is the open or the close itself needs no tick of its own.
        is_extra = place in (HIGH, LOW) and mids[place] in (mids[OPEN], mids[CLOSE])
        if ticks and (is_extra or (bid, ask) == (ticks[-1].bid, ticks[-1].ask)):
            continue
        ticks.append(Tick(float(bars.time_s[row]) + offset_s, bid, ask, row))
    return ticks
