"""Search: recorded oracle, exact small games, chance, legality, noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.mctx_oracle import ACTIONS, DISCOUNT, case, gumbel_draws
from swt_core.config.models import SearchConfig
from swt_core.errors import ConfigError
from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_inference.agents import create_search
from swt_inference.evaluator import Evaluator
from swt_inference.search.base import LegalRule, SearchResult, no_rule, position_rule
from swt_inference.search.gumbel import GumbelSearch
from swt_inference.search.simulate import no_reuse, puct_choice, run_simulations
from swt_inference.search.standard import StandardSearch
from swt_inference.search.summary import legal_softmax, noisy_logits
from swt_inference.search.tree import UNVISITED, Tree
from swt_inference.table_evaluator import TableEvaluator, Tables, random_tables

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "mctx_visits.json").read_text())
RULE = no_rule(ACTIONS)


def config_of(simulations: int, discount: float = DISCOUNT) -> SearchConfig:
    # Some games here need more simulations than the configuration allows.
    return SearchConfig.model_construct(
        **{
            **dict(SearchConfig()),
            "simulations": simulations,
            "discount": discount,
            "minimum_value_range_pips": 0.0,
        }
    )


def grow(
    evaluator: Evaluator, roots: int, simulations: int, rule: LegalRule = RULE, masks: Any = None
) -> Tree:
    config = config_of(simulations)
    root = evaluator.root(np.arange(roots, dtype=np.float32)[:, None])
    if masks is None:
        masks = np.ones(root.policy_logits.shape, np.bool_)
    tree, _ = run_simulations(
        evaluator,
        root.embeddings,
        root.policy_logits,
        root.values,
        masks,
        rule,
        puct_choice(config, *masks.shape),
        no_reuse(roots),
        simulations,
        config.discount,
    )
    return tree


@pytest.mark.parametrize("record", RECORDED["stochastic"], ids=lambda x: f"{x['seed']}-{x['simulations']}")
def test_visit_counts_are_those_mctx_recorded(record: dict[str, Any]) -> None:
    game = case(record["seed"], roots=RECORDED["roots"])
    search = StandardSearch(config_of(record["simulations"]), rule=RULE)
    found = search(TableEvaluator(game.tables), game.roots, game.masks)
    assert found.visit_counts.tolist() == record["visit_counts"]
    assert np.allclose(found.root_values, record["root_values"], atol=2e-5)


@pytest.mark.parametrize("record", RECORDED["gumbel"], ids=lambda x: f"{x['seed']}-{x['simulations']}")
def test_gumbel_search_of_a_deterministic_model_is_the_one_mctx_recorded(record: dict[str, Any]) -> None:
    game = case(record["seed"], codes=1, roots=RECORDED["roots"])
    draws = gumbel_draws(record["seed"], RECORDED["roots"])
    search = GumbelSearch(config_of(record["simulations"]), rule=RULE)
    found = search.search(TableEvaluator(game.tables), game.roots, game.masks, draws)
    assert found.visit_counts.tolist() == record["visit_counts"]
    assert found.actions.tolist() == record["actions"]
    assert np.allclose(found.policy, record["policy"], atol=5e-5)


def three_step_game(seed: int, informed: bool) -> tuple[Tables, np.ndarray[Any, Any]]:
    """A random game of three decisions and Q* at its first state; ``informed``: its tables hold V*."""
    rng = np.random.default_rng(seed)
    actions, codes = 3, 2
    layers = [1, actions * codes, (actions * codes) ** 2]
    starts = np.cumsum([0, *layers])
    end = int(starts[-1])
    states, afterstates = end + 1, end * actions + 1
    next_afterstate = np.full((states, actions), afterstates - 1)
    next_state = np.full((afterstates, codes), end)
    for layer, size in enumerate(layers):
        for place in range(size):
            state = int(starts[layer]) + place
            next_afterstate[state] = state * actions + np.arange(actions)
            if layer + 1 < len(layers):
                children = int(starts[layer + 1]) + place * actions * codes
                next_state[next_afterstate[state]] = children + np.arange(actions * codes).reshape(
                    actions, codes
                )
    rewards = rng.standard_normal((afterstates, codes)).astype(np.float32)
    rewards[-1] = 0
    tables = Tables(
        policy_logits=np.zeros((states, actions), np.float32),
        state_values=np.zeros(states, np.float32),
        next_afterstate=next_afterstate,
        chance_logits=rng.standard_normal((afterstates, codes)).astype(np.float32),
        afterstate_values=np.zeros(afterstates, np.float32),
        next_state=next_state,
        rewards=rewards,
    )
    sigma = np.exp(tables.chance_logits) / np.exp(tables.chance_logits).sum(1, keepdims=True)
    values = np.zeros(states)
    for _ in range(4):
        of_afterstates = (sigma * (rewards + 0.9 * values[next_state])).sum(1)
        q = of_afterstates[next_afterstate]
        values = q.max(1)
    if informed:
        tables = tables._replace(
            state_values=values.astype(np.float32), afterstate_values=of_afterstates.astype(np.float32)
        )
    return tables, q[0]


@pytest.mark.parametrize("seed", range(4))
def test_root_q_values_converge_to_value_iteration(seed: int) -> None:
    tables, exact = three_step_game(seed, informed=False)
    search = StandardSearch(config_of(30_000, discount=0.9), rule=no_rule(3))
    found = search(TableEvaluator(tables), np.zeros((1, 1), np.float32), np.ones((1, 3), np.bool_))
    best = int(exact.argmax())
    assert found.actions[0] == best
    assert found.q_values[0, best] == pytest.approx(exact[best], abs=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_gumbel_search_with_true_values_finds_the_best_action_on_trees_with_chance(seed: int) -> None:
    # Its interior choice trusts the values it was given and does not return to what looked bad once, so
    # it needs true values; Q then lies a little below Q*.
    tables, exact = three_step_game(seed, informed=True)
    tables.policy_logits[0, int(exact.argmax())] -= 1.0
    search = GumbelSearch(config_of(400, discount=0.9), rule=no_rule(3))
    found = search(TableEvaluator(tables), np.zeros((1, 1), np.float32), np.ones((1, 3), np.bool_))
    best = int(exact.argmax())
    assert found.actions[0] == best
    assert found.policy[0].argmax() == best
    assert found.policy[0, best] > found.prior[0, best]
    assert found.q_values[0].argmax() == best


def test_discount_is_applied_once_a_bar() -> None:
    # One state that pays 1 for ever; the network already knows its value 1/(1 − γ).
    value = np.float32(1 / (1 - 0.9))
    tables = Tables(
        np.zeros((1, 2), np.float32),
        np.array([value]),
        np.zeros((1, 2), np.int64),
        np.zeros((1, 2), np.float32),
        np.array([value]),
        np.zeros((1, 2), np.int64),
        np.ones((1, 2), np.float32),
    )
    search = StandardSearch(config_of(200, discount=0.9), rule=no_rule(2))
    found = search(TableEvaluator(tables), np.zeros((1, 1), np.float32), np.ones((1, 2), np.bool_))
    assert found.root_values[0] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("codes", [2, 3, 8])
def test_chance_visits_follow_their_probabilities(codes: int) -> None:
    tree = grow(TableEvaluator(random_tables(1, 64, 2, codes)), 16, 120, no_rule(2))
    checked = 0
    for b in range(16):
        for a in range(2):
            node = tree.children[b, 0, a]
            if node == UNVISITED or tree.visits[b, node] < 5:
                continue
            visits = np.array(
                [0 if c == UNVISITED else tree.visits[b, c] for c in tree.children[b, node, :codes]]
            )
            expected = visits.sum() * tree.priors[b, node, :codes]
            # Highest averages never fall a whole visit short; with two codes neither exceeds by one.
            assert (visits > expected - 1 - 1e-4).all()
            assert codes > 2 or (visits < expected + 1 + 1e-4).all()
            checked += 1
    assert checked > 16


def test_a_nodes_kind_is_its_depths_parity_and_its_visits_add_up() -> None:
    tables = random_tables(2, 256, ACTIONS, 3)
    tree = grow(TableEvaluator(tables), 8, 60)
    for b in range(8):
        for node in range(1, 61):
            depth, walk = 0, node
            while walk:
                walk, depth = int(tree.parents[b, walk]), depth + 1
            children = [int(c) for c in tree.children[b, node] if c != UNVISITED]
            assert tree.visits[b, node] == 1 + sum(tree.visits[b, c] for c in children)
            if depth % 2:
                assert tree.rewards[b, node] == 0.0
                assert tree.discounts[b, node] == 1.0
            else:
                assert tree.discounts[b, node] == np.float32(DISCOUNT)
        assert tree.visits[b, 0] == 61


def test_below_the_root_only_what_the_position_allows_is_searched() -> None:
    tables = random_tables(3, 256, ACTIONS, 3)
    masks = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0]] * 4, np.bool_)
    tree = grow(TableEvaluator(tables), 12, 80, position_rule(), masks)
    seen = set()
    for b in range(12):
        in_position = {0: b % 3 == 1}
        for node in range(1, 81):
            parent, edge = int(tree.parents[b, node]), int(tree.edges[b, node])
            in_position[node] = in_position[parent]
            is_afterstate = _depth(tree, b, node) % 2 == 1
            if is_afterstate:
                allowed = (HOLD, CLOSE) if in_position[parent] else (HOLD, BUY, SELL)
                assert edge in allowed
                seen.add((in_position[parent], edge))
                in_position[node] = edge in (BUY, SELL) or (edge == HOLD and in_position[parent])
        assert (tree.priors[b, 0] >= 0)[:ACTIONS].tolist() == masks[b].tolist()
    assert seen == {(True, HOLD), (True, CLOSE), (False, HOLD), (False, BUY), (False, SELL)}


def _depth(tree: Tree, b: int, node: int) -> int:
    depth = 0
    while node:
        node, depth = int(tree.parents[b, node]), depth + 1
    return depth


@pytest.mark.parametrize("algorithm", ["standard", "gumbel"])
def test_a_trees_search_does_not_depend_on_its_batch(algorithm: str) -> None:
    game = case(0, roots=24)
    search = create_search(config_of(30).model_copy(update={"algorithm": algorithm}))
    masks = np.array([[1, 1, 1, 0], [1, 0, 0, 1]] * 12, np.bool_)
    whole = search(TableEvaluator(game.tables), game.roots, masks)
    for b in range(24):
        alone = search(TableEvaluator(game.tables), game.roots[b : b + 1], masks[b : b + 1])
        assert np.array_equal(alone.visit_counts[0], whole.visit_counts[b])
        assert alone.root_values[0] == whole.root_values[b]


def test_noise_keeps_illegal_actions_out_and_only_mixes_in_its_share() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((200, ACTIONS)).astype(np.float32)
    masks = np.tile(np.array([[1, 1, 1, 0], [1, 0, 0, 1]], np.bool_), (100, 1))
    prior = legal_softmax(logits, masks)
    search = StandardSearch(config_of(15))
    mixed = legal_softmax(noisy_logits(logits, masks, search.noise, rng), masks)
    assert (mixed[~masks] == 0).all()
    assert np.allclose(mixed.sum(1), 1, atol=1e-5)
    assert (mixed >= 0.5 * prior - 1e-5).all()
    assert np.abs(mixed - prior).max() > 0.2


def test_gumbel_explores_with_a_generator_and_not_without() -> None:
    game = case(0, roots=64)
    search = GumbelSearch(config_of(15), rule=RULE)
    evaluator = TableEvaluator(game.tables)
    greedy = search(evaluator, game.roots, game.masks)
    again = search(evaluator, game.roots, game.masks)
    explored = search(evaluator, game.roots, game.masks, rng=np.random.default_rng(1))
    assert np.array_equal(greedy.actions, again.actions)
    assert not np.array_equal(greedy.actions, explored.actions)
    assert game.masks[np.arange(64), explored.actions].all()
    assert explored.explored
    assert not greedy.explored


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ConfigError, match="unizero"):
        create_search(SearchConfig().model_copy(update={"algorithm": "unizero"}))


def test_differences_below_the_minimum_range_leave_the_prior_its_say() -> None:
    """Values a thousandth of the minimum range apart decide nothing; with plain scaling they decide all."""
    tables = random_tables(3, 400, 4, 3)
    tables = tables._replace(
        state_values=tables.state_values * np.float32(1e-3),
        afterstate_values=tables.afterstate_values * np.float32(1e-3),
        rewards=tables.rewards * np.float32(1e-3),
    )
    blank = tables._replace(
        state_values=tables.state_values * 0,
        afterstate_values=tables.afterstate_values * 0,
        rewards=tables.rewards * 0,
    )
    roots, masks = np.arange(64, dtype=np.float32)[:, None], np.ones((64, 4), np.bool_)
    floored = config_of(30).model_copy(update={"minimum_value_range_pips": 16.0})
    prior_only = StandardSearch(floored, rule=no_rule(4))(TableEvaluator(blank), roots, masks)
    muted = StandardSearch(floored, rule=no_rule(4))(TableEvaluator(tables), roots, masks)
    plain = StandardSearch(config_of(30), rule=no_rule(4))(TableEvaluator(tables), roots, masks)
    assert (np.abs(muted.visit_counts - prior_only.visit_counts).max(axis=1) <= 1).mean() > 0.9
    assert (np.abs(plain.visit_counts - prior_only.visit_counts).max(axis=1) > 3).mean() > 0.5


def test_the_reported_policy_is_visits_at_the_configured_temperature() -> None:
    game = case(0, roots=32)

    def found(temperature: float) -> SearchResult:
        config = config_of(30).model_copy(update={"temperature": temperature})
        return StandardSearch(config, rule=RULE)(TableEvaluator(game.tables), game.roots, game.masks)

    plain = found(1.0)
    visits = plain.visit_counts.astype(np.float64)
    assert np.array_equal(plain.policy, (visits / 30).astype(np.float32))
    squared = visits**2 / (visits**2).sum(axis=1, keepdims=True)
    assert np.allclose(found(0.5).policy, squared, atol=1e-6)
    cold = found(0.0)
    assert np.array_equal(cold.policy.argmax(axis=1), visits.argmax(axis=1))
    assert (cold.policy.sum(axis=1) == 1).all()
    assert ((cold.policy == 0) | (cold.policy == 1)).all()
    # Play does not follow it.
    assert np.array_equal(cold.actions, plain.actions)
    assert np.array_equal(found(2.0).visit_counts, plain.visit_counts)
