"""From one evaluation to every figure of the report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import trading_day
from swt_core.config import SWTConfig
from swt_environments.market import Market
from swt_validation.baselines import RULES, play_rule
from swt_validation.evaluation import Evaluation
from swt_validation.ledger import TrialMatrix
from swt_validation.levels import LevelPlan
from swt_validation.nav import DailyNav, daily_nav
from swt_validation.overfitting import probability_of_overfitting, reality_check
from swt_validation.performance import (
    DAYS_PER_YEAR,
    calmar,
    compound_annual_return,
    drawdowns,
    longest_drawdown,
    max_drawdown,
    sharpe,
)
from swt_validation.permutation import PermutationTest, PlacedTrades, permutation_test
from swt_validation.report import (
    BandyFigures,
    BaselineRow,
    Breakdown,
    DailyFigures,
    DrawdownRow,
    Significance,
    TradedSize,
)
from swt_validation.resampling import block_length
from swt_validation.safe_f import curves_at, kelly, risk_normalise
from swt_validation.scenarios import Scenario, run_scenarios
from swt_validation.sharpe_inference import SharpeInference, deflated_sharpe
from swt_validation.trades import (
    TradeSummary,
    by_event,
    by_hour,
    by_volatility,
    by_weekday,
    ratio_intervals,
    summarise_trades,
)

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
_VOLATILITY_BARS = 60


@dataclass(frozen=True)
class AgentRun:
    """An evaluation and where it took place.

    Attributes:
        evaluation: trades and equity.
        first_rows, last_rows: ``[E]`` decision rows of each episode.
        actions: share of HOLD, BUY, SELL, CLOSE among all decisions.
    """

    evaluation: Evaluation
    first_rows: Int64
    last_rows: Int64
    actions: dict[str, float]


@dataclass(frozen=True)
class Analysis:
    """Everything that follows from one run without asking the agent again."""

    trades: TradeSummary
    nav: DailyNav
    daily: DailyFigures
    drawdowns: list[DrawdownRow]
    size: TradedSize
    bandy: BandyFigures
    permutation: PermutationTest
    baselines: list[BaselineRow]
    scenarios: list[Scenario]
    breakdown: Breakdown


def day_text(day: int) -> str:
    """The date of a trading day's close."""
    return str(np.datetime64(int(day), "D"))


def baseline_row(name: str, evaluation: Evaluation, rng: np.random.Generator) -> BaselineRow:
    """One line of the comparison table."""
    summary = summarise_trades(evaluation, rng, resamples=1)
    nav = daily_nav(evaluation)
    return BaselineRow(
        name=name,
        total_pips=summary.total_pips,
        trades=summary.trades,
        expectancy_pips=summary.expectancy_pips.value,
        profit_factor=summary.profit_factor.value,
        win_rate=summary.win_rate.value,
        sharpe=sharpe(nav.returns),
        max_drawdown_pips=_worst_fall(evaluation),
    )


def _worst_fall(evaluation: Evaluation) -> float:
    """Largest fall of marked equity, bar by bar over all episodes in a row, pips."""
    deepest = drawdowns(np.cumsum(evaluation.change_pips), 1)
    return deepest[0].depth if deepest else 0.0


def _daily_figures(evaluation: Evaluation, nav: DailyNav, rng: np.random.Generator) -> DailyFigures:
    sharpe_interval, sortino_interval = ratio_intervals(nav.returns, rng)
    return DailyFigures(
        days=len(nav),
        total_return=float(np.expm1(np.log1p(nav.returns).sum())) if len(nav) else None,
        annual_return=compound_annual_return(nav.returns),
        sharpe=sharpe_interval,
        sortino=sortino_interval,
        calmar=calmar(nav.returns),
        max_drawdown=max_drawdown(nav.returns),
        max_drawdown_pips=_worst_fall(evaluation),
        longest_drawdown_days=longest_drawdown(nav.equity_pips),
        losing_day_share=float(np.mean(nav.pips < 0)) if len(nav) else None,
    )


