"""The same searches through DeepMind's mctx: the oracle for visit counts (extra ``oracle``).

``python -m benchmarks.mctx_oracle PATH`` records results that the fast tests check against.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swt_inference.table_evaluator import Tables, random_tables

STATES = 4096
ACTIONS = 4
CODES = 3
ROOTS = 512
SEEDS = 5
SIMULATIONS = (15, 50)
DISCOUNT = 0.997
RECORDED_ROOTS = 96


class Case(NamedTuple):
    """One random game and its roots; every third root has a position's mask, every third a flat one's."""

    tables: Tables
    roots: NDArray[np.float32]
    masks: NDArray[np.bool_]


class Found(NamedTuple):
    """Visit counts ``[B, A]`` and root values ``[B]``; for Gumbel also actions and the improved policy."""

    visit_counts: NDArray[np.int64]
    root_values: NDArray[np.float32]
    actions: NDArray[np.int64]
    policy: NDArray[np.float32]


def case(seed: int, codes: int = CODES, roots: int = ROOTS) -> Case:
    """The random game of a seed."""
    tables = random_tables(seed, STATES, ACTIONS, codes)
    masks = np.ones((ROOTS, ACTIONS), np.bool_)
    masks[1::3, 3] = False
    masks[2::3, 1:3] = False
    states = np.arange(ROOTS, dtype=np.float32)[:, None]
    return Case(tables, states[:roots], masks[:roots])


def gumbel_draws(seed: int, roots: int = ROOTS) -> NDArray[np.float32]:
    """Gumbel noise ``[B, A]`` handed to both implementations."""
    return np.random.default_rng([seed, 7]).gumbel(size=(ROOTS, ACTIONS)).astype(np.float32)[:roots]


def stochastic(game: Case, simulations: int) -> Found:
    """``mctx.stochastic_muzero_policy`` without Dirichlet noise."""
    import jax
    import jax.numpy as jnp
    import mctx

    tables = Tables(*(jnp.asarray(x) for x in game.tables))

    def decision(_: Any, __: Any, action: Any, state: Any) -> Any:
        found = tables.next_afterstate[state, action]
        output = mctx.DecisionRecurrentFnOutput(
            chance_logits=tables.chance_logits[found], afterstate_value=tables.afterstate_values[found]
        )
        return output, found

    def chance(_: Any, __: Any, code: Any, afterstate: Any) -> Any:
        found = tables.next_state[afterstate, code]
        reward = tables.rewards[afterstate, code]
        output = mctx.ChanceRecurrentFnOutput(
            action_logits=tables.policy_logits[found],
            value=tables.state_values[found],
            reward=reward,
            discount=jnp.full_like(reward, DISCOUNT),
        )
        return output, found

    states = jnp.asarray(game.roots[:, 0].astype(np.int64))
    root = mctx.RootFnOutput(
        prior_logits=tables.policy_logits[states], value=tables.state_values[states], embedding=states
    )
    output = mctx.stochastic_muzero_policy(
        (),
        jax.random.PRNGKey(0),
        root,
        decision,
        chance,
        simulations,
        invalid_actions=jnp.asarray(~game.masks),
        dirichlet_fraction=0.0,
    )
    return _found(output)


def gumbel(game: Case, draws: NDArray[np.float32], simulations: int) -> Found:
    """``mctx.gumbel_muzero_policy`` on a deterministic game (one chance code).

    mctx knows no afterstates here, so they become states with a single move of probability one: the two
    trees are then the same node for node.
    """
    import jax
    import jax.numpy as jnp
    import mctx

    if game.tables.chance_logits.shape[1] != 1:
        raise ValueError("Gumbel MuZero is defined for deterministic games")
    tables = Tables(*(jnp.asarray(x) for x in game.tables))
    forced = jnp.where(jnp.arange(ACTIONS) == 0, 0.0, -jnp.inf)

    def step(_: Any, __: Any, action: Any, embedding: Any) -> Any:
        index, is_state = embedding
        after = tables.next_afterstate[index, action]
        state = tables.next_state[index, 0]
        output = mctx.RecurrentFnOutput(
            reward=jnp.where(is_state, 0.0, tables.rewards[index, 0]),
            discount=jnp.where(is_state, 1.0, DISCOUNT),
            prior_logits=jnp.where(is_state[:, None], forced[None], tables.policy_logits[state]),
            value=jnp.where(is_state, tables.afterstate_values[after], tables.state_values[state]),
        )
        return output, (jnp.where(is_state, after, state), ~is_state)

    states = jnp.asarray(game.roots[:, 0].astype(np.int64))
    root = mctx.RootFnOutput(
        prior_logits=tables.policy_logits[states],
        value=tables.state_values[states],
        embedding=(states, jnp.ones_like(states, bool)),
    )
    original = jax.random.gumbel
    jax.random.gumbel = lambda *_, **__: jnp.asarray(draws)
    try:
        output = mctx.gumbel_muzero_policy(
            (),
            jax.random.PRNGKey(0),
            root,
            step,
            simulations,
            invalid_actions=jnp.asarray(~game.masks),
            max_num_considered_actions=ACTIONS,
        )
    finally:
        jax.random.gumbel = original
    return _found(output)


def _found(output: Any) -> Found:
    summary = output.search_tree.summary()
    return Found(
        np.asarray(summary.visit_counts).astype(np.int64),
        np.asarray(summary.value),
        np.asarray(output.action).astype(np.int64),
        np.asarray(output.action_weights),
    )


def record(path: Path) -> None:
    """Write a small part of the oracle's results as JSON."""
    results: dict[str, Any] = {"roots": RECORDED_ROOTS, "stochastic": [], "gumbel": []}
    for seed in range(SEEDS):
        for simulations in SIMULATIONS:
            found = stochastic(case(seed), simulations)
            results["stochastic"].append(_record(seed, simulations, found))
            deterministic = gumbel(case(seed, codes=1), gumbel_draws(seed), simulations)
            results["gumbel"].append(_record(seed, simulations, deterministic))
    path.write_text(json.dumps(results, separators=(",", ":")) + "\n")


def _record(seed: int, simulations: int, found: Found) -> dict[str, Any]:
    rows = slice(RECORDED_ROOTS)
    return {
        "seed": seed,
        "simulations": simulations,
        "visit_counts": found.visit_counts[rows].tolist(),
        "root_values": [round(float(x), 5) for x in found.root_values[rows]],
        "actions": found.actions[rows].tolist(),
        "policy": [[round(float(x), 5) for x in row] for row in found.policy[rows]],
    }


if __name__ == "__main__":
    record(Path(sys.argv[1]))
