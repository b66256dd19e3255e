"""Daily net asset value at 17:00 New York, flat days kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import MINUTE_S, trading_day, week_number
from swt_validation.evaluation import Evaluation

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class DailyNav:
    """Profit by trading day (17:00 to 17:00 New York), in order.

    Attributes:
        day: ``[d]`` closing date of each trading day, days since the epoch.
        pips: ``[d]`` change of marked equity.
        returns: ``[d]`` the same as an unlevered return (pips · pip / entry price).
    """

    day: Int64
    pips: Float64
    returns: Float64

    def __len__(self) -> int:
        return len(self.day)

    @property
    def equity_pips(self) -> Float64:
        """Cumulative pips at each 17:00 New York, ``[d]``."""
        return np.cumsum(self.pips)


def daily_nav(evaluation: Evaluation) -> DailyNav:
    """Marked profit of every trading day that has evaluated bars; days without a trade count as 0.

    A day without bars (a holiday, a week that data errors removed) is no observation and is left out.
    """
    days = trading_day(evaluation.bar_time_s)
    unique, place = np.unique(days, return_inverse=True)
    return DailyNav(
        day=unique.astype(np.int64),
        pips=np.bincount(place, evaluation.change_pips, len(unique)).astype(np.float64),
        returns=np.bincount(place, evaluation.change_returns, len(unique)).astype(np.float64),
    )


@dataclass(frozen=True)
class WeeklyReturns:
    """Profit by trading week: what checkpoints are compared on.

    Attributes:
        week: ``[w]`` number of the FX week (`swt_core.calendar.week_number`).
        pips: ``[w]``.
        returns: ``[w]`` unlevered.
        start_s, end_s: ``[w]`` open of the first and end of the last evaluated bar.
    """

    week: Int64
    pips: Float64
    returns: Float64
    start_s: Int64
    end_s: Int64


def weekly_returns(evaluation: Evaluation) -> WeeklyReturns:
    """Marked profit of every trading week that has evaluated bars."""
    times = evaluation.bar_time_s
    unique, place = np.unique(week_number(times), return_inverse=True)
    start_s, end_s = np.full(len(unique), np.iinfo(np.int64).max), np.zeros(len(unique), np.int64)
    np.minimum.at(start_s, place, times)
    np.maximum.at(end_s, place, times + MINUTE_S)
    return WeeklyReturns(
        week=unique.astype(np.int64),
        pips=np.bincount(place, evaluation.change_pips, len(unique)).astype(np.float64),
        returns=np.bincount(place, evaluation.change_returns, len(unique)).astype(np.float64),
        start_s=start_s,
        end_s=end_s,
    )
