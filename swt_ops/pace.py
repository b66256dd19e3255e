"""Intervals of the trader that are market seconds, fitted to how fast the practice server's market runs."""

from __future__ import annotations

from typing import Literal

PracticeMode = Literal["real_time", "accelerated", "lockstep"]


def market_pace(mode: PracticeMode, speed: float) -> dict[str, float]:
    """Settings of the section live, as ``live.key`` → value.

    At 60 market seconds a second a look at the flags each market second would be 60 round trips, and ten
    market seconds without a price no more than a hiccup.

    Args:
        speed: market seconds a second, in mode accelerated.
    """
    pace = {"real_time": 1.0, "accelerated": max(1.0, speed), "lockstep": 60.0}[mode]
    return {
        "live.flag_poll_seconds": min(60.0, pace),
        "live.stale_after_seconds": max(10.0, 2.0 * pace),
        "live.status_seconds": 10.0 * pace,
    }
