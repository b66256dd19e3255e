"""What shares of the episodes came to, as columns that travel cheaply between processes, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swt_core.position import ACTIONS
from swt_inference.rollout import RolloutResult
from swt_validation.evaluation import TradeColumns, trade_columns

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Played:
    """Episodes that were played to their end.

    Attributes:
        trades: their closed trades; ``episode`` is the place among these episodes.
        equity_pips: per episode, the equity after each decision.
        action_counts: ``[4]`` decisions by action.
    """

    trades: TradeColumns
    equity_pips: tuple[Float64, ...]
    action_counts: Int64


def played(result: RolloutResult) -> Played:
    """A rollout with its equity kept, as columns."""
    columns = trade_columns([t.trade for t in result.trades], [t.episode for t in result.trades])
    return Played(columns, result.equity_pips, result.action_counts)


def merged(shares: Sequence[Played], places: Sequence[Int64], count: int) -> Played:
    """Shares of ``count`` episodes as one; ``places`` says where each share's episodes belong."""
    equity: list[Float64] = [np.zeros(0)] * count
    for share, at in zip(shares, places, strict=True):
        for place, curve in zip(at, share.equity_pips, strict=True):
            equity[place] = curve
    moved = [replace(s.trades, episode=at[s.trades.episode]) for s, at in zip(shares, places, strict=True)]
    names = TradeColumns.__dataclass_fields__
    together = (
        TradeColumns(*(np.concatenate([getattr(trades, name) for trades in moved]) for name in names))
        if moved
        else trade_columns([], [])
    )
    order = np.lexsort((together.entry_time_s, together.episode))
    counts: Int64 = sum((share.action_counts for share in shares), np.zeros(ACTIONS, np.int64))
    return Played(together.select(order), tuple(equity), counts)
