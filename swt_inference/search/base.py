"""Typed contracts of search: what goes in, what comes out.

In shapes, B is the batch of roots, A the actions, C the chance codes, N the nodes of a tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from swt_core.position import ACTIONS, BUY, CLOSE, HOLD, SELL
from swt_inference.evaluator import Evaluator

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class LegalRule:
    """Which actions are legal inside a tree, known from the path alone.

    A decision node has a *kind*; ``legal[kind, action]`` says what may be played there and
    ``next_kind[kind, action]`` the kind of the states that follow. At the root the caller's mask rules;
    ``open_actions`` are those whose being legal at the root shows its kind (else kind 0).
    """

    legal: Bool
    next_kind: NDArray[np.int8]
    kind_of_action: NDArray[np.int8]

    def root_kinds(self, masks: Bool) -> NDArray[np.int8]:
        """Kinds ``[B]`` of roots with legal-action masks ``[B, A]``."""
        return np.where(masks, self.kind_of_action, 0).max(axis=1).astype(np.int8)


def position_rule() -> LegalRule:
    """Flat (0): HOLD, BUY, SELL. In a position (1): HOLD, CLOSE. A root where CLOSE is legal has one."""
    legal = np.zeros((2, ACTIONS), np.bool_)
    legal[0, [HOLD, BUY, SELL]] = True
    legal[1, [HOLD, CLOSE]] = True
    next_kind = np.zeros((2, ACTIONS), np.int8)
    next_kind[0, [BUY, SELL]] = 1
    next_kind[1, HOLD] = 1
    kind_of_action = np.zeros(ACTIONS, np.int8)
    kind_of_action[CLOSE] = 1
    return LegalRule(legal, next_kind, kind_of_action)


def no_rule(actions: int) -> LegalRule:
    """Every action is legal everywhere below the root: for models of other games."""
    return LegalRule(
        np.ones((1, actions), np.bool_), np.zeros((1, actions), np.int8), np.zeros(actions, np.int8)
    )


@dataclass(frozen=True)
class RootNoise:
    """Exploration at the root in self-play: Dirichlet over the legal actions."""

    alpha: float = 1.0
    fraction: float = 0.5


@dataclass(frozen=True)
class SearchResult:
    """What a search found, for B roots.

    ``root_values`` are the searched values; ``q_values`` of unvisited actions carry the root's value.
    ``policy`` is the policy target: visits^(1/T) as shares, or Gumbel's improved policy. ``actions`` is the
    action that the algorithm plays without temperature; ``explored`` says that it already is a random draw.
    ``reused`` counts simulations that needed no evaluation. Values in pips.
    """

    actions: Int64
    visit_counts: Int64
    root_values: Float32
    raw_values: Float32
    q_values: Float32
    prior: Float32
    policy: Float32
    max_depth: Int64
    mean_depth: NDArray[np.float64]
    reused: Int64
    explored: bool = False


class Search(Protocol):
    """One algorithm with its parameters; stateless between calls."""

    def __call__(
        self,
        evaluator: Evaluator,
        observations: Float32,
        masks: Bool,
        *,
        rng: np.random.Generator | None = None,
    ) -> SearchResult:
        """Search from observations ``[B, O]`` with legal actions ``[B, A]``; ``rng`` explores."""
        ...
