"""Resampled curves, safe-f, CAR25 and the stress scenarios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swt_validation.resampling import resample
from swt_validation.safe_f import SafeFOutcome, risk_normalise, safe_f
from swt_validation.scenarios import SCENARIOS, run_scenarios

RETURNS = np.random.default_rng(5).normal(0.001, 0.01, 130)
ORACLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "performance_oracles.json").read_text()
)["series"]


def curves(returns: np.ndarray = RETURNS, **changes: Any) -> Any:
    settings = {"fraction": 1.0, "runs": 4000, "steps": 504, "block": 1, "seed": 3} | changes
    return resample(returns, **settings)


def test_final_wealth_has_the_moments_of_independent_draws() -> None:
    found = curves(runs=20_000).final_log_wealth
    logs = np.log1p(RETURNS)
    assert found.mean() == pytest.approx(504 * logs.mean(), abs=4 * logs.std() * (504 / 20_000) ** 0.5)
    assert found.std() == pytest.approx(504**0.5 * logs.std(), rel=0.03)


def test_drawdowns_agree_with_a_plain_numpy_bootstrap() -> None:
    rng = np.random.default_rng(0)
    wealth = np.cumprod(1 + RETURNS[rng.integers(0, 130, (4000, 504))], axis=1)
    peak = np.maximum.accumulate(np.maximum(wealth, 1.0), axis=1)
    plain = (1 - wealth / peak).max(axis=1)
    found = curves().max_drawdown
    for percentile in (5, 50, 95):
        assert np.percentile(found, percentile) == pytest.approx(np.percentile(plain, percentile), rel=0.05)


def test_a_curve_does_not_depend_on_how_many_there_are() -> None:
    few, many = curves(runs=7), curves(runs=1000)
    np.testing.assert_array_equal(few.final_log_wealth, many.final_log_wealth[:7])
    np.testing.assert_array_equal(few.max_drawdown, many.max_drawdown[:7])


def test_seeds_differ_and_repeat() -> None:
    np.testing.assert_array_equal(curves().max_drawdown, curves().max_drawdown)
    assert not np.array_equal(curves(seed=3).max_drawdown, curves(seed=4).max_drawdown)


def test_a_block_as_long_as_the_series_only_rotates_it() -> None:
    found = curves(steps=130, block=130, runs=500).final_log_wealth
    np.testing.assert_allclose(found, np.log1p(RETURNS).sum(), rtol=1e-9)


def test_blocks_keep_streaks_together() -> None:
    streaky = np.repeat([0.02, -0.02], 10)
    assert np.median(curves(streaky, block=10).max_drawdown) > np.median(curves(streaky).max_drawdown) + 0.05


def test_a_growth_factor_of_zero_or_less_is_ruin() -> None:
    found = curves(np.array([0.1, -0.6]), fraction=2.0, runs=200)
    assert np.all(found.final_log_wealth == -np.inf)
    assert np.all(found.max_drawdown == 1.0)
    assert np.all(found.annual_growth(2.0) == -1.0)


@pytest.mark.parametrize("block", [1, 5])
def test_drawdown_never_falls_as_the_fraction_grows(block: int) -> None:
    deepest = [curves(fraction=f, block=block, runs=300).max_drawdown for f in (0.5, 1.0, 2.0, 5.0, 20.0)]
    assert np.all(np.diff(deepest, axis=0) >= -1e-12)


@pytest.mark.parametrize("name", ["drifting", "flat_days", "skewed"])
def test_safe_f_and_car25_equal_bandys_own_program(name: str) -> None:
    oracle, returns = ORACLES[name]["risk_normalization"], np.array(ORACLES[name]["returns"])
    fraction, outcome = safe_f(returns, runs=20_000, block=1, seed=1, steps=oracle["trades"])
    assert outcome is SafeFOutcome.FOUND
    assert fraction == pytest.approx(oracle["safe_f"], abs=4 * oracle["safe_f_stdev"] + 0.02 * fraction)
    found = risk_normalise(returns, runs=20_000, block=1, seeds=(1, 2), steps=oracle["trades"])
    rescaled = (1 + found.car25) ** (oracle["trades"] / oracle["days"]) - 1
    assert 100 * rescaled == pytest.approx(
        oracle["car25"], abs=4 * oracle["car25_stdev"] + 0.03 * oracle["car25"]
    )


def test_safe_f_keeps_the_tail_of_drawdown_at_the_tolerance() -> None:
    found = risk_normalise(RETURNS, runs=20_000, block=5, seeds=(1, 2))
    assert found.outcome is SafeFOutcome.FOUND
    assert found.drawdown95 == pytest.approx(0.20, abs=0.01)
    assert found.car_low < found.car25 < found.car50 < found.car75 < found.car_high


def test_a_series_that_never_loses_is_no_drawdown_at_the_margin_limit() -> None:
    found = risk_normalise(np.array([0.0, 0.001, 0.002]), runs=100, block=1, seeds=(1, 2))
    assert found.outcome is SafeFOutcome.NO_DRAWDOWN
    assert found.safe_f == 20.0
    assert found.car25 > 0


def test_small_losses_meet_the_margin_limit() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.0005, 100)
    assert safe_f(returns, runs=200, block=1, seed=1) == (20.0, SafeFOutcome.MARGIN_LIMIT)


def test_a_certain_loser_has_a_tiny_safe_f_and_a_negative_car25() -> None:
    found = risk_normalise(np.full(50, -0.01), runs=200, block=1, seeds=(1, 2))
    assert found.safe_f < 0.1
    assert found.car25 < 0


def test_one_day_is_too_few() -> None:
    assert safe_f(np.array([0.01]), runs=100, block=1, seed=1)[1] is SafeFOutcome.TOO_FEW_DAYS


def test_each_stress_scenario_is_harder_than_the_original() -> None:
    trades = np.random.default_rng(2).normal(0.0006, 0.003, 400)
    by_name = {s.name: s for s in run_scenarios(trades, years=0.5, fraction=1.0, runs=2000, seed=1)}
    assert tuple(by_name) == SCENARIOS
    original = by_name["original"].annual_growth.median
    assert by_name["drop_best_20pct"].annual_growth.median < by_name["adverse_selection"].annual_growth.high
    assert by_name["drop_best_20pct"].annual_growth.median < original - 0.1
    assert by_name["adverse_selection"].annual_growth.median < original - 0.1
    assert by_name["drop_10pct"].annual_growth.median < original
    assert by_name["resample_150pct"].trades == 600
    assert by_name["resample_150pct"].annual_growth.median == pytest.approx(original, rel=0.15)


def test_adverse_selection_never_helps_a_strategy_that_mostly_loses() -> None:
    trades = np.array([-0.001] * 90 + [0.02] * 10)
    by_name = {s.name: s for s in run_scenarios(trades, years=0.5, fraction=1.0, runs=2000, seed=1)}
    assert by_name["adverse_selection"].annual_growth.median <= by_name["original"].annual_growth.median * 1.1


def test_without_trades_there_are_no_scenarios() -> None:
    assert run_scenarios(np.zeros(0), years=1.0, fraction=1.0, runs=10, seed=1) == []
