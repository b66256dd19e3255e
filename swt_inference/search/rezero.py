"""ReZero (Xuan et al. 2024): reanalyse trajectories backwards and reuse the value found one step later.

At step t the realised next state was searched before; its root value stands in for its subtree. In a
market that value is one *sample* of chance: put on the action itself, it would leak the realised move into
Q (a losing entry would look bad because it lost). So it stands under the realised chance code only, and
the chance rule weighs it by σ like any other outcome; every other edge is searched as usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swt_inference.evaluator import Evaluator
from swt_inference.search.base import Bool, Float32, Int64, SearchResult
from swt_inference.search.simulate import Reuse
from swt_inference.search.standard import StandardSearch


@dataclass(frozen=True)
class Trajectories:
    """B recorded trajectories of T steps in lock-step; rewards in pips."""

    observations: Float32  # [T, B, O]
    masks: Bool  # [T, B, A]
    actions: Int64  # [T, B]
    codes: Int64  # [T, B], realised chance codes
    rewards: Float32  # [T, B]


def reanalyse(
    search: StandardSearch, evaluator: Evaluator, trajectories: Trajectories, *, reuse: bool = True
) -> list[SearchResult]:
    """Fresh search results of every step, in the order of time.

    Args:
        search: the plain search, run without noise.
        evaluator: the newest model.
        trajectories: what was played.
        reuse: off makes every step a plain search.
    """
    results: list[SearchResult] = []
    known: Reuse | None = None
    for step in reversed(range(len(trajectories.actions))):
        found = search(evaluator, trajectories.observations[step], trajectories.masks[step], reuse=known)
        results.append(found)
        if reuse and step > 0:
            known = Reuse(
                trajectories.actions[step - 1].astype(np.int32),
                trajectories.codes[step - 1].astype(np.int32),
                trajectories.rewards[step - 1].astype(np.float32),
                found.root_values,
            )
    return results[::-1]
