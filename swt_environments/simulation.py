"""Many episodes in lock-step on one market: the vectorised environment under everything else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import (
    CLOSE,
    CLOSED,
    CLOSED_BARS,
    CLOSED_CARRY,
    CLOSED_DRAWDOWN,
    CLOSED_MAX_DRAWDOWN,
    CLOSED_PEAK,
    CLOSED_TROUGH,
    ENTRY_POINTS,
    EQUITY,
    REALISED,
    SIDE,
    STEP_FIELDS,
    advance_one_nb,
    close_nb,
    flat_positions,
)
from swt_core.records import TradeResult
from swt_core.rewards import RewardPreset, reward_nb
from swt_core.trading_rules import action_mask
from swt_environments.market import Market

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class EpisodeTrade:
    """A closed trade and the episode it belongs to."""

    episode: int
    entry_row: int
    exit_row: int
    trade: TradeResult


@nb.njit(cache=True)
def _step_nb(
    rows: Int64,
    active: Bool,
    positions: Float64,
    actions: Int64,
    fill_bid: Int64,
    fill_ask: Int64,
    bid_close: Int64,
    ask_close: Int64,
    carry_pips: Float64,
    points_per_pip: float,
    preset: int,
    steps: Float64,
    rewards: Float64,
) -> None:
    """Advance every active episode by one bar: fill at the next row's open, mark at its close."""
    for i in range(rows.shape[0]):
        rewards[i] = 0.0
        steps[i, :] = 0.0
        if not active[i]:
            continue
        row = rows[i] + 1
        side = positions[i, SIDE]
        carry = carry_pips[row, 0] if side > 0.0 else carry_pips[row, 1]
        advance_one_nb(
            positions[i],
            actions[i],
            float(fill_bid[row]),
            float(fill_ask[row]),
            float(bid_close[row]),
            float(ask_close[row]),
            carry,
            points_per_pip,
            steps[i],
        )
        rewards[i] = reward_nb(preset, actions[i], side, steps[i])
        rows[i] = row


