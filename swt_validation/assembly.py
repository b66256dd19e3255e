"""Verdict and report from the parts of a validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swt_core.checkpoints import CheckpointRef
from swt_core.clock import iso_utc
from swt_core.config import SWTConfig
from swt_core.statistics import RELIABLE_TRADES
from swt_core.verdict import Verdict, VerdictData, VerdictStatistics, judged_config_hash
from swt_environments.market import Market
from swt_validation.analysis import AgentRun, Analysis
from swt_validation.decision import DecisionInputs, DecisionResult, decide
from swt_validation.levels import Deadline, LevelPlan
from swt_validation.nav import weekly_returns
from swt_validation.report import (
    BaselineRow,
    CostAssumptions,
    Provenance,
    Report,
    SensitivityRow,
    Significance,
    WalkForward,
)
from swt_validation.scoring import UNGRADED, Score, composite_score

DAY_S = 86_400


@dataclass(frozen=True)
class Parts:
    """Everything a report is made of."""

    checkpoint: CheckpointRef
    config: SWTConfig
    plan: LevelPlan
    market: Market
    run: AgentRun
    analysis: Analysis
    significance: Significance
    sensitivity: list[SensitivityRow]
    walk_forward: list[WalkForward]
    session_comparison: BaselineRow | None
    source: str
    synthetic: bool


def score_of(analysis: Analysis, initial_risk_pips: float) -> Score:
    """The composite score of an analysis."""
    trades = analysis.trades
    expectancy = trades.expectancy_pips.value
    return composite_score(
        expectancy_r=None if expectancy is None else expectancy / initial_risk_pips,
        sharpe=analysis.daily.sharpe.value,
        sortino=analysis.daily.sortino.value,
        win_rate=trades.win_rate.value,
        profit_factor=trades.profit_factor.value,
        max_drawdown=analysis.size.observed_drawdown,
    )


def judge(
    analysis: Analysis, significance: Significance, score: Score, level: str, *, complete: bool = True
) -> DecisionResult:
    """Apply the rules of decision to an analysis."""
    inference = significance.sharpe
    return decide(
        DecisionInputs(
            level=level,
            trades=analysis.trades.trades,
            expectancy_pips=analysis.trades.expectancy_pips.value,
            profit_factor=analysis.trades.profit_factor.value,
            win_rate=analysis.trades.win_rate.value,
            max_drawdown=max(analysis.size.observed_drawdown, analysis.size.drawdown95),
            car25=analysis.bandy.conservative.car25,
            p_value=significance.p_value,
            deflated_sharpe=None if inference is None else inference.deflated,
            trials=significance.effective_trials,
            complete=complete,
        ),
        score,
    )


def assemble(parts: Parts, deadline: Deadline, now_s: float) -> Report:
    """The report with its verdict inside.

    Args:
        parts: the results.
        deadline: tells how long it took and what was left out.
        now_s: UTC epoch seconds.
    """
    analysis, config = parts.analysis, parts.config
    score = score_of(analysis, config.validation.initial_risk_pips)
    complete = not deadline.missing
    result = judge(analysis, parts.significance, score, parts.plan.level, complete=complete)
    weeks = weekly_returns(parts.run.evaluation)
    verdict = _verdict(parts, score, result, len(weeks.week), now_s)
    return Report(
        verdict=verdict,
        level=parts.plan.level,
        complete=complete,
        missing=list(deadline.missing),
        mode=parts.run.evaluation.mode,
        episodes=parts.run.evaluation.episodes,
        episode_pips=[float(x) for x in parts.run.evaluation.episode_pips],
        score=score,
        strengths=list(result.strengths),
        weaknesses=list(result.weaknesses),
        trades=analysis.trades,
        daily=analysis.daily,
        drawdowns=analysis.drawdowns,
        size=analysis.size,
        bandy=analysis.bandy,
        significance=parts.significance,
        baselines=analysis.baselines,
        scenarios=analysis.scenarios,
        breakdown=analysis.breakdown,
        sensitivity=parts.sensitivity,
        walk_forward=parts.walk_forward,
        session_comparison=parts.session_comparison,
        action_share=parts.run.actions,
        costs=_costs(parts),
        provenance=_provenance(parts, deadline.elapsed_s),
        day_numbers=analysis.nav.day.tolist(),
        day_pips=analysis.nav.pips.tolist(),
        day_returns=analysis.nav.returns.tolist(),
        week_numbers=weeks.week.tolist(),
        week_pips=weeks.pips.tolist(),
    )


def _verdict(parts: Parts, score: Score, result: DecisionResult, weeks: int, now_s: float) -> Verdict:
    analysis, found = parts.analysis, parts.significance
    trades, bandy = analysis.trades, analysis.bandy.conservative
    times = parts.run.evaluation.bar_time_s
    return Verdict(
        checkpoint_name=parts.checkpoint.name,
        checkpoint_sha256=parts.checkpoint.sha256,
        config_hash=judged_config_hash(parts.config),
        level=parts.plan.level,
        decision=result.decision,
        reasons=result.reasons,
        score=float(np.clip(score.total, 0, 100)),
        grade=score.grade if trades.trades >= RELIABLE_TRADES else UNGRADED,
        data=VerdictData(
            source=parts.source,
            sha256=parts.market.bars.sha256,
            instrument=parts.market.bars.instrument.name,
            synthetic=parts.synthetic or parts.checkpoint.metadata.data.synthetic,
            start_s=int(times.min()),
            end_s=int(times.max()) + 60,
        ),
        statistics=VerdictStatistics(
            trades=trades.trades,
            weeks=weeks,
            expectancy_pips=trades.expectancy_pips.value,
            total_pips=trades.total_pips,
            sqn=trades.sqn.value,
            win_rate=trades.win_rate.value,
            profit_factor=trades.profit_factor.value,
            sharpe=analysis.daily.sharpe.value,
            sortino=analysis.daily.sortino.value,
            max_drawdown_share=max(analysis.size.observed_drawdown, analysis.size.drawdown95),
            safe_f=bandy.safe_f,
            car25=bandy.car25,
            p_value=found.p_value,
            deflated_sharpe=found.sharpe.deflated if found.sharpe else None,
            pbo=found.overfitting.probability if found.overfitting else None,
        ),
        created_s=now_s,
        expires_s=now_s + parts.config.validation.verdict_days * DAY_S,
    )


def _costs(parts: Parts) -> CostAssumptions:
    trading = parts.config.trading
    spreads = parts.run.evaluation.trades.spread_pips
    return CostAssumptions(
        spread=_spread_sentence(parts),
        mean_entry_spread_pips=float(spreads.mean()) if len(spreads) else None,
        slippage_pips=trading.slippage_pips,
        financing_long_pips_per_day=trading.financing_long_pips_per_day,
        financing_short_pips_per_day=trading.financing_short_pips_per_day,
        minimum_confidence=trading.minimum_confidence,
        max_entry_spread_pips=trading.max_entry_spread_pips,
        no_entry_minutes_before_week_close=trading.no_entry_minutes_before_week_close,
        flat_minutes_before_week_close=trading.flat_minutes_before_week_close,
    )


def _spread_sentence(parts: Parts) -> str:
    """Where the spread of the simulation comes from."""
    if parts.market.bars.spread_recorded:
        return "recorded bid and ask"
    data = parts.config.data
    if data.spread_source == "hourly":
        return "assumed, by the hour of the day"
    return f"assumed, {data.spread_pips:g} pips a round trip"


def _provenance(parts: Parts, elapsed_s: float) -> Provenance:
    metadata, search = parts.checkpoint.metadata, parts.config.trading.search
    data = metadata.data
    return Provenance(
        checkpoint_episode=metadata.episode,
        checkpoint_version=metadata.version,
        architecture=metadata.architecture,
        feature_profile=metadata.feature_profile,
        git_commit=metadata.git_commit,
        trained_config_hash=metadata.config_hash,
        training_data=f"{data.source}, {iso_utc(data.train_start_s)[:10]} – {iso_utc(data.train_end_s)[:10]}",
        search_algorithm=search.algorithm,
        simulations=search.simulations,
        seed=parts.config.validation.seed,
        elapsed_s=elapsed_s,
    )
