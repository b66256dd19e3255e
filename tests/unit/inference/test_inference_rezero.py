"""ReZero reuses the next step's value without leaking the realised market move."""

from __future__ import annotations

import numpy as np
import pytest

from swt_core.config.models import SearchConfig
from swt_inference.search.base import no_rule
from swt_inference.search.rezero import Trajectories, reanalyse
from swt_inference.search.simulate import Reuse
from swt_inference.search.standard import StandardSearch
from swt_inference.table_evaluator import TableEvaluator, Tables, random_tables

ACTIONS, CODES, STEPS, BATCH = 4, 3, 6, 8


def played(seed: int, tables: Tables) -> Trajectories:
    """Random trajectories through a random game."""
    rng = np.random.default_rng(seed)
    states = np.empty((STEPS, BATCH), np.int64)
    state = rng.integers(0, len(tables.state_values), BATCH)
    actions = rng.integers(0, ACTIONS, (STEPS, BATCH))
    codes = rng.integers(0, CODES, (STEPS, BATCH))
    rewards = np.empty((STEPS, BATCH), np.float32)
    for step in range(STEPS):
        states[step] = state
        afterstate = tables.next_afterstate[state, actions[step]]
        rewards[step] = tables.rewards[afterstate, codes[step]]
        state = tables.next_state[afterstate, codes[step]]
    observations = states[..., None].astype(np.float32)
    return Trajectories(observations, np.ones((STEPS, BATCH, ACTIONS), np.bool_), actions, codes, rewards)


def test_without_reuse_reanalysis_is_plain_search() -> None:
    tables = random_tables(0, 128, ACTIONS, CODES)
    search = StandardSearch(SearchConfig(simulations=25, minimum_value_range_pips=0.0), rule=no_rule(ACTIONS))
    evaluator = TableEvaluator(tables)
    trajectories = played(1, tables)
    for step, found in enumerate(reanalyse(search, evaluator, trajectories, reuse=False)):
        plain = search(evaluator, trajectories.observations[step], trajectories.masks[step])
        assert np.array_equal(found.visit_counts, plain.visit_counts)
        assert np.array_equal(found.root_values, plain.root_values)
        assert found.reused.sum() == 0


def test_with_reuse_the_last_step_is_plain_and_earlier_ones_save_evaluations() -> None:
    tables = random_tables(0, 128, ACTIONS, CODES)
    search = StandardSearch(SearchConfig(simulations=50, minimum_value_range_pips=0.0), rule=no_rule(ACTIONS))
    results = reanalyse(search, TableEvaluator(tables), played(1, tables))
    assert results[-1].reused.sum() == 0
    assert sum(int(found.reused.sum()) for found in results[:-1]) > 0
    for found in results:
        assert (found.visit_counts.sum(1) == 50).all()


def coin_toss() -> Tables:
    """Action 0 does nothing. Action 1 wins or loses 10 pips with equal chances, then the game is over."""
    over = 1
    next_afterstate = np.array([[0, 1], [2, 2]])
    next_state = np.full((3, 2), over)
    rewards = np.array([[0, 0], [10, -10], [0, 0]], np.float32)
    zeros = np.zeros
    return Tables(
        zeros((2, 2), np.float32),
        zeros(2, np.float32),
        next_afterstate,
        zeros((3, 2), np.float32),
        zeros(3, np.float32),
        next_state,
        rewards,
    )


@pytest.mark.parametrize("realised", [0, 1])
def test_a_realised_win_or_loss_does_not_colour_the_action_that_was_taken(realised: int) -> None:
    tables = coin_toss()
    search = StandardSearch(
        SearchConfig(simulations=200, discount=1.0, minimum_value_range_pips=0.0), rule=no_rule(2)
    )
    reuse = Reuse(
        np.array([1], np.int32),
        np.array([realised], np.int32),
        np.array([tables.rewards[1, realised]]),
        np.zeros(1, np.float32),
    )
    masks = np.array([[False, True]])
    found = search(TableEvaluator(tables), np.zeros((1, 1), np.float32), masks, reuse=reuse)
    # Put on the action itself, the realised outcome would make this ±10.
    assert found.q_values[0, 1] == pytest.approx(0.0, abs=0.2)
    assert 80 < found.reused[0] < 120


def test_a_known_state_is_weighed_by_its_probability_and_brings_its_value() -> None:
    tables = coin_toss()
    tables.chance_logits[1] = np.log([0.8, 0.2])
    search = StandardSearch(
        SearchConfig(simulations=400, discount=1.0, minimum_value_range_pips=0.0), rule=no_rule(2)
    )
    reuse = Reuse(
        np.array([1], np.int32),
        np.array([1], np.int32),
        np.array([-10.0], np.float32),
        np.array([5.0], np.float32),
    )
    masks = np.array([[False, True]])
    found = search(TableEvaluator(tables), np.zeros((1, 1), np.float32), masks, reuse=reuse)
    assert found.q_values[0, 1] == pytest.approx(0.8 * 10 + 0.2 * (-10 + 5), abs=0.15)
