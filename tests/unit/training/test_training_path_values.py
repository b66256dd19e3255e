"""Exact path values against the simulation, brute force and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from swt_core.calendar import trading_day
from swt_core.config import FeaturesConfig, TradingConfig
from swt_core.instruments import instrument
from swt_core.position import BARS, BUY, CARRY, CLOSE, HOLD, SELL, SIDE
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor
from swt_training.counterfactual import counterfactual_positions
from swt_training.path_values import (
    FLAT,
    LONG,
    SHORT,
    dense_rewards,
    next_side_nb,
    occupancy_nb,
    path_values_nb,
    side_masks,
)
from swt_training.recorded import visited_positions

PAIR = instrument("GBP_JPY")


@pytest.fixture(scope="module")
def market() -> Market:
    trading = TradingConfig(financing_long_pips_per_day=-0.3, financing_short_pips_per_day=0.1)
    return Market(synthetic_bars("realistic", 5, 2, PAIR), FeatureProcessor(FeaturesConfig(), PAIR), trading)


def random_policy(masks: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    weights = np.random.default_rng(seed).random(masks.shape) * masks
    return weights / weights.sum(-1, keepdims=True)


def test_rewards_are_what_the_simulation_pays(market: Market) -> None:
    first, steps = np.array([1300]), 200  # spans a rollover and the wide spreads after it
    rewards = dense_rewards(market, first, steps)
    masks = side_masks(market, first, steps)
    simulation = BatchSimulation(market, first, first + steps - 1)
    rng = np.random.default_rng(0)
    for t in range(steps):
        side = {0.0: FLAT, 1.0: LONG, -1.0: SHORT}[simulation.positions[0, SIDE]]
        np.testing.assert_array_equal(masks[0, t, side], simulation.masks()[0])
        action = int(rng.choice(np.flatnonzero(masks[0, t, side])))
        paid = simulation.step(np.array([action]))[0]
        assert paid == pytest.approx(rewards[0, t, side, action], abs=1e-9)
    assert simulation.trades()


def test_values_equal_brute_force_over_all_action_sequences(market: Market) -> None:
    steps, discount = 4, 0.9
    first = np.array([600])
    rewards = dense_rewards(market, first, steps)
    masks = side_masks(market, first, steps + 1)
    policy = random_policy(masks[:, :steps], 1)
    bootstrap = np.random.default_rng(2).normal(size=(1, steps + 1, 3))
    q, v = path_values_nb(rewards, policy, bootstrap, discount, 1.0)
    for side in (FLAT, LONG, SHORT):
        expected = 0.0
        for actions in itertools.product((HOLD, BUY, SELL, CLOSE), repeat=steps):
            at, chance, value = side, 1.0, 0.0
            for t, action in enumerate(actions):
                chance *= policy[0, t, at, action]
                if not chance:
                    break
                value += discount**t * rewards[0, t, at, action]
                at = next_side_nb(at, action)
            else:
                expected += chance * (value + discount**steps * bootstrap[0, steps, at])
        assert v[0, 0, side] == pytest.approx(expected)
    assert q[0, 0, FLAT, CLOSE] == 0.0


def test_without_a_trace_values_look_one_step_ahead(market: Market) -> None:
    first = np.array([700])
    rewards = dense_rewards(market, first, 3)
    policy = random_policy(side_masks(market, first, 3), 3)
    bootstrap = np.random.default_rng(4).normal(size=(1, 4, 3))
    q, _ = path_values_nb(rewards, policy, bootstrap, 0.95, 0.0)
    assert q[0, 1, FLAT, BUY] == pytest.approx(rewards[0, 1, FLAT, BUY] + 0.95 * bootstrap[0, 2, LONG])
    assert q[0, 1, LONG, CLOSE] == pytest.approx(rewards[0, 1, LONG, CLOSE] + 0.95 * bootstrap[0, 2, FLAT])


def test_the_gradient_of_the_return_is_occupancy_times_action_value(market: Market) -> None:
    steps = 12
    first = np.array([500])
    rewards = dense_rewards(market, first, steps)
    policy = random_policy(side_masks(market, first, steps), 5)
    zero = np.zeros((1, steps + 1, 3))
    q, _ = path_values_nb(rewards, policy, zero, 1.0, 1.0)
    gradient = occupancy_nb(policy)[..., None] * q
    for t, side, action in ((0, FLAT, BUY), (3, FLAT, SELL), (7, LONG, CLOSE), (9, SHORT, HOLD)):
        moved = policy.copy()
        moved[0, t, side, action] += 1e-6
        change = (
            path_values_nb(rewards, moved, zero, 1.0, 1.0)[1]
            - path_values_nb(rewards, policy, zero, 1.0, 1.0)[1]
        )
        assert change[0, 0, FLAT] / 1e-6 == pytest.approx(gradient[0, t, side, action], rel=1e-4)


def test_occupancy_is_a_distribution(market: Market) -> None:
    policy = random_policy(side_masks(market, np.array([500, 900]), 50), 6)
    np.testing.assert_allclose(occupancy_nb(policy).sum(-1), 1.0)


def test_counterfactual_positions_are_what_the_simulation_holds_financing_included(market: Market) -> None:
    """Every bar of every side, across the rollover at 17:00 New York."""
    first, steps = np.array([1300, 1330, 1400]), 200
    days = trading_day(market.bars.time_s)
    assert (days[first] != days[first + steps - 1]).all()
    positions = counterfactual_positions(market, first, steps, np.random.default_rng(0))
    assert not positions[:, :, FLAT].any()
    compared = 0
    for s, (side, action) in itertools.product(range(len(first)), ((LONG, BUY), (SHORT, SELL))):
        held = positions[s, :, side]
        # Decided at the close before the entry's bar, which is the first of those it was held.
        decided = first[s] + np.arange(steps) - held[:, BARS].astype(np.int64)
        for decision in np.unique(decided[decided >= 0]):
            at = np.flatnonzero(decided == decision)
            simulation = BatchSimulation(market, np.array([decision]), np.array([first[s] + steps]))
            simulation.step(np.array([action]))
            for t in at:
                while simulation.rows[0] < first[s] + t:
                    simulation.step(np.array([HOLD]))
                np.testing.assert_allclose(held[t], simulation.positions[0], rtol=1e-12, err_msg=f"{s} {t}")
            compared += len(at)
    assert compared == positions.shape[0] * steps * 2
    assert (positions[:, :, [LONG, SHORT], CARRY] != 0.0).any(axis=(0, 1)).all()


def test_recorded_actions_lead_to_the_positions_that_were_held(market: Market) -> None:
    first, steps = np.array([500, 900]), 120
    simulation = BatchSimulation(market, first, first + steps - 1)
    rng = np.random.default_rng(8)
    actions, held = np.zeros((2, steps), np.int8), []
    for t in range(steps):
        held.append(simulation.positions.copy())
        actions[:, t] = [rng.choice(np.flatnonzero(mask)) for mask in simulation.masks()]
        simulation.step(actions[:, t].astype(np.int64))
    positions, sides = visited_positions(market, first, actions)
    np.testing.assert_array_equal(positions, np.stack(held, axis=1))
    expected = np.select([positions[..., SIDE] > 0, positions[..., SIDE] < 0], [LONG, SHORT], FLAT)
    np.testing.assert_array_equal(sides, expected)
