"""A model given as tables: exact small games for checking a search against other implementations.

A state's or afterstate's embedding is its index, as one float32.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swt_inference.evaluator import AfterstateEvaluation, Float32, Int32, StateEvaluation


class Tables(NamedTuple):
    """S states, Z afterstates, A actions, C codes."""

    policy_logits: Float32  # [S, A]
    state_values: Float32  # [S]
    next_afterstate: NDArray[np.int64]  # [S, A]
    chance_logits: Float32  # [Z, C]
    afterstate_values: Float32  # [Z]
    next_state: NDArray[np.int64]  # [Z, C]
    rewards: Float32  # [Z, C]


def random_tables(seed: int, states: int, actions: int, codes: int) -> Tables:
    """Random tables with as many afterstates as states; values and rewards ~ N(0, 1)."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Float32:
        return rng.standard_normal(shape).astype(np.float32)

    return Tables(
        policy_logits=normal(states, actions),
        state_values=normal(states),
        next_afterstate=rng.integers(0, states, (states, actions)),
        chance_logits=normal(states, codes),
        afterstate_values=normal(states),
        next_state=rng.integers(0, states, (states, codes)),
        rewards=normal(states, codes),
    )


class TableEvaluator:
    """Evaluates `Tables`; an observation ``[n, 1]`` is the index of its state."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.width = 1
        self.actions = tables.policy_logits.shape[1]
        self.codes = tables.chance_logits.shape[1]

    def root(self, observations: Float32) -> StateEvaluation:
        states = observations[:, 0].astype(np.int64)
        return self._states(states, np.zeros(len(states), np.float32))

    def afterstates(self, latents: Float32, actions: Int32) -> AfterstateEvaluation:
        tables = self.tables
        found = tables.next_afterstate[latents[:, 0].astype(np.int64), actions]
        return AfterstateEvaluation(
            found.astype(np.float32)[:, None], tables.chance_logits[found], tables.afterstate_values[found]
        )

    def states(self, afterstates: Float32, codes: Int32) -> StateEvaluation:
        index = afterstates[:, 0].astype(np.int64)
        return self._states(self.tables.next_state[index, codes], self.tables.rewards[index, codes])

    def _states(self, states: NDArray[np.int64], rewards: Float32) -> StateEvaluation:
        tables = self.tables
        return StateEvaluation(
            states.astype(np.float32)[:, None],
            rewards,
            tables.policy_logits[states],
            tables.state_values[states],
        )
