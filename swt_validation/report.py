"""The report's schema: every figure behind a verdict, as `report.json`.

Statistics are stored as they are computed (frozen dataclasses), None where undefined and ``Infinity``
where nothing was lost. ``Report.model_json_schema()`` is the file's JSON schema.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from swt_core.verdict import Verdict
from swt_validation.overfitting import BacktestOverfitting
from swt_validation.safe_f import RiskNormalised
from swt_validation.scenarios import Scenario
from swt_validation.scoring import Score
from swt_validation.sharpe_inference import SharpeInference
from swt_validation.trades import Bucket, Interval, TradeSummary

REPORT_FILE: Final = "report.json"
PDF_FILE: Final = "report.pdf"
HTML_FILE: Final = "report.html"
TRADES_FILE: Final = "trades.csv"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class DailyFigures(_Part):
    """Growth and risk of the daily NAV at 17:00 New York, unlevered."""

    days: int = Field(description="trading days with bars")
    total_return: float | None = Field(description="compounded return of the whole range")
    annual_return: float | None = Field(description="compound annual return")
    sharpe: Interval = Field(description="annualised, with bootstrap interval")
    sortino: Interval = Field(description="annualised, with bootstrap interval")
    calmar: float | None = Field(description="annual return over max drawdown")
    max_drawdown: float = Field(description="largest drawdown, share of equity, unlevered")
    max_drawdown_pips: float = Field(description="largest drawdown of marked equity bar by bar, pips")
    longest_drawdown_days: int = Field(description="longest time below an earlier peak, trading days")
    losing_day_share: float | None = Field(description="share of days that lost")


class DrawdownRow(_Part):
    """One fall of the daily equity."""

    depth_pips: float
    peak_day: str | None = Field(description="None: the start")
    trough_day: str
    recovery_day: str | None = Field(description="None: not recovered")


class TradedSize(_Part):
    """Figures at the size really traded."""

    fraction: float = Field(description="notional over equity")
    source: Literal["configured", "safe-f"]
    observed_drawdown: float = Field(description="of the daily NAV, share of equity")
    drawdown95: float = Field(description="95th percentile over resampled curves")
    annual_return: float | None = Field(description="compound annual return of the observed days")


class BandyFigures(_Part):
    """Safe-f and CAR25 by both bootstraps, Kelly beside them."""

    iid: RiskNormalised
    block: RiskNormalised
    kelly: float | None = Field(description="Kelly's fraction of trades")
    quarter_kelly: float | None = Field(description="0.25 · Kelly")
    runs: int = Field(description="curves in each set")

    @property
    def conservative(self) -> RiskNormalised:
        """The bootstrap with the lower CAR25: what the rules look at."""
        return min(self.iid, self.block, key=lambda result: result.car25)


class Significance(_Part):
    """How likely luck explains the result."""

    p_value: float | None = Field(description="random entries at the same rate do as well")
    random_mean_pips: float | None
    random_low_pips: float | None = Field(description="2.5th percentile of random entries")
    random_high_pips: float | None = Field(description="97.5th percentile of random entries")
    permutations: int
    sharpe: SharpeInference | None = Field(description="probabilistic and deflated Sharpe ratio")
    trials: int = Field(description="checkpoints tried on this range")
    effective_trials: int = Field(description="clusters among them")
    overfitting: BacktestOverfitting | None = Field(description="PBO by CSCV; None with too few trials")
    reality_check: float | None = Field(description="White's p-value of the best trial")


class BaselineRow(_Part):
    """One line of the comparison table."""

    name: str
    total_pips: float
    trades: int
    expectancy_pips: float | None
    profit_factor: float | None
    win_rate: float | None
    sharpe: float | None
    max_drawdown_pips: float


class SensitivityRow(_Part):
    """The same agent under one changed assumption."""

    name: str
    trades: int
    total_pips: float
    expectancy_pips: float | None
    change_pips: float = Field(description="total against the reference run on the same episodes")


class Breakdown(_Part):
    """Where the profit comes from."""

    hours: list[Bucket] = Field(description="by New York hour of entry")
    weekdays: list[Bucket]
    volatility: list[Bucket] = Field(description="by terciles of volatility at entry")
    events: list[Bucket]


class Fold(_Part):
    """One out-of-sample piece of the walk-forward."""

    start_s: int
    end_s: int
    weeks: int
    trades: int
    total_pips: float
    annual_pips: float
    in_sample_annual_pips: float
    efficiency: float | None = Field(description="annualised out / in; None if in-sample ≤ 0")


class WalkForward(_Part):
    """Out-of-sample against in-sample profit, fold by fold."""

    scheme: Literal["rolling", "anchored"]
    folds: list[Fold]
    efficiency: float | None = Field(description="annualised, whole out-of-sample over mean in-sample")
    t_statistic: float | None = Field(description="of the stitched weekly out-of-sample returns")
    profitable_share: float = Field(description="share of folds with a profit")
    robustness: float = Field(description="0–100: profitable folds 50 %, efficiency 30 %, worst fold 20 %")


class CostAssumptions(_Part):
    """What trading was assumed to cost."""

    spread: str = Field(description="where the spread comes from")
    mean_entry_spread_pips: float | None
    slippage_pips: float = Field(description="adverse, each fill")
    financing_long_pips_per_day: float
    financing_short_pips_per_day: float
    minimum_confidence: float
    max_entry_spread_pips: float
    no_entry_minutes_before_week_close: int
    flat_minutes_before_week_close: int


class Provenance(_Part):
    """What exactly was judged, by what."""

    checkpoint_episode: int
    checkpoint_version: str
    architecture: str
    feature_profile: str
    git_commit: str | None
    trained_config_hash: str
    training_data: str
    search_algorithm: str
    simulations: int
    seed: int
    elapsed_s: float


class Report(_Part):
    """The whole validation."""

    schema_version: Literal[1] = 1
    verdict: Verdict
    level: Literal["QUICK", "STANDARD", "FULL", "COMPREHENSIVE"]
    complete: bool = Field(description="False: the time limit cut it short")
    missing: list[str] = Field(description="parts that the time limit left out")
    mode: Literal["weeks", "sessions"]
    episodes: int
    episode_pips: list[float] = Field(description="profit of each episode after costs, pips")
    score: Score
    strengths: list[str]
    weaknesses: list[str]
    trades: TradeSummary
    daily: DailyFigures
    drawdowns: list[DrawdownRow]
    size: TradedSize
    bandy: BandyFigures
    significance: Significance
    baselines: list[BaselineRow]
    scenarios: list[Scenario]
    breakdown: Breakdown
    sensitivity: list[SensitivityRow]
    walk_forward: list[WalkForward]
    session_comparison: BaselineRow | None = Field(description="the agent in training's sessions")
    action_share: dict[str, float] = Field(description="share of each action among all decisions")
    costs: CostAssumptions
    provenance: Provenance
    day_numbers: list[int] = Field(description="closing date of each trading day, days since the epoch")
    day_pips: list[float] = Field(description="profit of each trading day, pips")
    day_returns: list[float] = Field(description="the same as unlevered return")
    week_numbers: list[int] = Field(description="FX weeks")
    week_pips: list[float] = Field(description="profit of each week, pips")
