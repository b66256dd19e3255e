"""Position accounting: the one kernel that training, validation and live trading share.

A position is a row of eight float64 numbers (the constants below name the columns); a batch is a
``[B, POSITION_FIELDS]`` array. Prices are executable bid and ask in integer points, so every profit is
exact. Definitions: ``docs/contracts.md`` §5 — e_t is the open trade's equity in pips, marked at the
price it could be closed at; drawdown d = peak − e, and the accumulated drawdown grows by
``max(0, −Δe)`` on each mark after the entry.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

HOLD: Final = 0
BUY: Final = 1
SELL: Final = 2
CLOSE: Final = 3
ACTIONS: Final = 4
ACTION_NAMES: Final = ("HOLD", "BUY", "SELL", "CLOSE")

SIDE: Final = 0  # −1 short, 0 flat, +1 long
ENTRY_POINTS: Final = 1  # fill price of the entry, in points
BARS: Final = 2  # bars closed since the entry
EQUITY: Final = 3  # e_t, pips
PEAK: Final = 4  # p_t = max(0, max e)
TROUGH: Final = 5  # q_t = min(0, min e)
MAX_DRAWDOWN: Final = 6  # D_t = max (p − e), pips
ACCUMULATED_DRAWDOWN: Final = 7  # A_t = Σ max(0, −Δe), pips
CARRY: Final = 8  # financing booked since the entry, pips
POSITION_FIELDS: Final = 9

EQUITY_CHANGE: Final = 0  # Δe of the step, realised or not
DRAWDOWN_CHANGE: Final = 1  # ΔA of the step
CLOSED: Final = 2  # 1 when the step closed a trade
REALISED: Final = 3  # that trade's profit after costs, pips
CLOSED_DRAWDOWN: Final = 4  # its accumulated drawdown A, pips
CLOSED_PEAK: Final = 5  # its best equity p, pips
CLOSED_TROUGH: Final = 6  # its worst equity q, pips
CLOSED_MAX_DRAWDOWN: Final = 7  # its maximum drawdown D, pips
CLOSED_BARS: Final = 8  # bars it was held
CLOSED_CARRY: Final = 9  # financing in its result, pips
STEP_FIELDS: Final = 10


def flat_positions(batch: int) -> Float64:
    """``batch`` flat positions, shape ``[batch, POSITION_FIELDS]``."""
    return np.zeros((batch, POSITION_FIELDS))


@nb.njit(cache=True)
def legal_nb(side: float, action: int) -> bool:
    """Flat: HOLD, BUY, SELL. In a position: HOLD, CLOSE."""
    if action == HOLD:
        return True
    if side == 0.0:
        return action == BUY or action == SELL
    return action == CLOSE


@nb.njit(cache=True)
def mark_nb(position: Float64, exit_points: float, points_per_pip: float) -> float:
    """Mark an open position at the price it could be closed at; returns Δe in pips."""
    side = position[SIDE]
    equity = side * (exit_points - position[ENTRY_POINTS]) / points_per_pip + position[CARRY]
    change = equity - position[EQUITY]
    position[EQUITY] = equity
    position[PEAK] = max(position[PEAK], equity)
    position[TROUGH] = min(position[TROUGH], equity)
    position[MAX_DRAWDOWN] = max(position[MAX_DRAWDOWN], position[PEAK] - equity)
    if change < 0.0:
        position[ACCUMULATED_DRAWDOWN] -= change
    return change


@nb.njit(cache=True)
def enter_nb(
    position: Float64, side: float, entry_points: float, exit_points: float, points_per_pip: float
) -> float:
    """Open a position at a fill; returns e at the entry (minus the spread), which is no drawdown (A = 0)."""
    position[:] = 0.0
    position[SIDE] = side
    position[ENTRY_POINTS] = entry_points
    equity = mark_nb(position, exit_points, points_per_pip)
    position[ACCUMULATED_DRAWDOWN] = 0.0
    return equity


@nb.njit(cache=True)
def close_nb(position: Float64, step: Float64) -> None:
    """Turn a position, marked at its exit, into a closed trade's part of the step; it is flat afterwards."""
    step[CLOSED] = 1.0
    step[REALISED] = position[EQUITY]
    step[CLOSED_DRAWDOWN] = position[ACCUMULATED_DRAWDOWN]
    step[CLOSED_PEAK] = position[PEAK]
    step[CLOSED_TROUGH] = position[TROUGH]
    step[CLOSED_MAX_DRAWDOWN] = position[MAX_DRAWDOWN]
    step[CLOSED_BARS] = position[BARS]
    step[CLOSED_CARRY] = position[CARRY]
    position[:] = 0.0


@nb.njit(cache=True)
def advance_one_nb(
    position: Float64,
    action: int,
    bid_open: float,
    ask_open: float,
    bid_close: float,
    ask_close: float,
    carry_pips: float,
    points_per_pip: float,
    step: Float64,
) -> None:
    """One decision, filled at the next bar's open and marked at its close; see `advance_nb`."""
    if not legal_nb(position[SIDE], action):
        raise ValueError("illegal action for this position")
    step[:] = 0.0
    change = 0.0
    drawdown_before = position[ACCUMULATED_DRAWDOWN]
    # What was held between the bars pays its financing, also when it is closed at the next open; an
    # entry fills after the rollover and pays none yet.
    if position[SIDE] != 0.0:
        position[CARRY] += carry_pips
    if action == CLOSE:
        exit_points = bid_open if position[SIDE] > 0.0 else ask_open
        change = mark_nb(position, exit_points, points_per_pip)
        step[DRAWDOWN_CHANGE] = position[ACCUMULATED_DRAWDOWN] - drawdown_before
        close_nb(position, step)
        step[EQUITY_CHANGE] = change
        return
    if action == BUY:
        change = enter_nb(position, 1.0, ask_open, bid_open, points_per_pip)
    elif action == SELL:
        change = enter_nb(position, -1.0, bid_open, ask_open, points_per_pip)
    if position[SIDE] != 0.0:
        exit_points = bid_close if position[SIDE] > 0.0 else ask_close
        change += mark_nb(position, exit_points, points_per_pip)
        position[BARS] += 1.0
        step[DRAWDOWN_CHANGE] = position[ACCUMULATED_DRAWDOWN] - drawdown_before
    step[EQUITY_CHANGE] = change


@nb.njit(cache=True)
def advance_nb(
    positions: Float64,
    actions: Int64,
    bid_open: Int64,
    ask_open: Int64,
    bid_close: Int64,
    ask_close: Int64,
    carry_pips: Float64,
    points_per_pip: float,
    steps: Float64,
) -> None:
    """Advance a batch of positions by one bar, in place.

    Args:
        positions: ``[B, POSITION_FIELDS]``, changed in place.
        actions: ``[B]``, decided at the close of bar t.
        bid_open, ask_open: ``[B]`` points, bar t+1: where orders fill.
        bid_close, ask_close: ``[B]`` points, bar t+1: where positions are marked.
        carry_pips: ``[B, 2]`` financing between the two bars for a long and a short position held over them.
        points_per_pip: points in a pip.
        steps: ``[B, STEP_FIELDS]``, overwritten with the parts of the step's result.

    Raises:
        ValueError: an action is illegal for its position.
    """
    for i in range(positions.shape[0]):
        advance_one_nb(
            positions[i],
            actions[i],
            float(bid_open[i]),
            float(ask_open[i]),
            float(bid_close[i]),
            float(ask_close[i]),
            carry_pips[i, 0] if positions[i, SIDE] > 0.0 else carry_pips[i, 1],
            points_per_pip,
            steps[i],
        )
