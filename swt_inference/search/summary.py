"""What a finished search says about its roots."""

from __future__ import annotations

import numba as nb
import numpy as np

from swt_inference.search.base import Bool, Float32, Int64, RootNoise, SearchResult
from swt_inference.search.simulate import Statistics
from swt_inference.search.tree import UNVISITED, Tree


def noisy_logits(logits: Float32, masks: Bool, noise: RootNoise, rng: np.random.Generator) -> Float32:
    """Root logits whose legal softmax is mixed with a Dirichlet draw over the legal actions.

    One gamma draw per action, legal or not, so that the stream of draws does not depend on the masks.
    """
    gammas = np.where(masks, np.maximum(rng.gamma(noise.alpha, size=logits.shape), 1e-30), 0.0)
    draw = gammas / gammas.sum(axis=1, keepdims=True)
    mixed = (1 - noise.fraction) * legal_softmax(logits, masks) + noise.fraction * draw
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(mixed, tiny)).astype(np.float32)


def legal_softmax(logits: Float32, masks: Bool) -> Float32:
    """Softmax over the legal actions, zero elsewhere."""
    shifted = np.where(masks, logits, -np.inf)
    weights = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    probabilities: Float32 = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def most_visited(visit_counts: Int64, prior: Float32) -> Int64:
    """The most visited action of each row; the network's prior breaks ties."""
    return np.argmax(visit_counts + 0.5 * prior, axis=1)


def visit_policy(visit_counts: Int64, temperature: float) -> Float32:
    """``visits^(1/T)`` as shares ``[B, A]``; T = 0 is one on the most visited action, the first of equals."""
    shares = visit_counts / visit_counts.sum(axis=1, keepdims=True)
    if temperature == 0:
        shares = np.eye(visit_counts.shape[1])[visit_counts.argmax(axis=1)]
    elif temperature != 1:
        # Scaled by the largest first: a small T would take every share to zero.
        powers = (shares / shares.max(axis=1, keepdims=True)) ** (1 / temperature)
        shares = powers / powers.sum(axis=1, keepdims=True)
    return shares.astype(np.float32)


def summarise(
    tree: Tree,
    statistics: Statistics,
    prior: Float32,
    simulations: int,
    temperature: float = 1.0,
    actions: Int64 | None = None,
    policy: Float32 | None = None,
    explored: bool = False,
) -> SearchResult:
    """Collect the roots' statistics; without ``actions`` the most visited one is played.

    Without ``policy`` it is that of the visits at ``temperature``.
    """
    batch, count = prior.shape
    visit_counts = np.zeros((batch, count), np.int64)
    q_values = np.zeros((batch, count), np.float32)
    _root_edges_nb(tree, visit_counts, q_values)
    return SearchResult(
        actions=most_visited(visit_counts, prior) if actions is None else actions,
        visit_counts=visit_counts,
        root_values=tree.values[:, 0].copy(),
        raw_values=tree.raw_values[:, 0].copy(),
        q_values=q_values,
        prior=prior,
        policy=visit_policy(visit_counts, temperature) if policy is None else policy,
        max_depth=statistics.deepest,
        mean_depth=statistics.total / simulations,
        reused=statistics.reused,
        explored=explored,
    )


@nb.njit(cache=True)
def _root_edges_nb(tree: Tree, visit_counts: Int64, q_values: Float32) -> None:
    for b in range(visit_counts.shape[0]):
        for a in range(visit_counts.shape[1]):
            child = tree.children[b, 0, a]
            q_values[b, a] = tree.values[b, 0]
            if child != UNVISITED:
                visit_counts[b, a] = tree.visits[b, child]
                q_values[b, a] = tree.rewards[b, child] + tree.discounts[b, child] * tree.values[b, child]