class BatchSimulation:
    """Episodes that start flat and run in lock-step.

    Episode i decides at the closes of rows ``first_rows[i] … last_rows[i]``; each decision fills at the
    open of the next row and is marked at its close. A position that is open after the last decision is
    closed there, at cost. Finished episodes stay in the batch, inactive.

    Args:
        market: where they trade.
        first_rows, last_rows: ``[B]`` first and last decision row of each episode.
        reward: which reward `step` returns.
    """

    def __init__(
        self, market: Market, first_rows: Int64, last_rows: Int64, reward: RewardPreset = RewardPreset.DENSE
    ) -> None:
        if np.any(last_rows < first_rows) or np.any(last_rows + 1 >= len(market.bars)):
            raise ValueError("an episode ends before it starts, or after the last bar")
        self.market = market
        self.reward = reward
        self.first_rows = np.asarray(first_rows, np.int64).copy()
        self.last_rows = np.asarray(last_rows, np.int64).copy()
        self.batch = len(self.first_rows)
        lengths = self.last_rows - self.first_rows + 1
        self._offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self.rows = self.first_rows.copy()
        self.active = np.ones(self.batch, np.bool_)
        self.positions = flat_positions(self.batch)
        self.steps = np.zeros((self.batch, STEP_FIELDS))
        self.realised_pips = np.zeros(self.batch)
        self._rewards = np.zeros(self.batch)
        self._entry_rows = np.zeros(self.batch, np.int64)
        self._trades: list[EpisodeTrade] = []

    @cached_property
    def _market_rows(self) -> Float32:
        """The market part of every decision row; rules that look at prices alone never need it."""
        spans = zip(self.first_rows, self.last_rows, strict=True)
        return self.market.market_rows(np.concatenate([np.arange(a, b + 1) for a, b in spans]))

    def market_features(self) -> Float32:
        """``[B, M]`` the market part of the observation now."""
        at = self._offsets + np.minimum(self.rows, self.last_rows) - self.first_rows
        return self._market_rows[at]

    def observe(self) -> Float32:
        """``[B, O]`` what the agent sees now; rows of finished episodes mean nothing."""
        return self.market.processor.observe(
            self.market_features(), self.positions, self.market.bars.close_hp[self.rows]
        )

    def masks(self) -> Bool:
        """``[B, 4]`` the legal actions now."""
        return action_mask(
            self.positions[:, SIDE], self.market.may_enter[self.rows], self.market.flat_required[self.rows]
        )

    def equity_pips(self) -> Float64:
        """``[B]`` realised profit plus the open trade, marked at the price it could be closed at."""
        return self.realised_pips + self.positions[:, EQUITY]

    def step(self, actions: Int64) -> Float64:
        """Carry out one action per episode; returns ``[B]`` rewards in pips (0 when finished).

        Raises:
            ValueError: an action is illegal for its position.
        """
        market, bars = self.market, self.market.bars
        before = self.positions.copy()
        _step_nb(
            self.rows,
            self.active,
            self.positions,
            np.asarray(actions, np.int64),
            market.fill_bid,
            market.fill_ask,
            bars.bid_close,
            bars.ask_close,
            market.carry_pips,
            market.points_per_pip,
            int(self.reward),
            self.steps,
            self._rewards,
        )
        for i in np.flatnonzero(self.steps[:, CLOSED] > 0.0):
            self._book(int(i), before[i], self.steps[i], forced=False)
        opened = self.active & (before[:, SIDE] == 0.0) & (self.positions[:, SIDE] != 0.0)
        self._entry_rows[opened] = self.rows[opened]
        ending = self.active & (self.rows > self.last_rows)
        for i in np.flatnonzero(ending & (self.positions[:, SIDE] != 0.0)):
            self._force_close(int(i))
        self.active &= ~ending
        return self._rewards

    def trades(self) -> list[EpisodeTrade]:
        """Every trade closed so far, in order of closing."""
        return list(self._trades)

    def _force_close(self, i: int) -> None:
        """The session is over: the mark at the executable close becomes the result."""
        position = self.positions[i].copy()
        step = np.zeros(STEP_FIELDS)
        close_nb(self.positions[i], step)
        if self.reward is not RewardPreset.DENSE:  # dense has paid every bar's change already
            self._rewards[i] += reward_nb(int(self.reward), CLOSE, position[SIDE], step)
        self._book(i, position, step, forced=True)

    def _book(self, i: int, before: Float64, step: Float64, *, forced: bool) -> None:
        bars, row = self.market.bars, int(self.rows[i])
        side = int(before[SIDE])
        price_pips = step[REALISED] - step[CLOSED_CARRY]
        exit_points = round(before[ENTRY_POINTS] + side * price_pips * self.market.points_per_pip)
        self.realised_pips[i] += step[REALISED]
        entry_row = int(self._entry_rows[i])
        self._trades.append(
            EpisodeTrade(
                episode=i,
                entry_row=entry_row,
                exit_row=row,
                trade=TradeResult(
                    side=side,
                    entry_time_s=int(bars.time_s[entry_row]),
                    exit_time_s=int(bars.time_s[row]),
                    entry_points=int(before[ENTRY_POINTS]),
                    exit_points=exit_points,
                    bars=int(step[CLOSED_BARS]),
                    pnl_pips=float(step[REALISED]),
                    mae_pips=float(-step[CLOSED_TROUGH]),
                    mfe_pips=float(step[CLOSED_PEAK]),
                    max_drawdown_pips=float(step[CLOSED_MAX_DRAWDOWN]),
                    accumulated_drawdown_pips=float(step[CLOSED_DRAWDOWN]),
                    spread_pips=float(bars.spread_open[entry_row] / self.market.points_per_pip),
                    slippage_pips=float(2 * self.market.slippage_points / self.market.points_per_pip),
                    forced=forced,
                ),
            )
        )
