"""Trade statistics from closed trades' P&L after costs (`docs/contracts.md` §10), never from rewards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pnls = Sequence[float] | NDArray[np.float64]

SQN_TRADES_CAP: Final = 100
RELIABLE_TRADES: Final = 30
SQN_CLASSES: Final = (
    (7.0, "holy grail"),
    (5.0, "superb"),
    (3.0, "excellent"),
    (2.5, "good"),
    (2.0, "average"),
    (1.6, "below average"),
)


@dataclass(frozen=True)
class SQN:
    """System quality number, capped at 100 trades, with the uncapped value beside it.

    ``value`` and ``uncapped`` are None where SQN is undefined: fewer than two trades, or no spread
    between them. Below 30 trades it is shown but never used to choose (``reliable`` is False).
    """

    value: float | None
    uncapped: float | None
    trades: int
    reliable: bool
    label: str


@dataclass(frozen=True)
class TradeStatistics:
    """The figures shown wherever trades are summed up; None where a figure is undefined."""

    trades: int
    total_pips: float
    expectancy_pips: float | None
    win_rate: float | None
    profit_factor: float | None
    sqn: SQN


def _finite(pnls: Pnls) -> NDArray[np.float64]:
    values = np.asarray(pnls, np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError("a trade's profit is not a finite number")
    return values


def sqn_label(value: float | None) -> str:
    """Van Tharp's class of an SQN: "poor" below 1.6, "holy grail" from 7 on."""
    if value is None:
        return "undefined"
    return next((label for bound, label in SQN_CLASSES if value >= bound), "poor")


def sqn_text(value: float | None, trades: int) -> str:
    """An SQN and its class for a person, marked where there are too few trades to believe it."""
    if value is None:
        return "–"
    doubt = f", unreliable: under {RELIABLE_TRADES} trades" if trades < RELIABLE_TRADES else ""
    return f"{value:.2f} ({sqn_label(value)}{doubt})"


def sqn(pnls: Pnls, initial_risk: float = 1.0) -> SQN:
    """``√min(N, 100) · mean(R) / std(R, ddof=1)`` with ``R = P&L / initial_risk`` (Van Tharp).

    Args:
        pnls: ``[N]`` P&L of all closed trades, pips.
        initial_risk: what one trade risks (1 R), pips; SQN itself does not depend on it.

    Raises:
        ValueError: a P&L is not finite, or the risk is not positive.
    """
    if not initial_risk > 0:
        raise ValueError("initial risk must be positive")
    r = _finite(pnls) / initial_risk
    trades = len(r)
    # Equal trades differ from their rounded mean by an ulp, so ask for their range, not their std.
    if trades < 2 or r.min() == r.max():
        return SQN(None, None, trades, False, sqn_label(None))
    quality = float(r.mean() / r.std(ddof=1))
    value = math.sqrt(min(trades, SQN_TRADES_CAP)) * quality
    return SQN(value, math.sqrt(trades) * quality, trades, trades >= RELIABLE_TRADES, sqn_label(value))


def sqn_standard_error(value: float, trades: int) -> float:
    """How far an SQN over ``trades`` trades is off by chance, one standard deviation.

    With q = mean/std of a trade, ``√min(N, 100) · √((1 + q²/2) / N)`` (Lo 2002, for independent trades).

    Raises:
        ValueError: there are fewer than two trades.
    """
    if trades < 2:
        raise ValueError("an SQN needs two trades")
    scale = math.sqrt(min(trades, SQN_TRADES_CAP))
    return scale * math.sqrt((1.0 + 0.5 * (value / scale) ** 2) / trades)


def expectancy(pnls: Pnls) -> float | None:
    """Mean P&L of a trade, pips; None without trades."""
    values = _finite(pnls)
    return float(values.mean()) if len(values) else None


def win_rate(pnls: Pnls) -> float | None:
    """Share of trades that made a profit (a trade at zero is no win); None without trades."""
    values = _finite(pnls)
    return float(np.count_nonzero(values > 0) / len(values)) if len(values) else None


def profit_factor(pnls: Pnls) -> float | None:
    """``Σ wins / |Σ losses|`` by trade; ∞ with wins and no losses, None with neither."""
    values = _finite(pnls)
    wins, losses = float(values[values > 0].sum()), -float(values[values < 0].sum())
    if losses > 0:
        return wins / losses
    return math.inf if wins > 0 else None


def trade_statistics(pnls: Pnls, initial_risk: float = 1.0) -> TradeStatistics:
    """All of the above at once."""
    values = _finite(pnls)
    return TradeStatistics(
        trades=len(values),
        total_pips=float(values.sum()),
        expectancy_pips=expectancy(values),
        win_rate=win_rate(values),
        profit_factor=profit_factor(values),
        sqn=sqn(values, initial_risk),
    )
