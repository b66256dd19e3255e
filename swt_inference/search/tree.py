"""Trees of a batch as arrays, and the two operations on them: add a node, back its value up.

Decision states and afterstates alternate from the root: a node's kind is its depth's parity. Conventions
are mctx's: a node's value starts at the network's and counts as one visit; the edge from a state to an
afterstate has reward 0 and discount 1; reward and γ sit on the edge from an afterstate to a state.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_inference.search.base import Bool, Float32, Int32

Int8 = NDArray[np.int8]
UNVISITED = -1
KEPT_BYTES = 64 * 2**20
_LAST = threading.local()
ILLEGAL = np.float32(-1.0)  # prior of an action that may not be played


class Tree(NamedTuple):
    """``[B, N]`` arrays by node and ``[B, N, K]`` by edge, K = max(A, C); node 0 is the root."""

    embeddings: Float32  # [B, N, H]
    visits: Int32
    values: Float32
    raw_values: Float32
    rewards: Float32  # of the edge into the node
    discounts: Float32
    parents: Int32
    edges: Int32  # the parent's edge into the node
    kinds: Int8  # of a state: legal-action kind; of an afterstate: kind of the states that follow
    children: Int32
    logits: Float32
    priors: Float32  # softmax of logits over legal edges; −1 where illegal


def allocate_tree(batch: int, nodes: int, edges: int, width: int) -> Tree:
    """Space for a tree; adding a node clears what is read of it, so nothing is cleared here.

    A thread's last tree is used again: its pages are mapped already. A returned tree is therefore valid
    until the thread's next search.
    """
    shape = (batch, nodes, edges, width)
    found: Tree | None = getattr(_LAST, "tree", None)
    if found is None or _LAST.shape != shape:
        found = _new_tree(*shape)
        if found.embeddings.nbytes <= KEPT_BYTES:
            _LAST.tree, _LAST.shape = found, shape
    return found


def _new_tree(batch: int, nodes: int, edges: int, width: int) -> Tree:
    by_node, by_edge = (batch, nodes), (batch, nodes, edges)
    return Tree(
        np.empty((batch, nodes, width), np.float32),
        np.empty(by_node, np.int32),
        np.empty(by_node, np.float32),
        np.empty(by_node, np.float32),
        np.empty(by_node, np.float32),
        np.empty(by_node, np.float32),
        np.empty(by_node, np.int32),
        np.empty(by_node, np.int32),
        np.empty(by_node, np.int8),
        np.empty(by_edge, np.int32),
        np.empty(by_edge, np.float32),
        np.empty(by_edge, np.float32),
    )


@nb.njit(cache=True)
def masked_softmax_nb(logits: Float32, legal: Bool, priors: Float32) -> None:
    """``priors`` = softmax of ``logits`` over the legal entries, `ILLEGAL` elsewhere; any length."""
    size = logits.shape[0]
    peak = np.float32(-np.inf)
    for j in range(size):
        if legal[j]:
            peak = max(peak, logits[j])
    mass = np.float32(0.0)
    for j in range(size):
        if legal[j]:
            weight = np.exp(logits[j] - peak)
            priors[j] = weight
            mass += weight
        else:
            priors[j] = ILLEGAL
    for j in range(size):
        if legal[j]:
            priors[j] /= mass


@nb.njit(cache=True)
def add_root_nb(
    tree: Tree, embeddings: Float32, logits: Float32, values: Float32, masks: Bool, kinds: Int8
) -> None:
    """Write the roots of all trees."""
    actions = logits.shape[1]
    for b in range(values.shape[0]):
        tree.embeddings[b, 0] = embeddings[b]
        tree.visits[b, 0] = 1
        tree.values[b, 0] = values[b]
        tree.raw_values[b, 0] = values[b]
        tree.kinds[b, 0] = kinds[b]
        tree.parents[b, 0] = -1
        tree.edges[b, 0] = -1
        tree.rewards[b, 0] = 0.0
        tree.discounts[b, 0] = 1.0
        tree.children[b, 0] = UNVISITED
        for a in range(actions):
            tree.logits[b, 0, a] = logits[b, a]
        masked_softmax_nb(logits[b], masks[b], tree.priors[b, 0, :actions])


@nb.njit(cache=True)
def add_node_nb(
    tree: Tree,
    b: int,
    node: int,
    parent: int,
    edge: int,
    embedding: Float32,
    value: float,
    reward: float,
    discount: float,
    kind: int,
    logits: Float32,
    legal: Bool,
) -> None:
    """Write one evaluated node and link it to its parent."""
    tree.embeddings[b, node] = embedding
    tree.values[b, node] = value
    tree.raw_values[b, node] = value
    tree.visits[b, node] = 1
    tree.rewards[b, node] = reward
    tree.discounts[b, node] = discount
    tree.parents[b, node] = parent
    tree.edges[b, node] = edge
    tree.kinds[b, node] = kind
    tree.children[b, node] = UNVISITED
    tree.children[b, parent, edge] = node
    size = logits.shape[0]
    for k in range(size):
        tree.logits[b, node, k] = logits[k]
    masked_softmax_nb(logits, legal, tree.priors[b, node, :size])


@nb.njit(cache=True)
def backup_nb(tree: Tree, b: int, node: int, value: float) -> None:
    """Carry a leaf's value to the root; each ancestor's value becomes the mean with it included."""
    carried = np.float32(value)
    one = np.float32(1.0)
    while node != 0:
        carried = tree.rewards[b, node] + tree.discounts[b, node] * carried
        node = tree.parents[b, node]
        count = np.float32(tree.visits[b, node])
        tree.values[b, node] = (tree.values[b, node] * count + carried) / (count + one)
        tree.visits[b, node] += 1


@nb.njit(cache=True)
def edge_visits_nb(tree: Tree, b: int, node: int, edge: int) -> int:
    """Visits of an edge, 0 where no node hangs on it."""
    child = tree.children[b, node, edge]
    return 0 if child == UNVISITED else tree.visits[b, child]


@nb.njit(cache=True)
def edge_value_nb(tree: Tree, b: int, node: int, edge: int) -> float:
    """Q of a visited edge."""
    child = tree.children[b, node, edge]
    return tree.rewards[b, child] + tree.discounts[b, child] * tree.values[b, child]
