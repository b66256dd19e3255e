"""The loop every algorithm shares: select a leaf per tree, evaluate the leaves by type, expand, back up."""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np

from swt_core.config.models import SearchConfig
from swt_inference.evaluator import AfterstateEvaluation, Evaluator, StateEvaluation
from swt_inference.search import gumbel_rules
from swt_inference.search.base import Bool, Float32, Int32, Int64, LegalRule
from swt_inference.search.expansion import (
    Leaves,
    Moves,
    allocate_leaves,
    expand_nb,
    no_afterstates,
    no_states,
)
from swt_inference.search.selection import chance_nb, puct_nb
from swt_inference.search.settled import Settling, never_settled, settle_nb
from swt_inference.search.tree import (
    UNVISITED,
    Tree,
    add_root_nb,
    allocate_tree,
    backup_nb,
)

PUCT: Final = 0
GUMBEL: Final = 1


class Choice(NamedTuple):
    """How edges are chosen: pUCT's constants, or Gumbel's draws ``[B, A]`` and visit table."""

    mode: int
    c_puct: float
    base: float
    minimum_range: float
    gumbel: Float32
    table: Int32


class Reuse(NamedTuple):
    """Per root, one state known beforehand (see `swt_inference.search.rezero`); action −1: none."""

    actions: Int32
    codes: Int32
    rewards: Float32
    values: Float32


class Statistics(NamedTuple):
    """Per tree: depth of the deepest leaf and of all leaves together, in edges; leaves known beforehand."""

    deepest: Int64
    total: Int64
    reused: Int64


def no_reuse(batch: int) -> Reuse:
    """Nothing is known beforehand."""
    return Reuse(
        np.full(batch, -1, np.int32),
        np.full(batch, -1, np.int32),
        np.zeros(batch, np.float32),
        np.zeros(batch, np.float32),
    )


def puct_choice(config: SearchConfig, batch: int, actions: int) -> Choice:
    """The choice rule of standard search."""
    empty = np.zeros((1, 1), np.int32)
    noise = np.zeros((batch, actions), np.float32)
    return Choice(PUCT, config.c_puct, config.pb_c_base, config.minimum_value_range_pips, noise, empty)


def run_simulations(
    evaluator: Evaluator,
    embeddings: Float32,
    logits: Float32,
    values: Float32,
    masks: Bool,
    rule: LegalRule,
    choice: Choice,
    reuse: Reuse,
    simulations: int,
    discount: float,
    settling: Settling | None = None,
) -> tuple[Tree, Statistics]:
    """Grow one tree per root, ``simulations`` times, or until its action is settled.

    Args:
        evaluator: the model.
        embeddings, logits, values: the roots, ``[B, H]``, ``[B, A]`` (noise included), ``[B]``.
        masks: legal actions at the roots, ``[B, A]``.
        rule: legal actions below them.
        choice: how edges are chosen.
        reuse: states known beforehand.
        simulations: simulations a root; a reused state counts as one.
        discount: γ, on the edges into states.
        settling: which trees may stop early; None: none.
    """
    batch, actions = logits.shape
    codes, width = evaluator.codes, evaluator.width
    tree = allocate_tree(batch, simulations + 1, max(actions, codes), width)
    add_root_nb(tree, embeddings, logits, values, masks, rule.root_kinds(masks))
    afters, states = allocate_leaves(batch, width), allocate_leaves(batch, width)
    statistics = Statistics(*(np.zeros(batch, np.int64) for _ in range(3)))
    moves = Moves(rule.legal, rule.next_kind)
    needed, settled = settling or never_settled()
    after = no_after = no_afterstates(width, codes)
    state = no_state = no_states(width, actions)
    for node in range(1, simulations + 1):
        to_afterstate, to_state = _expand_and_select_nb(
            tree,
            node,
            actions,
            codes,
            choice,
            reuse,
            discount,
            moves,
            afters,
            states,
            statistics,
            after,
            state,
            simulations + 1 - node,
            needed,
            settled,
        )
        after, state = no_after, no_state
        if to_afterstate:
            after = evaluator.afterstates(afters.inputs[:to_afterstate], afters.edges[:to_afterstate])
        if to_state:
            state = evaluator.states(states.inputs[:to_state], states.edges[:to_state])
    expand_nb(tree, simulations, discount, moves, afters, states, after, state)
    return tree, statistics


