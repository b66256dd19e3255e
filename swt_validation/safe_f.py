"""Position sizing after Bandy: safe-f, CAR25; and Kelly beside them.

Howard Bandy, *Quantitative Technical Analysis* (2015), "Risk normalization": resample many equity curves
over a horizon of two years; safe-f is the largest fraction at which the tail of maximum drawdown stays
within the trader's tolerance; CAR25 is the 25th percentile of compound annual return at that fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_validation.performance import DAYS_PER_YEAR
from swt_validation.resampling import Curves, resample

Float64 = NDArray[np.float64]

HORIZON_DAYS: Final = 2 * DAYS_PER_YEAR
MAXIMUM_FRACTION: Final = 20.0
DRAWDOWN_TOLERANCE: Final = 0.20
TAIL_PERCENTILE: Final = 95.0
_ITERATIONS: Final = 40
_PRECISION: Final = 1e-3


class SafeFOutcome(StrEnum):
    """How the search for safe-f ended."""

    FOUND = "found"
    MARGIN_LIMIT = "margin limit"
    NO_DRAWDOWN = "no drawdown"
    RUIN = "ruin"
    TOO_FEW_DAYS = "too few days"


@dataclass(frozen=True)
class RiskNormalised:
    """Safe-f and what it earns, for one kind of resampling.

    Attributes:
        outcome: `SafeFOutcome`: why safe-f is what it is.
        safe_f: largest fraction (leverage) within tolerance, in [0, 20].
        car25, car50, car75: percentiles of compound annual return at safe-f, on fresh curves.
        car_low, car_high: its 2.5th and 97.5th percentiles.
        drawdown95: 95th percentile of maximum drawdown at safe-f, on the fresh curves.
        block: block length of the bootstrap, 1 for IID.
    """

    outcome: SafeFOutcome
    safe_f: float
    car25: float
    car50: float
    car75: float
    car_low: float
    car_high: float
    drawdown95: float
    block: int


def safe_f(
    returns: Float64,
    *,
    runs: int,
    block: int,
    seed: int,
    steps: int = HORIZON_DAYS,
    tolerance: float = DRAWDOWN_TOLERANCE,
    maximum: float = MAXIMUM_FRACTION,
) -> tuple[float, SafeFOutcome]:
    """The largest fraction ≤ ``maximum`` whose 95th percentile of max drawdown is ≤ ``tolerance``.

    Bisection on common random numbers. Each stretch's log growth is concave in the fraction and 0 at 0,
    so a curve's drawdown never falls as the fraction grows: the bisection has one root.

    Returns:
        (0, RUIN) if even the smallest fraction breaks the tolerance; (maximum, NO_DRAWDOWN) if nothing
        was ever lost; (maximum, MARGIN_LIMIT) if the limit binds first.
    """
    if len(returns) < 2:
        return 0.0, SafeFOutcome.TOO_FEW_DAYS
    if not np.any(returns < 0):
        return maximum, SafeFOutcome.NO_DRAWDOWN

    def tail(fraction: float) -> float:
        curves = resample(returns, fraction=fraction, runs=runs, steps=steps, block=block, seed=seed)
        return float(np.percentile(curves.max_drawdown, TAIL_PERCENTILE))

    if tail(maximum) <= tolerance:
        return maximum, SafeFOutcome.MARGIN_LIMIT
    low, high = 0.0, maximum
    for _ in range(_ITERATIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) <= tolerance else (low, middle)
        if high - low <= _PRECISION * high:
            break
    return (low, SafeFOutcome.FOUND) if low > 0 else (0.0, SafeFOutcome.RUIN)


def risk_normalise(
    returns: Float64, *, runs: int, block: int, seeds: tuple[int, int], steps: int = HORIZON_DAYS
) -> RiskNormalised:
    """Safe-f on one set of curves, CAR25 on a fresh one.

    Args:
        returns: ``[d]`` unlevered daily returns, flat days kept.
        runs: curves in each set.
        block: block length; 1 for IID.
        seeds: of the two sets.
    """
    fraction, outcome = safe_f(returns, runs=runs, block=block, seed=seeds[0], steps=steps)
    if outcome is SafeFOutcome.TOO_FEW_DAYS:
        return RiskNormalised(outcome, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, block)
    curves = resample(returns, fraction=fraction, runs=runs, steps=steps, block=block, seed=seeds[1])
    growth = curves.annual_growth(steps / DAYS_PER_YEAR)
    low, car25, car50, car75, high = np.percentile(growth, [2.5, 25, 50, 75, 97.5])
    return RiskNormalised(
        outcome,
        fraction,
        float(car25),
        float(car50),
        float(car75),
        float(low),
        float(high),
        float(np.percentile(curves.max_drawdown, TAIL_PERCENTILE)),
        block,
    )


def curves_at(returns: Float64, fraction: float, *, runs: int, block: int, seed: int) -> Curves:
    """Curves over the horizon at a given fraction (the size really traded)."""
    return resample(returns, fraction=fraction, runs=runs, steps=HORIZON_DAYS, block=block, seed=seed)


def kelly(pnl: Float64) -> float | None:
    """Kelly's fraction p − (1 − p)·L/W from trades' results (W, L: average win and loss).

    None without trades or without a win; without a loss it is p (the most the formula can say). A
    quarter of it is what is shown as usable.
    """
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    if not len(pnl) or not len(wins):
        return None
    p = len(wins) / len(pnl)
    if not len(losses):
        return p
    return float(p - (1 - p) * (-losses.mean() / wins.mean()))
