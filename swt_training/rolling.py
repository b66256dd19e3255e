"""Rolling figures of self-play: what was really done and what closed trades really paid, never rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swt_core.position import ACTION_NAMES, ACTIONS, BUY, SELL
from swt_core.statistics import TradeStatistics, trade_statistics
from swt_inference.rollout import RolloutResult

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class RollingFigures:
    """The last sessions at a glance.

    Attributes:
        sessions: sessions looked at.
        trades: statistics of their closed trades, pips after costs.
        trade_ratio: share of sessions with a closed trade.
        action_shares: ``[4]`` share of each action among all decisions.
        buys_share: share of BUY among entries; None without entries.
        confidence: mean visit share of the chosen action; None where no search chose.
    """

    sessions: int
    trades: TradeStatistics
    trade_ratio: float
    action_shares: tuple[float, ...]
    buys_share: float | None
    confidence: float | None

    @property
    def trades_per_session(self) -> float:
        return self.trades.trades / max(1, self.sessions)


class RollingStatistics:
    """The last ``window`` sessions of self-play, by blocks as actors returned them.

    The oldest block goes once the others fill the window, so a little more than the window may be held.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self._sessions = np.zeros(0, np.int64)  # [B] of each block
        self._trading = np.zeros(0, np.int64)
        self._actions = np.zeros((0, ACTIONS), np.int64)
        self._confidence = np.zeros(0)
        self._trades = np.zeros(0, np.int64)
        self._pips = np.zeros(0)  # closed trades of all blocks, oldest first

    def add(self, results: Sequence[RolloutResult]) -> None:
        """Append one block per result."""
        for result in results:
            sessions = len(result.episode_pips)
            if not sessions:
                continue
            self._sessions = np.append(self._sessions, sessions)
            self._trading = np.append(self._trading, len({trade.episode for trade in result.trades}))
            self._actions = np.vstack([self._actions, result.action_counts])
            self._confidence = np.append(self._confidence, result.mean_confidence)
            self._trades = np.append(self._trades, len(result.trades))
            self._pips = np.append(self._pips, result.trade_pips)
        while len(self._sessions) > 1 and self._sessions[1:].sum() >= self.window:
            self._pips = self._pips[self._trades[0] :]
            self._keep_from(1)

    def figures(self) -> RollingFigures:
        """What the window holds."""
        counts, sessions = self._actions.sum(axis=0), int(self._sessions.sum())
        entries = int(counts[BUY] + counts[SELL])
        weighted = self._confidence * self._sessions
        known = bool(sessions) and bool(np.isfinite(weighted).all())
        return RollingFigures(
            sessions=sessions,
            trades=trade_statistics(self._pips),
            trade_ratio=float(self._trading.sum() / max(1, sessions)),
            action_shares=tuple(float(x) for x in counts / max(1, counts.sum())),
            buys_share=float(counts[BUY] / entries) if entries else None,
            confidence=float(weighted.sum() / sessions) if known else None,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, for the resume state."""
        return {
            "sessions": self._sessions,
            "trading": self._trading,
            "actions": self._actions,
            "confidence": self._confidence,
            "trades": self._trades,
            "pips": self._pips,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The inverse of `arrays`; a state without them starts an empty window."""
        if not arrays:
            return
        self._sessions = arrays["sessions"].astype(np.int64)
        self._trading = arrays["trading"].astype(np.int64)
        self._actions = arrays["actions"].astype(np.int64).reshape(-1, ACTIONS)
        self._confidence = arrays["confidence"].astype(np.float64)
        self._trades = arrays["trades"].astype(np.int64)
        self._pips = arrays["pips"].astype(np.float64)

    def _keep_from(self, first: int) -> None:
        self._sessions, self._trading = self._sessions[first:], self._trading[first:]
        self._actions, self._confidence = self._actions[first:], self._confidence[first:]
        self._trades = self._trades[first:]


def rolling_figures(found: RollingFigures) -> dict[str, float]:
    """As metrics: ``Rolling/…``; a figure that is undefined is left out."""
    trades = found.trades
    figures = {
        "Rolling/sessions": float(found.sessions),
        "Rolling/trades": float(trades.trades),
        "Rolling/trades_per_session": found.trades_per_session,
        "Rolling/trade_ratio": found.trade_ratio,
        "Rolling/pips": trades.total_pips,
    }
    optional = {
        "Rolling/expectancy_pips": trades.expectancy_pips,
        "Rolling/win_rate": trades.win_rate,
        "Rolling/sqn": trades.sqn.value,
        "Rolling/buys_share": found.buys_share,
        "Rolling/confidence": found.confidence,
    }
    figures |= {name: value for name, value in optional.items() if value is not None}
    return figures | {
        f"Rolling/action_{name.lower()}": share
        for name, share in zip(ACTION_NAMES, found.action_shares, strict=True)
    }
