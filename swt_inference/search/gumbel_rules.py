"""Gumbel MuZero's choices (Danihelka et al. 2022), for stochastic trees.

At the root, Sequential Halving over the actions with the highest ``g + logits``; at interior states,
``argmax π′ − N/(1 + ΣN)`` with the improved policy ``π′ = softmax(logits + σ(q))``; at afterstates the
chance rule. ``σ(q) = (50 + max N)·0.1·q`` on completed q, rescaled to [0, 1].
"""

from __future__ import annotations

import math
from typing import Final

import numba as nb
import numpy as np

from swt_inference.search.base import Float32, Int32, Int64
from swt_inference.search.tree import UNVISITED, Tree, edge_value_nb, edge_visits_nb

MAXVISIT_INIT: Final = np.float32(50.0)
VALUE_SCALE: Final = np.float32(0.1)
TINY: Final = np.float32(np.finfo(np.float32).tiny)
LOW_SCORE: Final = np.float32(-1e9)


def considered_visits(maximum: int, simulations: int) -> Int32:
    """Table ``[maximum + 1, simulations]``: the visit count an action must have to be visited next."""
    return np.array([_sequence(count, simulations) for count in range(maximum + 1)], np.int32)


def _sequence(considered: int, simulations: int) -> list[int]:
    if considered <= 1:
        return list(range(simulations))
    rounds = math.ceil(math.log2(considered))
    sequence: list[int] = []
    visits = [0] * considered
    remaining = considered
    while len(sequence) < simulations:
        for _ in range(max(1, simulations // (rounds * remaining))):
            sequence.extend(visits[:remaining])
            for i in range(remaining):
                visits[i] += 1
        remaining = max(2, remaining // 2)
    return sequence[:simulations]


@nb.njit(cache=True)
def scaled_values_nb(tree: Tree, b: int, node: int, scaled: Float32) -> int:
    """``scaled[a]`` = σ(completed q) for every action; returns ΣN over the actions.

    Unvisited actions are completed with the mixed value of the paper's appendix D.
    """
    actions = scaled.shape[0]
    total, most = 0, 0
    mass = np.float32(0.0)
    for a in range(actions):
        count = edge_visits_nb(tree, b, node, a)
        total += count
        most = max(most, count)
        if count > 0:
            mass += max(TINY, tree.priors[b, node, a])
    weighted = np.float32(0.0)
    for a in range(actions):
        if tree.children[b, node, a] != UNVISITED:
            scaled[a] = edge_value_nb(tree, b, node, a)
            weighted += max(TINY, tree.priors[b, node, a]) * scaled[a] / mass
    mixed = (tree.raw_values[b, node] + np.float32(total) * weighted) / np.float32(total + 1)
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for a in range(actions):
        if tree.children[b, node, a] == UNVISITED:
            scaled[a] = mixed
        low, high = min(low, scaled[a]), max(high, scaled[a])
    spread = max(high - low, np.float32(1e-8))
    scale = (MAXVISIT_INIT + np.float32(most)) * VALUE_SCALE
    for a in range(actions):
        scaled[a] = scale * ((scaled[a] - low) / spread)
    return total


@nb.njit(cache=True)
def improved_policy_nb(tree: Tree, b: int, node: int, scaled: Float32, policy: Float32) -> None:
    """``policy`` = softmax(logits + scaled) over the legal actions, 0 elsewhere."""
    actions = scaled.shape[0]
    peak = np.float32(-np.inf)
    for a in range(actions):
        if tree.priors[b, node, a] >= 0:
            peak = max(peak, tree.logits[b, node, a] + scaled[a])
    mass = np.float32(0.0)
    for a in range(actions):
        policy[a] = 0.0
        if tree.priors[b, node, a] >= 0:
            policy[a] = np.exp(tree.logits[b, node, a] + scaled[a] - peak)
            mass += policy[a]
    for a in range(actions):
        policy[a] /= mass


@nb.njit(cache=True)
def interior_nb(tree: Tree, b: int, node: int, scaled: Float32, policy: Float32) -> int:
    """argmax π′(a) − N(a)/(1 + ΣN)."""
    total = np.float32(scaled_values_nb(tree, b, node, scaled) + 1)
    improved_policy_nb(tree, b, node, scaled, policy)
    best, best_score = -1, np.float32(-np.inf)
    for a in range(scaled.shape[0]):
        if tree.priors[b, node, a] < 0:
            continue
        score = policy[a] - np.float32(edge_visits_nb(tree, b, node, a)) / total
        if score > best_score:
            best, best_score = a, score
    return best


@nb.njit(cache=True)
def considered_action_nb(tree: Tree, b: int, gumbel: Float32, scaled: Float32, visits_wanted: int) -> int:
    """The legal root action with ``visits_wanted`` visits and the highest g + logits + σ(q)."""
    peak = np.float32(-np.inf)
    for a in range(scaled.shape[0]):
        if tree.priors[b, 0, a] >= 0:
            peak = max(peak, tree.logits[b, 0, a])
    best, best_score = -1, np.float32(-np.inf)
    for a in range(scaled.shape[0]):
        if tree.priors[b, 0, a] < 0 or edge_visits_nb(tree, b, 0, a) != visits_wanted:
            continue
        score = max(LOW_SCORE, gumbel[a] + (tree.logits[b, 0, a] - peak) + scaled[a])
        if score > best_score:
            best, best_score = a, score
    return best


@nb.njit(cache=True)
def root_nb(tree: Tree, b: int, gumbel: Float32, table: Int32, scaled: Float32) -> int:
    """Sequential Halving: the next action to visit at the root."""
    legal = 0
    for a in range(scaled.shape[0]):
        if tree.priors[b, 0, a] >= 0:
            legal += 1
    total = scaled_values_nb(tree, b, 0, scaled)
    wanted = table[min(legal, table.shape[0] - 1), total]
    return considered_action_nb(tree, b, gumbel, scaled, wanted)


@nb.njit(cache=True)
def final_choice_nb(tree: Tree, gumbel: Float32, actions: Int64, policy: Float32) -> None:
    """Per tree: the best of the most visited actions, and the improved policy at the root."""
    scaled = np.empty(policy.shape[1], np.float32)
    for b in range(policy.shape[0]):
        scaled_values_nb(tree, b, 0, scaled)
        most = 0
        for a in range(policy.shape[1]):
            most = max(most, edge_visits_nb(tree, b, 0, a))
        actions[b] = considered_action_nb(tree, b, gumbel[b], scaled, most)
        improved_policy_nb(tree, b, 0, scaled, policy[b])
