"""Evaluated leaves become nodes of their trees."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from swt_inference.evaluator import AfterstateEvaluation, StateEvaluation
from swt_inference.search.base import Bool, Float32, Int32
from swt_inference.search.tree import Int8, Tree, add_node_nb, backup_nb


class Leaves(NamedTuple):
    """Where this simulation's leaves hang; rows of one type are packed at the front."""

    trees: Int32
    parents: Int32
    edges: Int32
    inputs: Float32


class Moves(NamedTuple):
    """A `swt_inference.search.base.LegalRule` as the kernels read it."""

    legal: Bool
    next_kind: Int8


def allocate_leaves(batch: int, width: int) -> Leaves:
    """Room for a leaf of every tree."""
    return Leaves(
        np.empty(batch, np.int32),
        np.empty(batch, np.int32),
        np.empty(batch, np.int32),
        np.empty((batch, width), np.float32),
    )


def no_afterstates(width: int, codes: int) -> AfterstateEvaluation:
    """The evaluation of no row."""
    return AfterstateEvaluation(
        np.empty((0, width), np.float32), np.empty((0, codes), np.float32), np.empty(0, np.float32)
    )


def no_states(width: int, actions: int) -> StateEvaluation:
    """The evaluation of no row."""
    empty = np.empty(0, np.float32)
    return StateEvaluation(
        np.empty((0, width), np.float32), empty, np.empty((0, actions), np.float32), empty.copy()
    )


@nb.njit(cache=True)
def expand_nb(
    tree: Tree,
    node: int,
    discount: float,
    moves: Moves,
    afters: Leaves,
    states: Leaves,
    after: AfterstateEvaluation,
    state: StateEvaluation,
) -> None:
    """Add what was evaluated as node ``node`` of its tree, and back it up."""
    _expand_afterstates_nb(
        tree, node, afters, after.embeddings, after.chance_logits, after.values, moves.next_kind
    )
    _expand_states_nb(
        tree,
        node,
        states,
        state.embeddings,
        state.rewards,
        state.policy_logits,
        state.values,
        moves.legal,
        discount,
    )


@nb.njit(cache=True)
def _expand_afterstates_nb(
    tree: Tree,
    node: int,
    leaves: Leaves,
    embeddings: Float32,
    chance_logits: Float32,
    values: Float32,
    next_kind: Int8,
) -> None:
    every_code = np.ones(chance_logits.shape[1], np.bool_)
    for i in range(values.shape[0]):
        b, parent, edge = leaves.trees[i], leaves.parents[i], leaves.edges[i]
        kind = next_kind[tree.kinds[b, parent], edge]
        add_node_nb(
            tree,
            b,
            node,
            parent,
            edge,
            embeddings[i],
            values[i],
            0.0,
            1.0,
            kind,
            chance_logits[i],
            every_code,
        )
        backup_nb(tree, b, node, values[i])


@nb.njit(cache=True)
def _expand_states_nb(
    tree: Tree,
    node: int,
    leaves: Leaves,
    embeddings: Float32,
    rewards: Float32,
    policy_logits: Float32,
    values: Float32,
    legal: Bool,
    discount: float,
) -> None:
    for i in range(values.shape[0]):
        b, parent, edge = leaves.trees[i], leaves.parents[i], leaves.edges[i]
        kind = tree.kinds[b, parent]
        add_node_nb(
            tree,
            b,
            node,
            parent,
            edge,
            embeddings[i],
            values[i],
            rewards[i],
            discount,
            kind,
            policy_logits[i],
            legal[kind],
        )
        backup_nb(tree, b, node, values[i])
