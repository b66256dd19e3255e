"""Move a recording to the present, so that a trader on the wall clock can trade it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swt_core.calendar import WEEK_S, new_york_seconds
from swt_core.errors import DataError
from swt_data.bars import Bars

HISTORY_BARS = 600


def moved_to(bars: Bars, now_s: float, history_bars: int = HISTORY_BARS) -> Bars:
    """The bars moved by whole weeks of New York time, so that at ``now_s`` the replay has just begun.

    At least ``history_bars`` lie before ``now_s``; hours of the week, breaks and weekends stay in place on
    either side of a change of clocks.

    Raises:
        DataError: the recording is too short for its history.
    """
    if len(bars) <= history_bars:
        raise DataError(
            f"{len(bars)} bars are too few: {history_bars} of history are needed before the replay begins",
            remedy="use a longer recording",
        )
    local = new_york_seconds(bars.time_s)
    weeks = (int(new_york_seconds(int(now_s))) - int(local[history_bars])) // WEEK_S
    moved = local + weeks * WEEK_S
    # Back to UTC: clocks change while the market is closed, so one correction is exact.
    guess = moved + 5 * 3600
    time_s = guess - (new_york_seconds(guess) - moved)
    return replace(bars, time_s=np.ascontiguousarray(time_s, np.int64))
