"""Value targets from what was played: λ-returns and n-step returns along recorded actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def lambda_returns(rewards: Float64, values: Float64, discount: float, trace: Float64) -> Float64:
    """``[S, T]`` returns ``G(t) = r(t) + γ·[(1 − λ)·v(t+1) + λ·G(t+1)]`` with ``G(T) = v(T)``.

    Args:
        rewards: ``[S, T]`` of the taken actions.
        values: ``[S, T+1]`` searched values; the last bootstraps.
        discount: γ.
        trace: ``[S]`` λ of each session; 1 uses no value but the last.
    """
    returns = np.empty(rewards.shape)
    following = values[:, -1]
    for t in range(rewards.shape[1] - 1, -1, -1):
        following = rewards[:, t] + discount * ((1.0 - trace) * values[:, t + 1] + trace * following)
        returns[:, t] = following
    return returns


def n_step_returns(rewards: Float64, values: Float64, discount: float, steps: int) -> Float64:
    """``[S, T]`` returns ``Σ_{i<n} γ^i·r(t+i) + γ^n·v(t+n)``; near the end n shrinks to what is left.

    Args: as `lambda_returns`; ``steps`` is n.
    """
    length = rewards.shape[1]
    ends = np.minimum(np.arange(length) + steps, length)
    returns: Float64 = discount ** (ends - np.arange(length)) * values[:, ends]
    for i in range(min(steps, length)):
        returns[:, : length - i] += discount**i * rewards[:, i:]
    return returns
