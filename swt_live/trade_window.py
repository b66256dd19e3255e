"""Rolling figures of the last closed trades, for status and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swt_core.records import TradeResult

RECENT_TRADES = 20
WINDOW_S = 6 * 3600


@dataclass(frozen=True)
class TradeWindow:
    """Figures of the last 20 trades and of the last six hours; None where undefined.

    Attributes:
        win_loss_ratio: average win over average loss.
        winning_streak, losing_streak: trades in a row up to now, within the last 20.
        mae_pips: mean of the largest open losses.
        trades_6h, profit_factor_6h: of trades closed in the last six hours; infinite without a loss.
    """

    win_rate: float | None
    win_loss_ratio: float | None
    profit_factor: float | None
    winning_streak: int
    losing_streak: int
    mae_pips: float | None
    trades_6h: int
    profit_factor_6h: float | None


def trade_window(recent: Sequence[TradeResult], last_hours: Sequence[TradeResult]) -> TradeWindow:
    """``recent``: the last 20 trades; ``last_hours``: those of the last six hours, oldest first both."""
    pips = [trade.pnl_pips for trade in recent]
    wins, losses = [p for p in pips if p > 0], [-p for p in pips if p < 0]
    ratio = (sum(wins) / len(wins)) / (sum(losses) / len(losses)) if wins and losses else None
    return TradeWindow(
        win_rate=len(wins) / len(pips) if pips else None,
        win_loss_ratio=ratio,
        profit_factor=_profit_factor(pips),
        winning_streak=_streak([p > 0 for p in pips]),
        losing_streak=_streak([p < 0 for p in pips]),
        mae_pips=sum(trade.mae_pips for trade in recent) / len(recent) if recent else None,
        trades_6h=len(last_hours),
        profit_factor_6h=_profit_factor([trade.pnl_pips for trade in last_hours]),
    )


def _profit_factor(pips: Sequence[float]) -> float | None:
    if not pips:
        return None
    gains, losses = sum(p for p in pips if p > 0), -sum(p for p in pips if p < 0)
    return gains / losses if losses else float("inf")


def _streak(flags: Sequence[bool]) -> int:
    """How many of the last are true in a row."""
    return next((n for n, flag in enumerate(reversed(flags)) if not flag), len(flags))
