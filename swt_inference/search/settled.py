"""Greedy play needs no simulation that cannot change what is played.

Visits decide: once an action leads by more than the simulations that are left, no order of the rest can
take the lead away from it. An entry is played only from a minimum number of visits on (the minimum
confidence), so HOLD is settled as soon as no entry can both lead and have them. What is played is the same
as after all simulations; visit counts, values and confidence are those of an unfinished search.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from swt_core.position import ACTIONS, BUY, CLOSE, HOLD, SELL
from swt_inference.search.base import Bool, Int64
from swt_inference.search.tree import ILLEGAL, Tree, edge_visits_nb


class Settling(NamedTuple):
    """Which trees are left alone.

    Attributes:
        needed: visits from which on an entry is played; −1: every tree gets all its simulations.
        settled: ``[B]`` trees whose action is known; filled by search.
    """

    needed: int
    settled: Bool


def never_settled() -> Settling:
    """Every tree gets all its simulations."""
    return Settling(-1, np.zeros(0, np.bool_))


def settling(batch: int, simulations: int, minimum_confidence: float) -> Settling:
    """Trees stop when the action that is played at a minimum confidence (visits / simulations) is known."""
    enough = (visits for visits in range(simulations + 1) if visits / simulations >= minimum_confidence)
    return Settling(next(enough, simulations + 1), np.zeros(batch, np.bool_))


@nb.njit(cache=True)
def settle_nb(tree: Tree, left: int, needed: int, settled: Bool) -> None:
    """Mark the trees whose action ``left`` further simulations cannot change."""
    visits = np.zeros(ACTIONS, np.int64)
    for b in range(settled.shape[0]):
        if settled[b]:
            continue
        for a in range(ACTIONS):
            # An illegal action cannot catch up, whatever is left.
            legal = tree.priors[b, 0, a] != ILLEGAL
            visits[a] = edge_visits_nb(tree, b, 0, a) if legal else -1 - left
        settled[b] = _is_settled_nb(visits, left, needed)


@nb.njit(cache=True)
def _is_settled_nb(visits: Int64, left: int, needed: int) -> bool:
    leader, most, second = HOLD, visits[HOLD], -1 - left
    for a in range(1, ACTIONS):
        if visits[a] > most:
            leader, most, second = a, visits[a], most
        elif visits[a] > second:
            second = visits[a]
    if most - second > left and (leader in (HOLD, CLOSE) or most >= needed):
        return True
    # HOLD, whoever leads: an equal count may still lead, since the prior breaks ties.
    entry = max(visits[BUY], visits[SELL]) + left
    return visits[CLOSE] + left < most and (entry < most or entry < needed)