def _drawdown_rows(nav: DailyNav) -> list[DrawdownRow]:
    return [
        DrawdownRow(
            depth_pips=fall.depth,
            peak_day=day_text(nav.day[fall.peak]) if fall.peak >= 0 else None,
            trough_day=day_text(nav.day[fall.trough]),
            recovery_day=None if fall.recovery is None else day_text(nav.day[fall.recovery]),
        )
        for fall in drawdowns(nav.equity_pips)
    ]


def placed_trades(evaluation: Evaluation, market: Market) -> PlacedTrades:
    """Where the trades lie among the bars."""
    trades = evaluation.trades
    time_s = market.bars.time_s
    return PlacedTrades(
        episode=trades.episode,
        entry_row=np.searchsorted(time_s, trades.entry_time_s).astype(np.int64),
        exit_row=np.searchsorted(time_s, trades.exit_time_s).astype(np.int64),
        side=trades.side,
        pnl_pips=trades.pnl_pips,
    )


def _volatility_at_entry(evaluation: Evaluation, market: Market) -> Float64:
    """Standard deviation of the last 60 one-bar changes known at each entry, pips."""
    change = np.diff(market.bars.close_hp, prepend=market.bars.close_hp[:1]).astype(np.float64)
    first = np.concatenate(([0.0], np.cumsum(change)))
    second = np.concatenate(([0.0], np.cumsum(change**2)))
    row = np.searchsorted(market.bars.time_s, evaluation.trades.entry_time_s)
    low = np.maximum(row - _VOLATILITY_BARS, 0)
    count = np.maximum(row - low, 1)
    mean = (first[row] - first[low]) / count
    variance = (second[row] - second[low]) / count - mean**2
    result: Float64 = np.sqrt(np.maximum(variance, 0)) / market.bars.instrument.half_points_per_pip
    return result


def traded_size(returns: Float64, bandy: BandyFigures, fraction: float | None, seed: int) -> TradedSize:
    """Drawdown and growth at the configured fraction, or at safe-f where none is configured."""
    chosen = bandy.conservative.safe_f if fraction is None else fraction
    curves = curves_at(returns, chosen, runs=max(bandy.runs, 200), block=bandy.block.block, seed=seed)
    return TradedSize(
        fraction=chosen,
        source="safe-f" if fraction is None else "configured",
        observed_drawdown=max_drawdown(chosen * returns),
        drawdown95=float(np.percentile(curves.max_drawdown, 95)),
        annual_return=compound_annual_return(chosen * returns),
    )


def bandy_figures(nav: DailyNav, pnl: Float64, curves: int, seeds: NDArray[np.uint64]) -> BandyFigures:
    """Safe-f and CAR25 by IID and by block bootstrap; Kelly from the trades."""
    fraction = kelly(pnl)
    pair = (int(seeds[0]), int(seeds[1]))
    return BandyFigures(
        iid=risk_normalise(nav.returns, runs=curves, block=1, seeds=pair),
        block=risk_normalise(nav.returns, runs=curves, block=block_length(len(nav)), seeds=pair),
        kelly=fraction,
        quarter_kelly=None if fraction is None else 0.25 * fraction,
        runs=curves,
    )


