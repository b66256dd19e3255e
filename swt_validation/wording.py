"""Numbers as people read them, in reports, verdicts and tables."""

from __future__ import annotations

import math

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


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
    if value >= 1e15:
        return f"×10{str(math.floor(math.log10(value))).translate(_SUPERSCRIPT)}"
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"×{value / size:,.0f} {name}"
    return f"×{1 + value:,.0f}" if value >= 10 else f"{value:.{digits}%}"
