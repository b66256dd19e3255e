"""Tiers, grades and the rules of decision."""

from __future__ import annotations

import math
from typing import Any

import pytest

from swt_core.verdict import Decision
from swt_validation.decision import DecisionInputs, decide
from swt_validation.scoring import (
    DRAWDOWN_TIERS,
    EXPECTANCY_TIERS,
    PROFIT_FACTOR_TIERS,
    SHARPE_TIERS,
    SORTINO_TIERS,
    WIN_RATE_TIERS,
    Score,
    composite_score,
    grade,
    points,
)


@pytest.mark.parametrize(
    ("tiers", "values"),
    [
        (EXPECTANCY_TIERS, (0.5, 0.3, 0.1)),
        (SHARPE_TIERS, (2, 1.5, 1)),
        (SORTINO_TIERS, (2.5, 2, 1.5)),
        (WIN_RATE_TIERS, (0.6, 0.5, 0.4)),
        (PROFIT_FACTOR_TIERS, (2, 1.5, 1.2)),
        (DRAWDOWN_TIERS, (0.10, 0.15, 0.20)),
    ],
)
def test_tiers_earn_100_70_and_40_points(tiers: Any, values: tuple[float, ...]) -> None:
    assert [points(value, tiers) for value in values] == pytest.approx([100, 70, 40])
    assert points((values[0] + values[1]) / 2, tiers) == pytest.approx(85)


def test_undefined_figures_earn_nothing_and_infinite_ones_all() -> None:
    assert points(None, SHARPE_TIERS) == 0
    assert points(math.nan, SHARPE_TIERS) == 0
    assert points(math.inf, SORTINO_TIERS) == 100
    assert points(0.30, DRAWDOWN_TIERS) == 0


def test_the_composite_weighs_its_parts() -> None:
    score = composite_score(
        expectancy_r=0.3, sharpe=2.0, sortino=1.5, win_rate=0.5, profit_factor=2.0, max_drawdown=0.2
    )
    assert (score.expectancy, score.risk_adjusted, score.consistency, score.drawdown) == pytest.approx(
        (70, 70, 82, 40)
    )
    assert score.total == pytest.approx(0.3 * 70 + 0.3 * 70 + 0.2 * 82 + 0.2 * 40)


def test_no_trades_earn_no_points_for_having_no_drawdown() -> None:
    score = composite_score(
        expectancy_r=None, sharpe=None, sortino=None, win_rate=None, profit_factor=None, max_drawdown=0.0
    )
    assert score.total == 0


def test_grades() -> None:
    letters = [grade(value) for value in (95, 94.9, 85, 80, 75, 70, 65, 60, 55, 50, 49.9)]
    assert letters == ["A+", "A", "A−", "B+", "B", "B−", "C+", "C", "C−", "D", "F"]


def inputs(**changes: Any) -> DecisionInputs:
    good: dict[str, Any] = {
        "level": "FULL",
        "trades": 150,
        "expectancy_pips": 3.0,
        "profit_factor": 2.0,
        "win_rate": 0.55,
        "max_drawdown": 0.2,
        "car25": 0.4,
        "p_value": 0.01,
        "deflated_sharpe": 0.99,
        "trials": 3,
    }
    return DecisionInputs(**(good | changes))


def score(total: float = 85.0, **parts: float) -> Score:
    values = {"expectancy": 80.0, "risk_adjusted": 80.0, "consistency": 80.0, "drawdown": 80.0} | parts
    return Score(**values, total=total, grade=grade(total))


def test_a_model_that_passes_everything_is_deployed() -> None:
    found = decide(inputs(), score())
    assert found.decision is Decision.DEPLOY
    assert len(found.reasons) == 3


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"trades": 29}, "29 trades"),
        ({"expectancy_pips": 0.0}, "no profit"),
        ({"expectancy_pips": None}, "undefined"),
        ({"max_drawdown": 0.31}, "drawdown"),
    ],
)
def test_one_disqualifying_figure_rejects(changes: dict[str, Any], word: str) -> None:
    found = decide(inputs(**changes), score())
    assert found.decision is Decision.REJECT
    assert any(word in reason for reason in found.reasons)


def test_a_score_below_60_rejects() -> None:
    assert decide(inputs(), score(59.9)).decision is Decision.REJECT


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "QUICK"},
        {"level": "STANDARD"},
        {"trades": 99},
        {"car25": 0.149},
        {"car25": None},
        {"max_drawdown": 0.26},
        {"profit_factor": 1.49},
        {"win_rate": 0.39},
        {"p_value": 0.051},
        {"p_value": None},
        {"deflated_sharpe": 0.949},
        {"deflated_sharpe": None},
        {"complete": False},
    ],
)
def test_nothing_that_misses_one_condition_is_ever_deployed(changes: dict[str, Any]) -> None:
    found = decide(inputs(**changes), score(99))
    assert found.decision is Decision.TEST
    assert len(found.reasons) == 1


def test_a_weak_component_means_improve() -> None:
    found = decide(inputs(), score(75, drawdown=49.0))
    assert found.decision is Decision.IMPROVE
    assert any("drawdown" in reason for reason in found.reasons)


def test_a_middling_score_means_improve() -> None:
    assert decide(inputs(), score(65)).decision is Decision.IMPROVE
    assert decide(inputs(), score(72)).decision is Decision.TEST


def test_every_reason_is_a_sentence() -> None:
    found = decide(inputs(trades=5, expectancy_pips=-1.0, max_drawdown=0.5), score(10))
    for sentence in (*found.reasons, *found.strengths, *found.weaknesses):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
