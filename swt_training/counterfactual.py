"""Positions nobody took: for every bar of a session one long and one short position, plausibly aged.

The policy sees nine features of its position, so exact values of all sides need positions on all sides.
They come from the one position kernel, run over entry bars drawn at random.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import BARS, CARRY, POSITION_FIELDS, enter_nb, mark_nb
from swt_environments.market import Market
from swt_training.path_values import FLAT, LONG, SHORT, SIDES

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

WARM_UP_BARS = 120
SHORTEST_HOLD_BARS, LONGEST_HOLD_BARS = 8.0, 160.0


@nb.njit(cache=True)
def _positions_nb(
    first_rows: Int64,
    warm_up: int,
    restarts: NDArray[np.bool_],
    fill_bid: Int64,
    fill_ask: Int64,
    bid_close: Int64,
    ask_close: Int64,
    carry_pips: Float64,
    points_per_pip: float,
    positions: Float64,
) -> None:
    """Walk each side through the bars, re-entering where ``restarts`` says so."""
    steps = positions.shape[1]
    state = np.zeros(POSITION_FIELDS)
    for s in range(first_rows.shape[0]):
        for side in (LONG, SHORT):
            sign = 1.0 if side == LONG else -1.0
            for k in range(warm_up + steps):
                row = first_rows[s] - warm_up + k
                if k == 0 or restarts[s, side - 1, k]:
                    entry = float(fill_ask[row] if side == LONG else fill_bid[row])
                    leave = float(fill_bid[row] if side == LONG else fill_ask[row])
                    enter_nb(state, sign, entry, leave, points_per_pip)
                else:
                    state[CARRY] += carry_pips[row, side - 1]
                mark = float(bid_close[row] if side == LONG else ask_close[row])
                mark_nb(state, mark, points_per_pip)
                state[BARS] += 1.0
                if k >= warm_up:
                    positions[s, k - warm_up, side] = state


def counterfactual_positions(
    market: Market, first_rows: Int64, steps: int, rng: np.random.Generator
) -> Float64:
    """``[S, T, 3, POSITION_FIELDS]``: at each decision row a flat, a long and a short position.

    Mean holding times are drawn log-uniformly per session and side, so fresh and old positions are both
    seen. The entry may lie before the session's first bar, within its lookback.
    """
    first_rows = np.asarray(first_rows, np.int64)
    sessions = len(first_rows)
    warm_up = min(WARM_UP_BARS, int(first_rows.min()))
    hold = np.exp(rng.uniform(np.log(SHORTEST_HOLD_BARS), np.log(LONGEST_HOLD_BARS), size=(sessions, 2, 1)))
    restarts = rng.random((sessions, 2, warm_up + steps)) < 1.0 / hold
    positions = np.zeros((sessions, steps, SIDES, POSITION_FIELDS))
    bars = market.bars
    _positions_nb(
        first_rows,
        warm_up,
        restarts,
        market.fill_bid,
        market.fill_ask,
        bars.bid_close,
        bars.ask_close,
        market.carry_pips,
        market.points_per_pip,
        positions,
    )
    positions[:, :, FLAT] = 0.0
    return positions
