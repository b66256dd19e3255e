"""Sharpe, Sortino, Calmar, drawdowns: closed forms, small samples, recorded outside oracles."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swt_validation.performance import (
    calmar,
    compound_annual_return,
    drawdown_curve,
    drawdowns,
    longest_drawdown,
    max_drawdown,
    sharpe,
    sortino,
)
from swt_validation.safe_f import kelly
from swt_validation.sharpe_inference import deflated_sharpe, expected_best_sharpe, probabilistic_sharpe

ORACLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "performance_oracles.json").read_text()
)
SERIES = sorted(ORACLES["series"])


def returns_of(name: str) -> np.ndarray:
    return np.array(ORACLES["series"][name]["returns"])


@pytest.mark.parametrize("name", SERIES)
def test_daily_figures_equal_quantstats(name: str) -> None:
    oracle, returns = ORACLES["series"][name]["quantstats"], returns_of(name)
    assert sharpe(returns) == pytest.approx(oracle["sharpe"], rel=1e-9)
    assert sortino(returns) == pytest.approx(oracle["sortino"], rel=1e-9)
    assert max_drawdown(returns) == pytest.approx(-oracle["max_drawdown"], rel=1e-9)
    assert compound_annual_return(returns) == pytest.approx(oracle["cagr"], rel=1e-9)
    assert calmar(returns) == pytest.approx(oracle["calmar"], rel=1e-9)
    # quantstats takes the bias-corrected skewness and kurtosis, the paper (and skfolio) the plain ones.
    assert probabilistic_sharpe(returns) == pytest.approx(oracle["probabilistic_sharpe"], abs=5e-4)


@pytest.mark.parametrize("name", SERIES)
def test_sharpe_inference_equals_skfolio(name: str) -> None:
    oracle, returns = ORACLES["series"][name]["skfolio"], returns_of(name)
    trials = np.array(ORACLES["trials"])
    assert max_drawdown(returns) == pytest.approx(oracle["max_drawdown_compounded"], rel=1e-12)
    assert probabilistic_sharpe(returns, 0.02) == pytest.approx(
        oracle["probabilistic_sharpe_benchmark_0.02"], rel=1e-9
    )
    found = deflated_sharpe(returns, trials=len(trials), trial_sharpes=trials)
    assert found is not None
    if np.std(trials, ddof=1) > 1 / math.sqrt(len(returns) - 1):
        assert found.deflated == pytest.approx(oracle["deflated_sharpe"], rel=1e-9)
    else:
        assert found.deflated <= oracle["deflated_sharpe"]


@pytest.mark.parametrize("trials", [1, 2, 10, 500])
def test_the_expected_best_of_n_equals_skfolio(trials: int) -> None:
    assert expected_best_sharpe(trials, 0.07) == pytest.approx(ORACLES["expected_max"][str(trials)], rel=1e-9)


@pytest.mark.parametrize("name", SERIES)
def test_kelly_equals_quantstats_on_series_without_flat_days(name: str) -> None:
    returns = returns_of(name)
    moves = returns[returns != 0]
    assert kelly(moves) == pytest.approx(ORACLES["series"][name]["quantstats"]["kelly_of_moves"], rel=1e-9)


def test_sharpe_of_alternating_days_has_a_closed_form() -> None:
    returns = np.tile([0.02, -0.01], 50)
    deviation = 0.015 * math.sqrt(100 / 99)
    assert sharpe(returns) == pytest.approx(0.005 / deviation * math.sqrt(252))
    assert sortino(returns) == pytest.approx(0.005 / math.sqrt(0.5 * 1e-4) * math.sqrt(252))


@pytest.mark.parametrize("returns", [[], [0.01]])
def test_fewer_than_two_days_have_no_ratio(returns: list[float]) -> None:
    assert sharpe(np.array(returns)) is None
    assert sortino(np.array(returns)) is None
    assert probabilistic_sharpe(np.array(returns)) is None


def test_days_without_any_loss_have_infinite_sortino_and_calmar() -> None:
    returns = np.array([0.01, 0.0, 0.02])
    assert sortino(returns) == math.inf
    assert calmar(returns) == math.inf
    assert max_drawdown(returns) == 0.0


def test_a_flat_agent_has_no_ratio_at_all() -> None:
    returns = np.zeros(30)
    assert sharpe(returns) is None
    assert sortino(returns) is None
    assert calmar(returns) is None
    assert compound_annual_return(returns) == 0.0


def test_ruin_is_a_return_of_minus_one_and_a_drawdown_of_one() -> None:
    returns = np.array([0.1, -1.5, 0.3])
    assert compound_annual_return(returns) == -1.0
    assert max_drawdown(returns) == 1.0


def test_the_start_counts_as_a_peak() -> None:
    assert drawdown_curve(np.array([-0.1, 0.05]))[0] == pytest.approx(0.1)


def test_drawdowns_name_peak_trough_and_recovery() -> None:
    equity = np.array([5.0, 3.0, 1.0, 6.0, 4.0])
    first, second = drawdowns(equity)
    assert (first.peak, first.trough, first.recovery, first.depth) == (0, 2, 3, 4.0)
    assert (second.peak, second.trough, second.recovery, second.depth) == (3, 4, None, 2.0)
    assert longest_drawdown(equity) == 2


def test_a_loss_from_the_start_is_a_drawdown_from_the_start() -> None:
    (fall,) = drawdowns(np.array([-2.0, -1.0]))
    assert (fall.peak, fall.trough, fall.recovery, fall.depth) == (-1, 0, None, 2.0)


def test_kelly_without_losses_is_the_win_rate_and_without_wins_undefined() -> None:
    assert kelly(np.array([1.0, 2.0, 0.0, 3.0])) == 0.75
    assert kelly(np.array([-1.0, -2.0])) is None
    assert kelly(np.array([])) is None
    assert kelly(np.array([2.0, -1.0])) == pytest.approx(0.5 - 0.5 * 1 / 2)


def test_one_trial_makes_the_deflated_sharpe_the_probabilistic_one() -> None:
    found = deflated_sharpe(returns_of("drifting"), trials=1)
    assert found is not None
    assert found.deflated == found.probabilistic


def test_near_equal_trials_cannot_hide_a_search() -> None:
    returns = returns_of("drifting")
    honest = deflated_sharpe(returns, trials=50, trial_sharpes=np.full(50, 0.1))
    assert honest is not None
    assert honest.benchmark == pytest.approx(expected_best_sharpe(50, 1 / math.sqrt(len(returns) - 1)))
