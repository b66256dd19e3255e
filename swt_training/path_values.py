"""Exact values along recorded bars: the price-taker's advantage.

A one-unit order does not move the market, so on a recorded session the outcome of every action from
every side at every bar is known. In its dense form AMDDP is Markov in (bar, side): a backward
recursion gives the exact value of a policy for all sides and actions, and together with a forward
recursion of the policy's own side occupancy the exact gradient of the session's return with respect to
every action probability. See ``docs/adr/0002-price-takers-advantage.md``.

Sides are indexed 0 flat, 1 long, 2 short; arrays are ``[S, T, 3, 4]`` (session, bar, side, action) with
zeros at illegal actions.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import BUY, CLOSE, HOLD, SELL, legal_nb
from swt_environments.market import Market

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

FLAT: Final = 0
LONG: Final = 1
SHORT: Final = 2
SIDES: Final = 3
SIDE_VALUES: Final = (0.0, 1.0, -1.0)


@nb.njit(cache=True)
def next_side_nb(side: int, action: int) -> int:
    """The side after an action (both indices as in this module)."""
    if action == BUY:
        return LONG
    if action == SELL:
        return SHORT
    if action == CLOSE:
        return FLAT
    return side


@nb.njit(cache=True)
def _rewards_nb(
    first_rows: Int64,
    fill_bid: Int64,
    fill_ask: Int64,
    bid_close: Int64,
    ask_close: Int64,
    carry: Float64,
    points_per_pip: float,
    drawdown_share: float,
    rewards: Float64,
) -> None:
    for s in range(rewards.shape[0]):
        for t in range(rewards.shape[1]):
            now, then = first_rows[s] + t, first_rows[s] + t + 1
            for side in (LONG, SHORT):
                sign = 1.0 if side == LONG else -1.0
                mark_now = float(bid_close[now] if side == LONG else ask_close[now])
                mark_then = float(bid_close[then] if side == LONG else ask_close[then])
                exit_fill = float(fill_bid[then] if side == LONG else fill_ask[then])
                entry_fill = float(fill_ask[then] if side == LONG else fill_bid[then])
                held = sign * (mark_then - mark_now) / points_per_pip + carry[then, side - 1]
                closed = sign * (exit_fill - mark_now) / points_per_pip + carry[then, side - 1]
                entry_cost = sign * (exit_fill - entry_fill) / points_per_pip
                entry_move = sign * (mark_then - exit_fill) / points_per_pip
                rewards[s, t, side, HOLD] = held - drawdown_share * max(0.0, -held)
                rewards[s, t, side, CLOSE] = closed - drawdown_share * max(0.0, -closed)
                entry = BUY if side == LONG else SELL
                rewards[s, t, FLAT, entry] = entry_cost + entry_move - drawdown_share * max(0.0, -entry_move)


def dense_rewards(market: Market, first_rows: Int64, steps: int, drawdown_share: float = 0.01) -> Float64:
    """``[S, T, 3, 4]`` the dense AMDDP reward of every action from every side, pips.

    Equal to what `BatchSimulation` pays, for any position: the recursion rests on that (tested).
    """
    rewards = np.zeros((len(first_rows), steps, SIDES, 4))
    bars = market.bars
    _rewards_nb(
        np.asarray(first_rows, np.int64),
        market.fill_bid,
        market.fill_ask,
        bars.bid_close,
        bars.ask_close,
        market.carry_pips,
        market.points_per_pip,
        drawdown_share,
        rewards,
    )
    return rewards


def side_masks(market: Market, first_rows: Int64, steps: int) -> Bool:
    """``[S, T, 3, 4]`` the legal actions at each bar from each side."""
    rows = np.asarray(first_rows)[:, None] + np.arange(steps)
    may_enter, flat_required = market.may_enter[rows], market.flat_required[rows]
    masks = np.zeros((*rows.shape, SIDES, 4), np.bool_)
    masks[..., FLAT, HOLD] = True
    masks[..., FLAT, BUY] = masks[..., FLAT, SELL] = may_enter
    for side in (LONG, SHORT):
        masks[..., side, HOLD] = ~flat_required
        masks[..., side, CLOSE] = True
    return masks


@nb.njit(cache=True)
def path_values_nb(
    rewards: Float64, policy: Float64, bootstrap: Float64, discount: float, trace: float, every: int = 1
) -> tuple[Float64, Float64]:
    """Values of a policy along recorded bars, for every side and action.

    With the n-step mixture of TD(λ) over the recorded path::

        Q(t, s, a) = r(t, s, a) + γ · [(1 − λ) · B(t+1, s') + λ · V(t+1, s')]
        V(t, s) = Σ_a π(a | t, s) · Q(t, s, a),    V(T, s) = B(T, s)

    Args:
        rewards: ``[S, T, 3, 4]`` from `dense_rewards`.
        policy: ``[S, T, 3, 4]`` action probabilities, 0 where illegal.
        bootstrap: ``[S, T+1, 3]`` the value network's estimates B.
        discount: γ.
        trace: λ; 1 uses B only after the last bar.
        every: B is mixed in only at each bar whose index is a multiple of this, with weight 1 − λ^every;
            elsewhere it is not read.

    Returns:
        ``Q [S, T, 3, 4]`` and ``V [S, T+1, 3]``, pips.
    """
    sessions, steps = rewards.shape[0], rewards.shape[1]
    q = np.zeros(rewards.shape)
    v = np.zeros((sessions, steps + 1, SIDES))
    mixed = trace**every
    for s in range(sessions):
        v[s, steps] = bootstrap[s, steps]
        for t in range(steps - 1, -1, -1):
            kept = mixed if (t + 1) % every == 0 else 1.0
            for side in range(SIDES):
                total = 0.0
                for action in range(4):
                    if not legal_nb(float(side), action):
                        continue
                    after = next_side_nb(side, action)
                    future = (1.0 - kept) * bootstrap[s, t + 1, after] + kept * v[s, t + 1, after]
                    value = rewards[s, t, side, action] + discount * future
                    q[s, t, side, action] = value
                    total += policy[s, t, side, action] * value
                v[s, t, side] = total
    return q, v


@nb.njit(cache=True)
def occupancy_nb(policy: Float64) -> Float64:
    """``[S, T, 3]`` probability that the policy, flat at the first bar, is on each side at each bar."""
    sessions, steps = policy.shape[0], policy.shape[1]
    occupancy = np.zeros((sessions, steps, SIDES))
    for s in range(sessions):
        occupancy[s, 0, FLAT] = 1.0
        for t in range(steps - 1):
            for side in range(SIDES):
                for action in range(4):
                    share = occupancy[s, t, side] * policy[s, t, side, action]
                    if share > 0.0:
                        occupancy[s, t + 1, next_side_nb(side, action)] += share
    return occupancy
