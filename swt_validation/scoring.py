"""Composite score 0–100, its components and the letter grade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

# (value, points): linear in between, flat outside. Below the tier of 40 points the line runs to the
# value that means 'no edge'; for drawdown that is 30 %.
EXPECTANCY_TIERS: Final = ((0.0, 0.0), (0.1, 40.0), (0.3, 70.0), (0.5, 100.0))
SHARPE_TIERS: Final = ((0.0, 0.0), (1.0, 40.0), (1.5, 70.0), (2.0, 100.0))
SORTINO_TIERS: Final = ((0.0, 0.0), (1.5, 40.0), (2.0, 70.0), (2.5, 100.0))
WIN_RATE_TIERS: Final = ((0.3, 0.0), (0.4, 40.0), (0.5, 70.0), (0.6, 100.0))
PROFIT_FACTOR_TIERS: Final = ((1.0, 0.0), (1.2, 40.0), (1.5, 70.0), (2.0, 100.0))
DRAWDOWN_TIERS: Final = ((0.10, 100.0), (0.15, 70.0), (0.20, 40.0), (0.30, 0.0))
GRADES: Final = (
    (95, "A+"),
    (90, "A"),
    (85, "A−"),
    (80, "B+"),
    (75, "B"),
    (70, "B−"),
    (65, "C+"),
    (60, "C"),
    (55, "C−"),
    (50, "D"),
)


@dataclass(frozen=True)
class Score:
    """Composite score and its four components, each 0–100."""

    expectancy: float
    risk_adjusted: float
    consistency: float
    drawdown: float
    total: float
    grade: str

    @property
    def components(self) -> dict[str, float]:
        """Name → points of the components."""
        return {
            "expectancy": self.expectancy,
            "risk-adjusted return": self.risk_adjusted,
            "consistency": self.consistency,
            "drawdown": self.drawdown,
        }


def points(value: float | None, tiers: tuple[tuple[float, float], ...]) -> float:
    """Points of a figure; an undefined one earns none, an infinite one all."""
    if value is None or np.isnan(value):
        return 0.0
    levels, marks = zip(*tiers, strict=True)
    return float(np.interp(value, levels, marks))


# Instead of a letter, where fewer than `RELIABLE_TRADES` trades would carry it.
UNGRADED: Final = "ungraded"


def grade(score: float) -> str:
    """Letter grade of a score."""
    return next((letter for bound, letter in GRADES if score >= bound), "F")


def composite_score(
    *,
    expectancy_r: float | None,
    sharpe: float | None,
    sortino: float | None,
    win_rate: float | None,
    profit_factor: float | None,
    max_drawdown: float,
) -> Score:
    """Expectancy 30 %, risk-adjusted 30 %, consistency 20 %, drawdown 20 %.

    Risk-adjusted is the mean of the Sharpe and Sortino points; consistency is 60 % win rate and 40 %
    profit factor.

    Args:
        expectancy_r: mean trade in units of initial risk.
        max_drawdown: share of equity at the size really traded.
    """
    expectancy = points(expectancy_r, EXPECTANCY_TIERS)
    risk_adjusted = (points(sharpe, SHARPE_TIERS) + points(sortino, SORTINO_TIERS)) / 2
    consistency = 0.6 * points(win_rate, WIN_RATE_TIERS) + 0.4 * points(profit_factor, PROFIT_FACTOR_TIERS)
    drawdown = points(max_drawdown, DRAWDOWN_TIERS) if expectancy_r is not None else 0.0
    total = 0.3 * expectancy + 0.3 * risk_adjusted + 0.2 * consistency + 0.2 * drawdown
    return Score(expectancy, risk_adjusted, consistency, drawdown, total, grade(total))
