"""Which edge a simulation follows: pUCT at decision states, the chance rule at afterstates."""

from __future__ import annotations

import numba as nb
import numpy as np

from swt_inference.search.tree import UNVISITED, Tree


@nb.njit(cache=True)
def puct_nb(
    tree: Tree, b: int, node: int, actions: int, c_puct: float, base: float, minimum_range: float
) -> int:
    """argmax of Q scaled to the node's own value and its visited children's, plus the pUCT bonus.

    An unvisited action has scaled Q 0 (Schrittwieser et al. 2020, appendix B; mctx
    ``qtransform_by_parent_and_siblings``). With a ``minimum_range`` (pips) differences smaller than it are
    not blown up to the whole scale: a model that hardly tells actions apart leaves the prior its say.
    """
    own = tree.values[b, node]
    low, high = own, own
    for a in range(actions):
        child = tree.children[b, node, a]
        if child != UNVISITED:
            q = tree.rewards[b, child] + tree.discounts[b, child] * tree.values[b, child]
            low, high = min(low, q), max(high, q)
    spread = max(high - low, np.float32(minimum_range), np.float32(1e-8))
    visits = np.float32(tree.visits[b, node])
    bonus = np.float32(c_puct) + np.log((visits + np.float32(base) + np.float32(1.0)) / np.float32(base))
    scale = np.sqrt(visits) * bonus
    best, best_score = -1, np.float32(-np.inf)
    for a in range(actions):
        prior = tree.priors[b, node, a]
        if prior < 0:
            continue
        child = tree.children[b, node, a]
        if child == UNVISITED:
            score = scale * prior
        else:
            q = tree.rewards[b, child] + tree.discounts[b, child] * tree.values[b, child]
            count = np.float32(tree.visits[b, child] + 1)
            score = (q - low) / spread + scale * prior / count
        if score > best_score:
            best, best_score = a, score
    return best


@nb.njit(cache=True)
def chance_nb(tree: Tree, b: int, node: int, codes: int) -> int:
    """argmax σ(c)/(N(c) + 1): visit shares follow σ within 1/N, without a random draw."""
    best, best_score = 0, np.float32(-np.inf)
    for c in range(codes):
        child = tree.children[b, node, c]
        count = np.float32(1) if child == UNVISITED else np.float32(tree.visits[b, child] + 1)
        score = tree.priors[b, node, c] / count
        if score > best_score:
            best, best_score = c, score
    return best
