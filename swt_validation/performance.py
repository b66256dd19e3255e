"""Growth and risk of a daily return series: Sharpe, Sortino, Calmar, drawdowns.

Every function takes unlevered or levered daily returns ``[d]`` and returns None where the figure is
undefined (fewer than two days, no variance, …) rather than a number that means nothing. ``inf`` means
'no risk was seen', and is shown as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
DAYS_PER_YEAR = 252


def sharpe(returns: Float64) -> float | None:
    """Annualised Sharpe ratio: mean / std(ddof=1) · √252, risk-free rate 0.

    None below two days or without variance. Never annualised from minutes: bars are not independent.
    """
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    if deviation <= 1e-15:
        return None
    return float(np.mean(returns)) / deviation * DAYS_PER_YEAR**0.5


def sortino(returns: Float64) -> float | None:
    """Annualised Sortino ratio: mean / √(Σ min(r, 0)² / d) · √252 (Sortino & van der Meer 1991, target 0).

    Without a losing day: inf if anything was earned, None if not. None below two days.
    """
    if len(returns) < 2:
        return None
    mean = float(np.mean(returns))
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside <= 1e-15:
        return float("inf") if mean > 0 else None
    return mean / downside * DAYS_PER_YEAR**0.5


def compound_annual_return(returns: Float64) -> float | None:
    """Compound annual growth: (Π(1 + r))^(252/d) − 1; −1 after ruin; None without days."""
    if not len(returns):
        return None
    growth = 1.0 + returns
    if np.any(growth <= 0):
        return -1.0
    return float(np.expm1(np.log(growth).sum() * DAYS_PER_YEAR / len(returns)))


def drawdown_curve(returns: Float64) -> Float64:
    """Share of the peak that is lost after each day, ``[d]`` in [0, 1]; the start counts as a peak."""
    wealth = np.cumprod(np.maximum(1.0 + returns, 0.0))
    peak = np.maximum.accumulate(np.concatenate(([1.0], wealth)))[1:]
    curve: Float64 = 1.0 - wealth / peak
    return curve


def max_drawdown(returns: Float64) -> float:
    """Largest drawdown of the compounded curve, a share in [0, 1]; 0 without days."""
    return float(drawdown_curve(returns).max(initial=0.0))


def calmar(returns: Float64) -> float | None:
    """Compound annual return / max drawdown. No drawdown: inf if anything was earned, else None."""
    growth = compound_annual_return(returns)
    if growth is None:
        return None
    deepest = max_drawdown(returns)
    if deepest <= 1e-15:
        return float("inf") if growth > 0 else None
    return growth / deepest


@dataclass(frozen=True)
class Drawdown:
    """One fall from a peak: indices into the series; `recovery` is None while it has not recovered."""

    peak: int
    trough: int
    recovery: int | None
    depth: float


def drawdowns(equity: Float64, count: int = 5) -> list[Drawdown]:
    """The deepest falls of an equity series (pips or money; it starts at 0), deepest first.

    Args:
        equity: ``[n]`` cumulative profit after each step.
        count: how many to return.

    Returns:
        Depths in the series' own unit. ``peak`` −1 is the start.
    """
    if not len(equity):
        return []
    level = np.concatenate(([0.0], equity))
    peak = np.maximum.accumulate(level)
    under = level < peak
    starts = np.flatnonzero(under & ~np.concatenate(([False], under[:-1])))
    ends = np.flatnonzero(under & ~np.concatenate((under[1:], [False])))
    found = []
    for start, end in zip(starts, ends, strict=True):
        trough = int(start + np.argmin(level[start : end + 1]))
        recovery = int(end) if end + 1 < len(level) else None
        found.append(Drawdown(int(start) - 2, trough - 1, recovery, float(peak[trough] - level[trough])))
    return sorted(found, key=lambda drawdown: -drawdown.depth)[:count]


def longest_drawdown(equity: Float64) -> int:
    """Longest stretch of steps below an earlier peak."""
    level = np.concatenate(([0.0], equity))
    under = level < np.maximum.accumulate(level)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], under.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))
