"""What the plain algorithm learns from: sessions as they were played, and nothing that was not tried."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import CLOSE, POSITION_FIELDS, SIDE, STEP_FIELDS, advance_one_nb, close_nb
from swt_core.rewards import RewardPreset, reward_nb
from swt_core.trading_rules import action_mask
from swt_environments.chance import chance_outcomes
from swt_environments.market import Market
from swt_inference.rollout import Trajectories

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

PRESETS = {
    "clean": RewardPreset.CLEAN,
    "amddp1": RewardPreset.AMDDP1,
    "amddp5": RewardPreset.AMDDP5,
    "dense": RewardPreset.DENSE,
}


@dataclass(frozen=True)
class PlainBatch:
    """S recorded sessions of T decisions.

    Attributes:
        observations: ``[S, T+1, O]`` with the position really held; the last is flat: a session closes.
        masks: ``[S, T+1, 4]`` legal actions.
        actions: ``[S, T]`` as played.
        rewards: ``[S, T]`` as paid, pips.
        codes: ``[S, T]`` chance code of the move from each decision row to the next.
        policies: ``[S, T, 4]`` the search's policy; zeros where nobody searched.
        root_values: ``[S, T]`` searched values, pips.
        selected_by_outcome: how many of the last sessions were chosen for how they ended.
    """

    observations: Float32
    masks: Bool
    actions: Int64
    rewards: Float64
    codes: Int64
    policies: Float32
    root_values: Float32
    selected_by_outcome: int = 0


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


def plain_batch(
    market: Market,
    played: Trajectories,
    outcomes: int,
    reward: RewardPreset,
    selected_by_outcome: int = 0,
) -> PlainBatch:
    """Gather what was played from the market."""
    sessions, steps = played.actions.shape
    rows = played.first_rows[:, None] + np.arange(steps + 1)
    positions, rewards = recorded_rewards(market, played.first_rows, played.actions, reward)
    flat = positions.reshape(-1, positions.shape[-1])
    every = rows.ravel()
    observations = market.processor.observe(market.market_rows(every), flat, market.bars.close_hp[every])
    masks = action_mask(flat[:, SIDE], market.may_enter[every], market.flat_required[every])
    return PlainBatch(
        observations=observations.reshape(sessions, steps + 1, -1),
        masks=masks.reshape(sessions, steps + 1, -1),
        actions=played.actions.astype(np.int64),
        rewards=rewards,
        codes=chance_outcomes(market.bars, rows[:, :-1], outcomes),
        policies=played.visit_shares,
        root_values=played.root_values,
        selected_by_outcome=selected_by_outcome,
    )
