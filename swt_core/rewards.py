"""Reward presets, per step and in pips (`docs/contracts.md` §8). Never used for trade statistics."""

from __future__ import annotations

from enum import IntEnum

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import BUY, CLOSED, CLOSED_DRAWDOWN, DRAWDOWN_CHANGE, EQUITY_CHANGE, REALISED, SELL

Float64 = NDArray[np.float64]


class RewardPreset(IntEnum):
    """Which reward the agent is trained on."""

    CLEAN = 0
    AMDDP1 = 1
    AMDDP5 = 2
    DENSE = 3


ENTRY_BONUS = 1.0
IDLE_PENALTY = -0.05


@nb.njit(cache=True)
def reward_nb(preset: int, action: int, side_before: float, step: Float64) -> float:
    """The reward of one step from its parts (`swt_core.position`), in pips.

    ``DENSE`` is the change of ``amddp_1 = e − 0.01·A`` at every step: over a trade it adds up to
    ``AMDDP1``, which pays everything at the close.
    """
    if preset == 3:
        return step[EQUITY_CHANGE] - 0.01 * step[DRAWDOWN_CHANGE]
    share = 0.05 if preset == 2 else 0.01
    if step[CLOSED] > 0.0:
        return step[REALISED] - share * step[CLOSED_DRAWDOWN]
    if preset == 0:
        if action == BUY or action == SELL:
            return ENTRY_BONUS
        if side_before == 0.0:
            return IDLE_PENALTY
    return 0.0
