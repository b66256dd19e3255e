"""What an evaluation hands to the statistics: closed trades and equity by bar, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swt_core.instruments import Instrument
from swt_core.records import TradeResult

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
EpisodeMode = Literal["weeks", "sessions"]
# Larger than any time in seconds: orders (episode, time) pairs by one integer.
_EPISODE_STRIDE = 1 << 36


@dataclass(frozen=True)
class TradeColumns:
    """Closed trades, one array a field, sorted by episode and entry time.

    Attributes:
        episode: ``[n]`` which week or session the trade belongs to.
        side: ``[n]`` +1 long, −1 short.
        entry_time_s, exit_time_s: ``[n]`` opens of the bars whose open filled entry and exit.
        entry_points, exit_points: ``[n]`` fill prices in points.
        bars: ``[n]`` bars between the fills.
        pnl_pips: ``[n]`` profit after all costs.
        mae_pips, mfe_pips: ``[n]`` worst and best mark while the trade was open.
        max_drawdown_pips: ``[n]`` largest fall from the trade's own peak.
        spread_pips, slippage_pips: ``[n]`` cost paid, where the simulation knows it.
        forced: ``[n]`` closed by the end of the episode, not by the agent.
    """

    episode: Int64
    side: Int64
    entry_time_s: Int64
    exit_time_s: Int64
    entry_points: Int64
    exit_points: Int64
    bars: Int64
    pnl_pips: Float64
    mae_pips: Float64
    mfe_pips: Float64
    max_drawdown_pips: Float64
    spread_pips: Float64
    slippage_pips: Float64
    forced: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pnl_pips)

    def select(self, which: NDArray[np.bool_] | Int64) -> TradeColumns:
        """The trades of a mask or an index array."""
        return TradeColumns(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def trade_columns(trades: Sequence[TradeResult], episodes: Sequence[int]) -> TradeColumns:
    """Columns from records, sorted by episode and entry time.

    Args:
        trades: closed trades.
        episodes: the episode of each, same length.
    """
    order = sorted(range(len(trades)), key=lambda i: (episodes[i], trades[i].entry_time_s))

    def integers(values: list[int]) -> Int64:
        return np.array(values, np.int64)

    def floats(name: str) -> Float64:
        return np.array([getattr(trades[i], name) for i in order], np.float64)

    return TradeColumns(
        episode=integers([episodes[i] for i in order]),
        side=integers([trades[i].side for i in order]),
        entry_time_s=integers([trades[i].entry_time_s for i in order]),
        exit_time_s=integers([trades[i].exit_time_s for i in order]),
        entry_points=integers([trades[i].entry_points for i in order]),
        exit_points=integers([trades[i].exit_points for i in order]),
        bars=integers([trades[i].bars for i in order]),
        pnl_pips=floats("pnl_pips"),
        mae_pips=floats("mae_pips"),
        mfe_pips=floats("mfe_pips"),
        max_drawdown_pips=floats("max_drawdown_pips"),
        spread_pips=floats("spread_pips"),
        slippage_pips=floats("slippage_pips"),
        forced=np.array([trades[i].forced for i in order], np.bool_),
    )


@dataclass(frozen=True)
class Evaluation:
    """One greedy run of an agent over independent episodes (whole weeks, or sessions).

    Attributes:
        mode: whole trading weeks as live trades them, or training's sessions.
        instrument: fixes pip and point.
        trades: every closed trade.
        bar_time_s: ``[n]`` open of each evaluated bar, sorted by (episode, time).
        bar_episode: ``[n]`` the episode of each bar.
        equity_pips: ``[n]`` the episode's profit so far, open trade marked at its exit price.
    """

    mode: EpisodeMode
    instrument: Instrument
    trades: TradeColumns
    bar_time_s: Int64
    bar_episode: Int64
    equity_pips: Float64

    @property
    def episodes(self) -> int:
        return len(np.unique(self.bar_episode))

    @cached_property
    def episode_pips(self) -> Float64:
        """Profit of each episode, in order of time, ``[E]`` pips."""
        last = np.flatnonzero(np.diff(self.bar_episode, append=np.int64(-1)) != 0)
        return self.equity_pips[last]

    @cached_property
    def change_pips(self) -> Float64:
        """Change of equity in each bar, ``[n]`` pips."""
        change = np.diff(self.equity_pips, prepend=0.0)
        first = np.flatnonzero(np.diff(self.bar_episode, prepend=np.int64(-1)) != 0)
        change[first] = self.equity_pips[first]
        return change

    @cached_property
    def change_returns(self) -> Float64:
        """Change of equity in each bar as an unlevered return: pips · pip / entry price, ``[n]``."""
        returns = np.zeros(len(self.bar_time_s))
        moved = np.flatnonzero(self.change_pips)
        if not len(moved) or not len(self.trades):
            return returns
        trades = self.trades
        entries = trades.episode * _EPISODE_STRIDE + trades.entry_time_s
        bars = self.bar_episode[moved] * _EPISODE_STRIDE + self.bar_time_s[moved]
        # The trade open in a bar is the last one entered at or before it: trades do not overlap.
        active = np.maximum(np.searchsorted(entries, bars, side="right") - 1, 0)
        price = trades.entry_points[active] / 10**self.instrument.display_precision
        returns[moved] = self.change_pips[moved] * self.instrument.pip_size / price
        return returns

    @property
    def trade_returns(self) -> Float64:
        """Each trade's unlevered return: pips · pip / entry price, ``[trades]``."""
        price = self.trades.entry_points / 10**self.instrument.display_precision
        returns: Float64 = self.trades.pnl_pips * self.instrument.pip_size / price
        return returns

    @property
    def exposure(self) -> float:
        """Share of the evaluated bars with an open position."""
        return float(self.trades.bars.sum() / max(len(self.bar_time_s), 1))
