"""Is one agent better than another on the same episodes? A paired block bootstrap over trading weeks.

Both agents met the same weeks, so what both owe to the market cancels in their difference. Weeks are drawn
in circular blocks (Politis & Romano 1992), the same weeks for both; a week keeps its sessions, days and
trades together. Every statistic is computed from sums by week, hence exactly as on the whole sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import week_number
from swt_core.statistics import SQN_TRADES_CAP
from swt_validation.evaluation import Evaluation
from swt_validation.nav import daily_nav
from swt_validation.performance import DAYS_PER_YEAR

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Fewer weeks give intervals that mean nothing.
MINIMUM_WEEKS: Final = 8
STATISTICS: Final = ("pips per episode", "SQN", "Sharpe")
_SECONDS_PER_DAY: Final = 86_400
# Below this share of the mean square, a variance is rounding.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class WeekSums:
    """What each week contributes, ``[w, 3]``: count, sum and sum of squares.

    Attributes:
        episodes: of episodes' profits, pips.
        trades: of trades' profits, R.
        days: of daily returns.
    """

    episodes: Float64
    trades: Float64
    days: Float64

    def statistics(self, weeks: Int64) -> Float64:
        """`STATISTICS` over samples of weeks, NaN where undefined.

        Args:
            weeks: ``[samples, n]`` places of the weeks in each sample.

        Returns:
            ``[samples, 3]``.
        """
        episodes, trades, days = (
            table[weeks].sum(axis=1) for table in (self.episodes, self.trades, self.days)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_pips = episodes[:, 1] / episodes[:, 0]
        sqn = _mean_over_deviation(trades) * np.sqrt(np.minimum(trades[:, 0], SQN_TRADES_CAP))
        sharpe = _mean_over_deviation(days) * DAYS_PER_YEAR**0.5
        return np.column_stack((mean_pips, sqn, sharpe))


def _mean_over_deviation(sums: Float64) -> Float64:
    """mean / std(ddof=1) from counts, sums and sums of squares ``[k, 3]``; NaN where undefined."""
    count, total, squares = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        variance = (squares - count * mean**2) / (count - 1)
        defined = (count >= 2) & (variance > _ROUNDING * squares / count)
        return np.where(defined, mean / np.sqrt(np.where(defined, variance, 1.0)), np.nan)


def week_sums(evaluation: Evaluation, initial_risk_pips: float) -> tuple[Int64, WeekSums]:
    """Numbers of the evaluated FX weeks ``[w]``, in order, and what each contributes.

    Args:
        evaluation: a run whose episodes never span a weekend.
        initial_risk_pips: 1 R, pips.
    """
    bar_weeks = week_number(evaluation.bar_time_s)
    weeks = np.unique(bar_weeks)
    last = np.flatnonzero(np.diff(evaluation.bar_episode, append=np.int64(-1)) != 0)
    nav = daily_nav(evaluation)
    # Noon of a trading day lies in its week, whatever New York's offset.
    day_weeks = week_number(nav.day * _SECONDS_PER_DAY + _SECONDS_PER_DAY // 2)
    entries = week_number(evaluation.trades.entry_time_s)

    def sums(where: Int64, values: Float64) -> Float64:
        place = np.searchsorted(weeks, where)
        columns = [
            np.bincount(place, weight, len(weeks)) for weight in (np.ones(len(values)), values, values**2)
        ]
        return np.column_stack(columns).astype(np.float64)

    return weeks, WeekSums(
        episodes=sums(bar_weeks[last], evaluation.episode_pips),
        trades=sums(entries, evaluation.trades.pnl_pips / initial_risk_pips),
        days=sums(day_weeks, nav.returns),
    )


@dataclass(frozen=True)
class PairedDifference:
    """One statistic of both agents and of their difference.

    Attributes:
        first, second: the statistic of each; None where undefined.
        difference: first − second.
        low, high: percentile interval (95 %) of the difference; None below `MINIMUM_WEEKS`.
        p_value: two-sided: share of the centred bootstrap differences at least as large; None likewise.
    """

    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


def block_of(weeks: int) -> int:
    """Weeks in a block: n^(1/3), the optimal rate for means."""
    return max(1, round(weeks ** (1 / 3)))


def draw_weeks(weeks: int, block: int, runs: int, rng: np.random.Generator) -> Int64:
    """Circular blocks, ``[runs, weeks]`` places in [0, weeks)."""
    starts = rng.integers(0, weeks, (runs, -(-weeks // block)))
    places = (starts[:, :, None] + np.arange(block)) % weeks
    return places.reshape(runs, -1)[:, :weeks].astype(np.int64)


def paired_differences(
    first: WeekSums, second: WeekSums, *, runs: int, rng: np.random.Generator, block: int | None = None
) -> dict[str, PairedDifference]:
    """Each of `STATISTICS` side by side, with the bootstrap of its difference.

    Args:
        first, second: contributions of the same weeks, in the same order.
        runs: bootstrap samples.
        rng: of the draws.
        block: weeks in a block; None: `block_of`.
    """
    count = len(first.episodes)
    whole = np.arange(count, dtype=np.int64)[None]
    values = np.stack([first.statistics(whole)[0], second.statistics(whole)[0]])
    observed = values[0] - values[1]
    samples = np.full((0, len(STATISTICS)), np.nan)
    if count >= MINIMUM_WEEKS:
        length = block or block_of(count)
        weeks = draw_weeks(count, length, runs, rng)
        samples = first.statistics(weeks) - second.statistics(weeks)
        # A bootstrap of k blocks spreads too little by (k − 1)/k, as a variance with ddof=0 does.
        blocks = max(count / length, 2.0)
        samples = observed + (samples - observed) * (blocks / (blocks - 1)) ** 0.5
    return {
        name: _difference(values[0, place], values[1, place], observed[place], samples[:, place])
        for place, name in enumerate(STATISTICS)
    }


def _difference(first: float, second: float, observed: float, samples: Float64) -> PairedDifference:
    samples = samples[~np.isnan(samples)]
    plain = [None if np.isnan(value) else float(value) for value in (first, second, observed)]
    if not len(samples) or plain[2] is None:
        return PairedDifference(plain[0], plain[1], plain[2], None, None, None)
    low, high = np.percentile(samples, [2.5, 97.5])
    # Rounding must not make two equal differences unequal.
    reach = abs(observed) * (1 - 1e-9)
    extreme = int(np.count_nonzero(np.abs(samples - observed) >= reach))
    p_value = (1 + extreme) / (1 + len(samples))
    return PairedDifference(plain[0], plain[1], plain[2], float(low), float(high), p_value)
