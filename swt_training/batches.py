"""What the learner reads: whole recorded sessions with every side's position at every bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_environments.chance import chance_outcomes
from swt_environments.market import Market
from swt_inference.rollout import Trajectories
from swt_training.counterfactual import counterfactual_positions
from swt_training.path_values import SIDES, dense_rewards, side_masks
from swt_training.recorded import visited_positions

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class SessionBatch:
    """S sessions of T decisions, all known before the agent has tried anything.

    Attributes:
        first_rows: ``[S]`` first decision row.
        observations: ``[S, T+1, 3, O]`` by side (flat, long, short); the last is after the last decision.
        rewards: ``[S, T, 3, 4]`` dense reward of each action, pips.
        masks: ``[S, T+1, 3, 4]`` legal actions.
        codes: ``[S, T]`` chance code of the move from each decision row to the next.
        visited_sides: ``[R, T]`` side index that self-play held at each bar of the *last* R sessions, where
            observations hold the position it really had.
        search_policies: ``[R, T, 4]`` the search's policy there; zeros where nobody searched.
        selected_by_outcome: how many of the *last* sessions were chosen for how they ended. What happened
            there is luckier than the market: they may teach what search thought, and no values.
    """

    first_rows: Int64
    observations: Float32
    rewards: Float64
    masks: Bool
    codes: Int64
    visited_sides: Int64
    search_policies: Float32
    selected_by_outcome: int = 0


def session_batch(
    market: Market,
    fresh_rows: Int64,
    steps: int,
    outcomes: int,
    rng: np.random.Generator,
    replayed: Trajectories | None = None,
    drawdown_share: float = 0.01,
    selected_by_outcome: int = 0,
) -> SessionBatch:
    """Gather sessions from the market: fresh ones, then replayed ones.

    Positions that nobody held are drawn from ``rng``; ``drawdown_share`` is AMDDP's k/100.
    """
    fresh_rows = np.asarray(fresh_rows, np.int64)
    first_rows = fresh_rows if replayed is None else np.concatenate([fresh_rows, replayed.first_rows])
    rows = first_rows[:, None] + np.arange(steps + 1)
    features = market.market_rows(rows.ravel())
    positions = counterfactual_positions(market, first_rows, steps + 1, rng)
    visited = np.zeros((0, steps), np.int64)
    policies = np.zeros((0, steps, 4), np.float32)
    if replayed is not None and len(replayed.first_rows):
        held, sides = visited_positions(market, replayed.first_rows, replayed.actions)
        at = np.arange(len(fresh_rows), len(first_rows))[:, None]
        positions[at, np.arange(steps), sides] = held
        visited, policies = sides, replayed.visit_shares
    per_side = np.repeat(features, SIDES, axis=0)
    closes = np.repeat(market.bars.close_hp[rows.ravel()], SIDES)
    observations = market.processor.observe(per_side, positions.reshape(-1, positions.shape[-1]), closes)
    return SessionBatch(
        first_rows=first_rows,
        observations=observations.reshape(len(first_rows), steps + 1, SIDES, -1),
        rewards=dense_rewards(market, first_rows, steps, drawdown_share),
        masks=side_masks(market, first_rows, steps + 1),
        codes=chance_outcomes(market.bars, rows[:, :-1], outcomes),
        visited_sides=visited,
        search_policies=policies,
        selected_by_outcome=selected_by_outcome,
    )
