"""What the plain algorithm learns from: sessions as they were played, and nothing that was not tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.position import SIDE
from swt_core.rewards import RewardPreset
from swt_core.trading_rules import action_mask
from swt_environments.chance import chance_outcomes
from swt_environments.market import Market
from swt_inference.rollout import Trajectories
from swt_training.recorded import recorded_rewards

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
