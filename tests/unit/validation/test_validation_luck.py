"""Permutation test, backtest overfitting, reality check, effective trials."""

from __future__ import annotations

import numpy as np
import pytest

from swt_validation.overfitting import probability_of_overfitting, reality_check
from swt_validation.permutation import PlacedTrades, permutation_test
from swt_validation.sharpe_inference import effective_trials

BARS = 2000
FIRST, LAST = np.array([0, 1000]), np.array([997, 1997])


def price(seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0, 3, BARS))


def trades_at(entries: np.ndarray, sides: np.ndarray, mid: np.ndarray, length: int = 10) -> PlacedTrades:
    leave = entries + length
    pnl = sides * (mid[leave] - mid[entries]) - 4.0
    return PlacedTrades((entries >= 1000).astype(np.int64), entries, leave, sides, pnl)


def permuted(trades: PlacedTrades, mid: np.ndarray, seed: int = 0, permutations: int = 999):  # type: ignore[no-untyped-def]
    return permutation_test(
        trades,
        open_mid_pips=mid,
        first_rows=FIRST,
        last_rows=LAST,
        permutations=permutations,
        seed=seed,
    )


ENTRIES = np.concatenate((np.arange(5, 950, 30), np.arange(1005, 1950, 30)))


def test_foresight_is_significant() -> None:
    mid = price(1)
    sides = np.sign(mid[ENTRIES + 10] - mid[ENTRIES]).astype(np.int64)
    found = permuted(trades_at(ENTRIES, sides, mid), mid)
    assert found.p_value == pytest.approx(0.001)
    assert found.random_pips.max() < found.observed_pips


def test_p_values_of_random_agents_are_uniform() -> None:
    values = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        mid = price(seed + 1000)
        starts = np.sort(rng.choice(90, 20, replace=False)) * 11 + 2
        found = permuted(trades_at(starts, rng.choice([-1, 1], 20), mid), mid, seed, 99)
        values.append(found.p_value)
    # Kolmogorov-Smirnov distance, 1 % critical value of 300 draws.
    ordered = np.sort(values)
    assert np.abs(ordered - np.arange(1, 301) / 300).max() < 1.63 / 300**0.5


def test_being_long_in_a_rising_market_is_no_skill() -> None:
    mid = np.arange(BARS) * 1.0
    found = permuted(trades_at(ENTRIES, np.ones(len(ENTRIES), np.int64), mid), mid)
    assert found.p_value == 1.0
    np.testing.assert_allclose(found.random_pips, found.observed_pips)


def test_random_entries_pay_the_same_costs() -> None:
    mid = np.zeros(BARS)
    found = permuted(trades_at(ENTRIES, np.ones(len(ENTRIES), np.int64), mid), mid)
    np.testing.assert_allclose(found.random_pips, -4.0 * len(ENTRIES))


def test_without_trades_there_is_no_p_value() -> None:
    none = np.zeros(0, np.int64)
    assert permuted(PlacedTrades(none, none, none, none, np.zeros(0)), price(1)).p_value is None


def test_an_agent_that_is_always_in_the_market_can_be_tested() -> None:
    entries = np.concatenate((np.arange(1, 980, 11), np.arange(1001, 1980, 11)))
    mid = price(3)
    assert 0 < permuted(trades_at(entries, np.ones(len(entries), np.int64), mid), mid).p_value <= 1


def test_the_best_of_pure_noise_is_overfitted() -> None:
    rng = np.random.default_rng(0)
    values = [probability_of_overfitting(rng.normal(0, 1, (40, 60))) for _ in range(30)]
    assert np.mean([found.probability for found in values if found]) == pytest.approx(0.5, abs=0.12)


def test_one_trial_that_is_always_better_is_not_overfitted() -> None:
    returns = np.random.default_rng(0).normal(0, 1, (20, 60))
    returns[7] += 3
    found = probability_of_overfitting(returns)
    assert found is not None
    assert found.probability == 0.0
    assert found.loss_probability == 0.0
    assert found.splits == 252


def test_a_trial_that_only_shines_in_one_half_is_overfitted() -> None:
    # Each trial earns in its own half of the blocks and loses in the other.
    pattern = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1], [-1, 1, 1, -1]])
    returns = np.repeat(np.concatenate((pattern, -pattern)), 5, axis=1) + np.tile([0.1, 0, -0.1, 0, 0.05], 4)
    found = probability_of_overfitting(returns, blocks=4)
    assert found is not None
    assert found.probability == 1.0


@pytest.mark.parametrize("shape", [(1, 60), (5, 7), (0, 60)])
def test_pbo_needs_trials_and_periods(shape: tuple[int, int]) -> None:
    assert probability_of_overfitting(np.zeros(shape)) is None


def test_the_reality_check_is_calm_about_noise_and_sees_an_edge() -> None:
    rng = np.random.default_rng(4)
    values = [reality_check(rng.normal(0, 1, (20, 50)), rng, resamples=199) for _ in range(60)]
    assert np.mean([value <= 0.05 for value in values if value is not None]) <= 0.15
    edge = rng.normal(0, 1, (20, 50))
    edge[3] += 1.5
    assert reality_check(edge, rng) == pytest.approx(1 / 1001)
    assert reality_check(np.zeros((3, 5)), rng) is None


def test_correlated_checkpoints_count_as_one_trial() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, (3, 40))
    family = np.concatenate([base + rng.normal(0, 0.05, (3, 40)) for _ in range(10)])
    assert effective_trials(family) == 3
    assert effective_trials(rng.normal(0, 1, (12, 40))) == 12
    assert effective_trials(np.concatenate((family, np.zeros((4, 40))))) == 4
    assert effective_trials(base[:1]) == 1
