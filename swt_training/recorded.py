"""What recorded actions led to: positions, sides and rewards, recomputed by the one position kernel."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import CLOSE, POSITION_FIELDS, SIDE, STEP_FIELDS, advance_one_nb, close_nb
from swt_core.rewards import RewardPreset, reward_nb
from swt_environments.market import Market
from swt_training.path_values import FLAT, LONG, SHORT

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@nb.njit(cache=True)
def _replay_nb(
    first_rows: Int64,
    actions: NDArray[np.int8],
    fill_bid: Int64,
    fill_ask: Int64,
    bid_close: Int64,
    ask_close: Int64,
    carry_pips: Float64,
    points_per_pip: float,
    preset: int,
    dense: int,
    positions: Float64,
    rewards: Float64,
) -> None:
    step = np.zeros(STEP_FIELDS)
    steps = actions.shape[1]
    for s in range(first_rows.shape[0]):
        state = np.zeros(POSITION_FIELDS)
        for t in range(steps):
            positions[s, t] = state
            side, row = state[SIDE], first_rows[s] + t + 1
            carry = carry_pips[row, 0] if side > 0.0 else carry_pips[row, 1]
            advance_one_nb(
                state,
                int(actions[s, t]),
                float(fill_bid[row]),
                float(fill_ask[row]),
                float(bid_close[row]),
                float(ask_close[row]),
                carry,
                points_per_pip,
                step,
            )
            rewards[s, t] = reward_nb(preset, int(actions[s, t]), side, step)
        if state[SIDE] != 0.0:  # the session is over: closed at cost, as the simulation does it
            side = state[SIDE]
            step[:] = 0.0
            close_nb(state, step)
            if preset != dense:
                rewards[s, steps - 1] += reward_nb(preset, CLOSE, side, step)
        positions[s, steps] = 0.0


def recorded_rewards(
    market: Market, first_rows: Int64, actions: NDArray[np.int8], reward: RewardPreset
) -> tuple[Float64, Float64]:
    """Positions ``[S, T+1, POSITION_FIELDS]`` before each decision, and the rewards ``[S, T]`` paid, pips.

    Equal to what `BatchSimulation` holds and pays (tested); the position kernel is the same.
    """
    sessions, steps = actions.shape
    positions = np.zeros((sessions, steps + 1, POSITION_FIELDS))
    rewards = np.zeros((sessions, steps))
    bars = market.bars
    _replay_nb(
        np.asarray(first_rows, np.int64),
        actions,
        market.fill_bid,
        market.fill_ask,
        bars.bid_close,
        bars.ask_close,
        market.carry_pips,
        market.points_per_pip,
        int(reward),
        int(RewardPreset.DENSE),
        positions,
        rewards,
    )
    return positions, rewards


def visited_positions(market: Market, first_rows: Int64, actions: NDArray[np.int8]) -> tuple[Float64, Int64]:
    """The positions ``[S, T, POSITION_FIELDS]`` before each decision, and their side indices ``[S, T]``."""
    positions, _ = recorded_rewards(market, first_rows, actions, RewardPreset.DENSE)
    held = positions[:, :-1]
    sides = np.where(held[..., SIDE] == 0.0, FLAT, np.where(held[..., SIDE] > 0.0, LONG, SHORT))
    return held, sides.astype(np.int64)
