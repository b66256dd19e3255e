"""Are the entries better than chance? Random entries at the same trade rate, with the same costs.

Each permutation keeps the agent's own trades (side, duration, cost paid) and their number in each
episode, and puts them at random, non-overlapping places of that episode. So trading often, being mostly
long in a rising market or holding long earns no credit: only *when* is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class PlacedTrades:
    """Trades as rows of the bars, sorted by episode and entry.

    Attributes:
        episode: ``[n]`` index into the episodes.
        entry_row, exit_row: ``[n]`` rows whose opens filled entry and exit.
        side: ``[n]`` ±1.
        pnl_pips: ``[n]`` after costs.
    """

    episode: Int64
    entry_row: Int64
    exit_row: Int64
    side: Int64
    pnl_pips: Float64


@dataclass(frozen=True)
class PermutationTest:
    """Observed profit against random entries.

    Attributes:
        observed_pips: the agent's total.
        random_pips: ``[permutations]`` totals of random entries, after the same costs.
        p_value: (1 + #{random ≥ observed}) / (1 + permutations); None without trades.
    """

    observed_pips: float
    random_pips: Float64
    p_value: float | None


@nb.njit(cache=True)
def _next_nb(state: np.uint64) -> np.uint64:
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@nb.njit(cache=True)
def _below_nb(state: np.uint64, bound: int) -> int:
    """An integer in [0, bound) from a state's high half."""
    return int(((state >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@nb.njit(cache=True)
def _sort_nb(values: Int64, bound: int, counts: Int64) -> None:
    """Sort integers of [0, bound) in place, by counting where they are many; ``counts``: zeros, left so."""
    if len(values) * 8 < bound:
        values.sort()
        return
    for value in values:
        counts[value] += 1
    place = 0
    for value in range(bound):
        for _ in range(counts[value]):
            values[place] = value
            place += 1
        counts[value] = 0


@nb.njit(cache=True, nogil=True)
def _permute_nb(
    mid_pips: Float64,
    first_fill: Int64,
    last_fill: Int64,
    bounds: Int64,
    duration: Int64,
    side: Int64,
    seed: np.uint64,
    totals: Float64,
) -> None:
    """Gross pips of random placements; ``bounds[e]:bounds[e + 1]`` are the trades of episode e."""
    state = (seed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    for _ in range(8):
        state = _next_nb(state)
    order = np.arange(len(duration))
    starts = np.empty(len(duration), np.int64)
    counts = np.zeros(max(np.max(last_fill - first_fill) + 2, 1), np.int64)
    for run in range(len(totals)):
        total = 0.0
        for e in range(len(first_fill)):
            low, high = bounds[e], bounds[e + 1]
            count = high - low
            if count == 0:
                continue
            free = last_fill[e] - first_fill[e] + 1
            for i in range(low, high):
                free -= duration[i] + 1
            free = max(free, 0)
            for i in range(high - 1, low, -1):
                state = _next_nb(state)
                j = low + _below_nb(state, i - low + 1)
                order[i], order[j] = order[j], order[i]
            for i in range(low, high):
                state = _next_nb(state)
                starts[i] = _below_nb(state, free + 1)
            _sort_nb(starts[low:high], free + 1, counts)
            used = 0
            for i in range(low, high):
                trade = order[i]
                entry = first_fill[e] + starts[i] + used
                leave = min(entry + duration[trade], last_fill[e])
                total += side[trade] * (mid_pips[leave] - mid_pips[entry])
                used += duration[trade] + 1
        totals[run] = total


def permutation_test(
    trades: PlacedTrades,
    *,
    open_mid_pips: Float64,
    first_rows: Int64,
    last_rows: Int64,
    permutations: int,
    seed: int,
) -> PermutationTest:
    """Compare the trades' total with random entries at the same rate.

    Args:
        trades: what the agent did.
        open_mid_pips: ``[bars]`` mid open of every bar, in pips.
        first_rows, last_rows: ``[E]`` first and last decision row of each episode.
        permutations: random re-placements.
        seed: of the placements.
    """
    observed = float(trades.pnl_pips.sum())
    if not len(trades.pnl_pips):
        return PermutationTest(observed, np.zeros(0), None)
    gross = trades.side * (open_mid_pips[trades.exit_row] - open_mid_pips[trades.entry_row])
    cost = float(gross.sum() - trades.pnl_pips.sum())
    bounds = np.searchsorted(trades.episode, np.arange(len(first_rows) + 1)).astype(np.int64)
    totals = np.empty(permutations)
    _permute_nb(
        open_mid_pips,
        np.asarray(first_rows, np.int64) + 1,
        np.asarray(last_rows, np.int64) + 1,
        bounds,
        np.maximum(trades.exit_row - trades.entry_row, 1),
        trades.side.astype(np.int64),
        np.uint64(seed),
        totals,
    )
    totals -= cost
    # A placement that repeats the observed one differs only by rounding.
    reached = int(np.count_nonzero(totals >= observed - 1e-9 * max(1.0, abs(observed))))
    return PermutationTest(observed, totals, (1 + reached) / (1 + permutations))
