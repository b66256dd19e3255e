"""Statistics of closed trades, with bootstrap intervals, and where the profit comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import new_york_seconds
from swt_core.statistics import SQN, trade_statistics
from swt_validation.evaluation import Evaluation, TradeColumns
from swt_validation.performance import DAYS_PER_YEAR, sharpe, sortino

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
# Draws held at a time: they stay in the cache, and thousands of trades take no gigabytes.
_DRAWS = 1 << 18
_WEEKDAYS = ("Sun–Mon", "Mon–Tue", "Tue–Wed", "Wed–Thu", "Thu–Fri")
# Named events, in UTC: reported where the evaluated bars cover them.
EVENTS: tuple[tuple[str, str, str], ...] = (
    ("Swiss franc floor removed", "2015-01-15T09:00", "2015-01-16T09:00"),
    ("Brexit referendum night", "2016-06-23T20:00", "2016-06-24T20:00"),
    ("Sterling flash crash", "2016-10-06T22:00", "2016-10-07T06:00"),
    ("US election 2016", "2016-11-08T22:00", "2016-11-09T16:00"),
    ("Yen flash crash", "2019-01-02T21:00", "2019-01-03T06:00"),
    ("UK election 2019", "2019-12-12T21:00", "2019-12-13T12:00"),
    ("COVID crash", "2020-03-09T00:00", "2020-03-20T21:00"),
    ("UK mini-budget", "2022-09-23T06:00", "2022-09-28T20:00"),
    ("Yen carry unwind", "2024-08-02T12:00", "2024-08-06T12:00"),
)


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TradeSummary:
    """What the trades say; all pips are after costs.

    Attributes:
        sqn: capped and uncapped system quality number.
        expectancy_pips, win_rate, profit_factor: with percentile-bootstrap 95 % intervals.
        average_bars: mean bars in a trade.
        exposure: share of bars in a position.
        mean_mae_pips, mean_mfe_pips: mean worst and best mark.
        longest_losing_streak: most losses in a row, within the sequence of all trades.
        cost_pips: spread and slippage paid, all trades.
    """

    trades: int
    longs: int
    total_pips: float
    sqn: SQN
    expectancy_pips: Interval
    win_rate: Interval
    profit_factor: Interval
    average_win_pips: float | None
    average_loss_pips: float | None
    best_pips: float | None
    worst_pips: float | None
    average_bars: float | None
    exposure: float
    mean_mae_pips: float | None
    mean_mfe_pips: float | None
    longest_losing_streak: int
    cost_pips: float
    forced_exits: int


def _resampled(pnl: Float64, rng: np.random.Generator, resamples: int) -> Float64:
    """Mean, win rate and profit factor of resamples with replacement, ``[3, resamples]``."""
    count = len(pnl)
    found = np.empty((3, resamples))
    rows = max(1, _DRAWS // count)
    for low in range(0, resamples, rows):
        part = slice(low, min(low + rows, resamples))
        sample = pnl[rng.integers(0, count, (part.stop - low, count))]
        found[0, part] = sample.mean(axis=1)
        found[1, part] = np.count_nonzero(sample > 0, axis=1) / count
        wins = np.maximum(sample, 0.0).sum(axis=1)
        losses = np.abs(np.minimum(sample, 0.0, out=sample).sum(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            found[2, part] = wins / losses
    return found


def _interval(value: float | None, figures: Float64 | None) -> Interval:
    """``value`` with the 95 % interval of its resampled ``figures``."""
    if value is None or figures is None:
        return Interval(value, None, None)
    figures = figures[~np.isnan(figures)]
    if not len(figures):
        return Interval(value, None, None)
    # An inverted CDF stays defined where some of the resamples have no loss at all (infinite).
    low, high = np.percentile(figures, [2.5, 97.5], method="inverted_cdf")
    return Interval(value, float(low), float(high))


def summarise_trades(
    evaluation: Evaluation, rng: np.random.Generator, *, initial_risk_pips: float = 1.0, resamples: int = 1000
) -> TradeSummary:
    """Trade statistics of an evaluation.

    Args:
        evaluation: the run.
        rng: of the bootstrap.
        initial_risk_pips: 1 R, pips.
        resamples: bootstrap samples of the intervals; below two trades there are no intervals.
    """
    trades = evaluation.trades
    pnl = trades.pnl_pips
    count = len(pnl)
    core = trade_statistics(pnl, initial_risk_pips)
    means, win_rates, factors = _resampled(pnl, rng, resamples) if count >= 2 else (None, None, None)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    return TradeSummary(
        trades=count,
        longs=int((trades.side > 0).sum()),
        total_pips=float(pnl.sum()),
        sqn=core.sqn,
        expectancy_pips=_interval(core.expectancy_pips, means),
        win_rate=_interval(core.win_rate, win_rates),
        profit_factor=_interval(core.profit_factor, factors),
        average_win_pips=_mean(wins),
        average_loss_pips=_mean(losses),
        best_pips=float(pnl.max()) if count else None,
        worst_pips=float(pnl.min()) if count else None,
        average_bars=_mean(trades.bars.astype(np.float64)),
        exposure=evaluation.exposure,
        mean_mae_pips=_mean(trades.mae_pips),
        mean_mfe_pips=_mean(trades.mfe_pips),
        longest_losing_streak=_longest_run(pnl < 0),
        cost_pips=float((trades.spread_pips + trades.slippage_pips).sum()),
        forced_exits=int(trades.forced.sum()),
    )


def ratio_intervals(
    returns: Float64, rng: np.random.Generator, resamples: int = 1000
) -> tuple[Interval, Interval]:
    """Sharpe and Sortino of daily returns with percentile-bootstrap 95 % intervals."""
    if len(returns) < 3:
        return Interval(sharpe(returns), None, None), Interval(sortino(returns), None, None)
    samples = returns[rng.integers(0, len(returns), (resamples, len(returns)))]
    mean = samples.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = mean / samples.std(axis=1, ddof=1) * DAYS_PER_YEAR**0.5
        downside = np.sqrt(np.mean(np.minimum(samples, 0) ** 2, axis=1))
        sortinos = mean / downside * DAYS_PER_YEAR**0.5
    return _interval(sharpe(returns), ratios), _interval(sortino(returns), sortinos)


@dataclass(frozen=True)
class Bucket:
    """Trades of one hour, weekday, volatility regime or event."""

    name: str
    trades: int
    total_pips: float
    expectancy_pips: float | None
    win_rate: float | None


def _bucket(name: str, pnl: Float64) -> Bucket:
    return Bucket(name, len(pnl), float(pnl.sum()), _mean(pnl), _mean((pnl > 0).astype(np.float64)))


def by_hour(trades: TradeColumns) -> list[Bucket]:
    """Trades by the New York hour of their entry, 24 buckets."""
    hours = new_york_seconds(trades.entry_time_s) % 86_400 // 3600
    return [_bucket(f"{hour:02d}", trades.pnl_pips[hours == hour]) for hour in range(24)]


def by_weekday(trades: TradeColumns) -> list[Bucket]:
    """Trades by trading day of the week (17:00 to 17:00 New York), 5 buckets."""
    # The epoch's day 0 is a Thursday; trading days are named by their closing date.
    closing = (new_york_seconds(trades.entry_time_s) + 7 * 3600) // 86_400
    weekday = (closing + 3) % 7
    return [_bucket(name, trades.pnl_pips[weekday == i]) for i, name in enumerate(_WEEKDAYS)]


def by_volatility(trades: TradeColumns, entry_volatility: Float64) -> list[Bucket]:
    """Trades by terciles of the volatility known at their entry."""
    if len(trades) < 3:
        return []
    low, high = np.percentile(entry_volatility, [100 / 3, 200 / 3])
    masks = {
        "calm": entry_volatility <= low,
        "normal": (entry_volatility > low) & (entry_volatility <= high),
        "stormy": entry_volatility > high,
    }
    return [_bucket(name, trades.pnl_pips[mask]) for name, mask in masks.items()]


def by_event(trades: TradeColumns, start_s: int, end_s: int) -> list[Bucket]:
    """Trades open during each named event that the evaluated range covers."""
    found = []
    for name, first, last in EVENTS:
        opens, closes = (int(np.datetime64(text, "s").astype(np.int64)) for text in (first, last))
        if start_s <= opens and closes <= end_s:
            inside = (trades.entry_time_s < closes) & (trades.exit_time_s > opens)
            year = str(date.fromisoformat(first[:10]).year)
            named = name if year in name else f"{name} ({year})"
            found.append(_bucket(named, trades.pnl_pips[inside]))
    return found


def _mean(values: Float64) -> float | None:
    return float(values.mean()) if len(values) else None


def _longest_run(mask: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))