@nb.njit(cache=True)
def _expand_and_select_nb(
    tree: Tree,
    node: int,
    actions: int,
    codes: int,
    choice: Choice,
    reuse: Reuse,
    discount: float,
    moves: Moves,
    afters: Leaves,
    states: Leaves,
    statistics: Statistics,
    after: AfterstateEvaluation,
    state: StateEvaluation,
    left: int,
    needed: int,
    settled: Bool,
) -> tuple[int, int]:
    """One simulation, of which the evaluation comes next: what was evaluated for the last is written first.

    One call and not three: to hand so many arrays over costs as much as a small batch's tree.
    """
    expand_nb(tree, node - 1, discount, moves, afters, states, after, state)
    if needed >= 0 and node > 1:
        settle_nb(tree, left, needed, settled)
    return _select_nb(
        tree, node, actions, codes, choice, reuse, discount, afters, states, statistics, needed, settled
    )


@nb.njit(cache=True)
def _select_nb(
    tree: Tree,
    new_node: int,
    actions: int,
    codes: int,
    choice: Choice,
    reuse: Reuse,
    discount: float,
    afters: Leaves,
    states: Leaves,
    statistics: Statistics,
    needed: int,
    settled: Bool,
) -> tuple[int, int]:
    """Walk each tree to an unvisited edge; returns how many leaves are afterstates and states.

    A reused state is written and backed up here: it needs no evaluation and is never expanded below.
    """
    to_afterstate, to_state = 0, 0
    scaled = np.empty(actions, np.float32)
    policy = np.empty(actions, np.float32)
    for b in range(tree.visits.shape[0]):
        if needed >= 0 and settled[b]:
            continue
        node, depth, edge = 0, 0, 0
        known = False
        while True:
            if depth % 2 == 1:
                edge = chance_nb(tree, b, node, codes)
                known = depth == 1 and tree.edges[b, node] == reuse.actions[b] and edge == reuse.codes[b]
            elif choice.mode == PUCT:
                edge = puct_nb(tree, b, node, actions, choice.c_puct, choice.base, choice.minimum_range)
            elif depth == 0:
                edge = gumbel_rules.root_nb(tree, b, choice.gumbel[b], choice.table, scaled)
            else:
                edge = gumbel_rules.interior_nb(tree, b, node, scaled, policy)
            depth += 1
            child = tree.children[b, node, edge]
            if known or child == UNVISITED:
                break
            node = child
        statistics.deepest[b] = max(statistics.deepest[b], depth)
        statistics.total[b] += depth
        if known:
            statistics.reused[b] += 1
            _visit_known_nb(tree, b, new_node, node, edge, reuse, discount)
        elif depth % 2 == 1:
            afters.trees[to_afterstate] = b
            afters.parents[to_afterstate] = node
            afters.edges[to_afterstate] = edge
            afters.inputs[to_afterstate] = tree.embeddings[b, node]
            to_afterstate += 1
        else:
            states.trees[to_state] = b
            states.parents[to_state] = node
            states.edges[to_state] = edge
            states.inputs[to_state] = tree.embeddings[b, node]
            to_state += 1
    return to_afterstate, to_state


@nb.njit(cache=True)
def _visit_known_nb(
    tree: Tree, b: int, new_node: int, parent: int, edge: int, reuse: Reuse, discount: float
) -> None:
    child = tree.children[b, parent, edge]
    if child == UNVISITED:
        child = new_node
        tree.children[b, parent, edge] = child
        tree.parents[b, child] = parent
        tree.edges[b, child] = edge
        tree.rewards[b, child] = reuse.rewards[b]
        tree.discounts[b, child] = discount
        tree.values[b, child] = reuse.values[b]
        tree.raw_values[b, child] = reuse.values[b]
        tree.visits[b, child] = 0
    tree.visits[b, child] += 1
    backup_nb(tree, b, child, reuse.values[b])