def analyse(
    run: AgentRun, market: Market, config: SWTConfig, plan: LevelPlan, *, compare: bool = True
) -> Analysis:
    """All statistics of a run that need no further decision of the agent.

    Args:
        run: the agent's evaluation.
        market: the market it traded in.
        config: for the validation section's seed, permutations and traded fraction.
        plan: for the number of curves.
        compare: whether to play the baselines; no rule of the decision looks at them.
    """
    settings, evaluation = config.validation, run.evaluation
    root = np.random.SeedSequence(settings.seed)
    seeds = root.generate_state(8, np.uint64) >> np.uint64(1)
    rng = np.random.default_rng(root.spawn(1)[0])
    half_points = market.bars.instrument.half_points_per_pip
    with ThreadPoolExecutor(1, thread_name_prefix="permutations") as thread:
        # It holds no interpreter lock and draws from a generator of its own.
        placed = thread.submit(
            permutation_test,
            placed_trades(evaluation, market),
            open_mid_pips=market.bars.open_hp / half_points,
            first_rows=run.first_rows,
            last_rows=run.last_rows,
            permutations=settings.permutations,
            seed=int(seeds[3]),
        )
        nav = daily_nav(evaluation)
        bandy = bandy_figures(nav, evaluation.trades.pnl_pips, plan.curves, seeds)
        size = traded_size(nav.returns, bandy, settings.traded_fraction, int(seeds[2]))
        agent = baseline_row("agent", evaluation, rng)
        rivals = [
            baseline_row(
                name, play_rule(market, rule(market), run.first_rows, run.last_rows, evaluation.mode), rng
            )
            for name, rule in (RULES.items() if compare else ())
        ]
        trades = summarise_trades(evaluation, rng, initial_risk_pips=settings.initial_risk_pips)
        daily = _daily_figures(evaluation, nav, rng)
        permutation = placed.result()
    times = evaluation.bar_time_s
    return Analysis(
        trades=trades,
        nav=nav,
        daily=daily,
        drawdowns=_drawdown_rows(nav),
        size=size,
        bandy=bandy,
        permutation=permutation,
        baselines=[agent, _random_row(permutation, evaluation), *rivals, _flat_row()],
        scenarios=run_scenarios(
            evaluation.trade_returns,
            years=max(len(nav), 1) / DAYS_PER_YEAR,
            fraction=size.fraction,
            runs=plan.curves,
            seed=int(seeds[4]),
        ),
        breakdown=Breakdown(
            hours=by_hour(evaluation.trades),
            weekdays=by_weekday(evaluation.trades),
            volatility=by_volatility(evaluation.trades, _volatility_at_entry(evaluation, market)),
            events=by_event(evaluation.trades, int(times.min()), int(times.max()) + 60),
        ),
    )


def _flat_row() -> BaselineRow:
    return BaselineRow(
        name="flat",
        total_pips=0.0,
        trades=0,
        expectancy_pips=None,
        profit_factor=None,
        win_rate=None,
        sharpe=None,
        max_drawdown_pips=0.0,
    )


def _random_row(test: PermutationTest, evaluation: Evaluation) -> BaselineRow:
    count = len(evaluation.trades)
    mean = float(test.random_pips.mean()) if len(test.random_pips) else 0.0
    return BaselineRow(
        name="random entries",
        total_pips=mean,
        trades=count,
        expectancy_pips=mean / count if count else None,
        profit_factor=None,
        win_rate=None,
        sharpe=None,
        max_drawdown_pips=0.0,
    )


def significance(
    permutation: PermutationTest,
    inference: SharpeInference | None,
    trials: TrialMatrix,
    rng: np.random.Generator,
) -> Significance:
    """P-value, deflated Sharpe, PBO and reality check in one place."""
    random = permutation.random_pips
    enough = len(random) > 0
    return Significance(
        p_value=permutation.p_value,
        random_mean_pips=float(random.mean()) if enough else None,
        random_low_pips=float(np.percentile(random, 2.5)) if enough else None,
        random_high_pips=float(np.percentile(random, 97.5)) if enough else None,
        permutations=len(random),
        sharpe=inference,
        trials=trials.count,
        effective_trials=trials.effective,
        overfitting=probability_of_overfitting(trials.returns),
        reality_check=reality_check(trials.returns, rng),
    )


def sharpe_inference(nav: DailyNav, trials: TrialMatrix) -> SharpeInference | None:
    """Deflated Sharpe of the daily NAV against the trials made on this range."""
    return deflated_sharpe(nav.returns, trials=trials.effective, trial_sharpes=trials.daily_sharpes)


def week_bounds(time_s: Int64) -> tuple[str, str]:
    """First and last trading day of bars, as text."""
    days = trading_day(time_s[[0, -1]])
    return day_text(int(days[0])), day_text(int(days[1]))
