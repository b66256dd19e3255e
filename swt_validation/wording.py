"""Numbers as people read them, in reports, verdicts and tables."""

from __future__ import annotations

import math


def pips(value: float | None, digits: int = 1) -> str:
    """Signed pips; – where undefined."""
    return "–" if value is None else f"{value:+,.{digits}f}"


def ratio(value: float | None, digits: int = 2) -> str:
    """A ratio; ∞ where nothing was lost, – where undefined."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:,.{digits}f}"


def share(value: float | None, digits: int = 1) -> str:
    """A share as per cent; from 1,000 % on as a multiple, so that absurd growth reads as such."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if value >= 1e6:
        return f"×1e{math.floor(math.log10(value))}"
    return f"×{1 + value:,.0f}" if value >= 10 else f"{value:.{digits}%}"
