"""DEPLOY, TEST, IMPROVE or REJECT, with reasons a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swt_core.verdict import Decision
from swt_validation.scoring import Score
from swt_validation.wording import share

MINIMUM_TRADES: Final = 30
DEPLOY_TRADES: Final = 100
REJECT_DRAWDOWN: Final = 0.30
REJECT_SCORE: Final = 60.0
TEST_SCORE: Final = 70.0
TEST_COMPONENT: Final = 50.0
DEPLOY_SCORE: Final = 80.0
SIGNIFICANCE: Final = 0.05
DEFLATED_SHARPE: Final = 0.95
# Bandy's thresholds.
MINIMUM_CAR25: Final = 0.15
MAXIMUM_DRAWDOWN: Final = 0.25
MINIMUM_PROFIT_FACTOR: Final = 1.5
MINIMUM_WIN_RATE: Final = 0.40
# Levels that replay whole weeks: only these can say DEPLOY.
DEPLOY_LEVELS: Final = ("FULL", "COMPREHENSIVE")


@dataclass(frozen=True)
class DecisionInputs:
    """The figures the rules look at; None where a figure is undefined or was not computed.

    Attributes:
        max_drawdown: share of equity at the size really traded: the worse of what was observed and the
            95th percentile of its resampled curves.
        car25: the lower of the IID and the block bootstrap.
        complete: False when the time limit cut the validation short.
    """

    level: str
    trades: int
    expectancy_pips: float | None
    profit_factor: float | None
    win_rate: float | None
    max_drawdown: float
    car25: float | None
    p_value: float | None
    deflated_sharpe: float | None
    trials: float
    complete: bool = True


@dataclass(frozen=True)
class DecisionResult:
    """A decision and its reasons.

    Attributes:
        reasons: why it is not better than it is (for DEPLOY: what it rests on).
        strengths, weaknesses: plain sentences for the report.
    """

    decision: Decision
    reasons: tuple[str, ...]
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]


def _pips(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f} pips"


def _figure(value: float | None, digits: int = 2) -> str:
    return "not known" if value is None else f"{value:.{digits}f}"


def reject_reasons(inputs: DecisionInputs, score: Score) -> list[str]:
    """What alone is enough to refuse a model."""
    reasons = []
    if not inputs.trades:
        reasons.append(f"It never traded; fewer than {MINIMUM_TRADES} trades prove nothing.")
    elif inputs.trades < MINIMUM_TRADES:
        closed = "trade was" if inputs.trades == 1 else "trades were"
        reasons.append(f"Only {inputs.trades} {closed} closed; fewer than {MINIMUM_TRADES} prove nothing.")
    if inputs.trades and (inputs.expectancy_pips is None or inputs.expectancy_pips <= 0):
        reasons.append(
            f"The average trade is {_pips(inputs.expectancy_pips)} after costs: there is no profit."
        )
    if inputs.max_drawdown > REJECT_DRAWDOWN:
        reasons.append(
            f"The maximum drawdown of {inputs.max_drawdown:.1%} at the traded size exceeds "
            f"{REJECT_DRAWDOWN:.0%}."
        )
    if score.total < REJECT_SCORE:
        reasons.append(f"The composite score of {score.total:.1f} is below {REJECT_SCORE:.0f}.")
    return reasons


def deploy_obstacles(inputs: DecisionInputs, score: Score) -> list[str]:
    """What stands between this model and real money."""
    missing = []
    if inputs.level not in DEPLOY_LEVELS:
        missing.append(f"A {inputs.level} validation never deploys: whole trading weeks have to be replayed.")
    if not inputs.complete:
        missing.append("The validation was cut short by its time limit.")
    if score.total < DEPLOY_SCORE:
        missing.append(f"The composite score of {score.total:.1f} is below {DEPLOY_SCORE:.0f}.")
    if inputs.trades < DEPLOY_TRADES:
        missing.append(f"{inputs.trades} trades are fewer than the {DEPLOY_TRADES} that deployment needs.")
    if inputs.car25 is None or inputs.car25 < MINIMUM_CAR25:
        missing.append(f"CAR25 at safe-f is {share(inputs.car25)}, below {MINIMUM_CAR25:.0%}.")
    if inputs.max_drawdown > MAXIMUM_DRAWDOWN:
        missing.append(
            f"The drawdown of {inputs.max_drawdown:.1%} at the traded size is above {MAXIMUM_DRAWDOWN:.0%}."
        )
    if inputs.profit_factor is None or inputs.profit_factor < MINIMUM_PROFIT_FACTOR:
        missing.append(
            f"The profit factor of {_figure(inputs.profit_factor)} is below {MINIMUM_PROFIT_FACTOR}."
        )
    if inputs.win_rate is None or inputs.win_rate < MINIMUM_WIN_RATE:
        missing.append(f"The win rate of {share(inputs.win_rate)} is below {MINIMUM_WIN_RATE:.0%}.")
    if inputs.p_value is None or inputs.p_value > SIGNIFICANCE:
        missing.append(
            f"Random entries at the same rate do as well with probability {_figure(inputs.p_value, 3)}; "
            f"at most {SIGNIFICANCE} is accepted."
        )
    if inputs.deflated_sharpe is None or inputs.deflated_sharpe < DEFLATED_SHARPE:
        missing.append(
            f"The deflated Sharpe ratio over {inputs.trials:.0f} effective trial(s) is "
            f"{_figure(inputs.deflated_sharpe, 3)}, below {DEFLATED_SHARPE}."
        )
    return missing


def decide(inputs: DecisionInputs, score: Score) -> DecisionResult:
    """Apply the rules, hardest first."""
    strengths, weaknesses = _appraisal(inputs, score)
    rejected = reject_reasons(inputs, score)
    if rejected:
        return DecisionResult(Decision.REJECT, tuple(rejected), strengths, weaknesses)
    obstacles = deploy_obstacles(inputs, score)
    if not obstacles:
        reasons = (
            f"The composite score is {score.total:.1f} ({score.grade}) over {inputs.trades:,} trades.",
            f"CAR25 at safe-f is {share(inputs.car25)}; the drawdown stays at {inputs.max_drawdown:.1%}.",
            f"Random entries reach this profit with probability {_figure(inputs.p_value, 3)}; the deflated "
            f"Sharpe ratio is {_figure(inputs.deflated_sharpe, 3)}.",
        )
        return DecisionResult(Decision.DEPLOY, reasons, strengths, weaknesses)
    weak = [name for name, value in score.components.items() if value < TEST_COMPONENT]
    if score.total >= TEST_SCORE and not weak:
        return DecisionResult(Decision.TEST, tuple(obstacles), strengths, weaknesses)
    if weak:
        obstacles.append(f"Components below {TEST_COMPONENT:.0f} points: {', '.join(weak)}.")
    return DecisionResult(Decision.IMPROVE, tuple(obstacles), strengths, weaknesses)


def _appraisal(inputs: DecisionInputs, score: Score) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Strengths and weaknesses in plain sentences."""
    strengths, weaknesses = [], []
    for name, value in score.components.items():
        if value >= 85 and score.expectancy > 0:
            strengths.append(f"{name.capitalize()} earns {value:.0f} of 100 points.")
        elif value < TEST_COMPONENT:
            weaknesses.append(f"{name.capitalize()} earns only {value:.0f} of 100 points.")
    if inputs.p_value is not None:
        if inputs.p_value <= 0.01:
            strengths.append("Its timing beats random entries at the same rate beyond reasonable doubt.")
        elif inputs.p_value > SIGNIFICANCE:
            weaknesses.append("Its timing cannot be told from random entries at the same rate.")
    if inputs.car25 is not None and inputs.car25 >= MINIMUM_CAR25:
        strengths.append(
            f"Three of four resampled futures earn at least {share(inputs.car25, 0)} a year at safe-f."
        )
    if inputs.deflated_sharpe is not None and inputs.deflated_sharpe < DEFLATED_SHARPE:
        weaknesses.append("Its Sharpe ratio could be the luckiest of the checkpoints that were tried.")
    if 0 < inputs.trades < DEPLOY_TRADES:
        sample = "one trade" if inputs.trades == 1 else f"{inputs.trades} trades"
        weaknesses.append(f"The sample of {sample} is small: every figure has a wide interval.")
    if inputs.trades < MINIMUM_TRADES:  # whatever it seems to do well, this proves nothing
        strengths = []
    return tuple(strengths), tuple(weaknesses)
