"""Which sessions are learned from: random valid starts, or lively ones first (a curriculum)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_data.bars import Bars

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

FIRST_SHARE: Final = 0.25


class SessionSampler:
    """Draws first rows of sessions from the training range.

    Without a curriculum every valid start is as likely as any. With one, the first sessions come from the
    quarter of the starts where the market moves most for its cost; the share grows evenly to all of
    them over ``curriculum_sessions``. Liveliness says nothing of direction, so no outcome is selected.

    Args:
        starts: ``[n]`` the valid first rows.
        bars: the market.
        steps: decisions per session.
        curriculum_sessions: 0: none.
    """

    def __init__(self, starts: Int64, bars: Bars, steps: int, curriculum_sessions: int = 0) -> None:
        self._starts = starts
        self._curriculum_sessions = curriculum_sessions
        self._ordered = starts
        if curriculum_sessions:
            self._ordered = starts[np.argsort(-movement_per_cost(bars, starts, steps), kind="stable")]

    def eligible(self, sessions_seen: int) -> Int64:
        """The starts that may be drawn after so many sessions."""
        if not self._curriculum_sessions:
            return self._starts
        progress = min(1.0, sessions_seen / self._curriculum_sessions)
        share = FIRST_SHARE + (1.0 - FIRST_SHARE) * progress
        return self._ordered[: max(1, round(share * len(self._ordered)))]

    def draw(self, count: int, sessions_seen: int, rng: np.random.Generator) -> Int64:
        """``count`` first rows, with replacement."""
        return rng.choice(self.eligible(sessions_seen), count)


def movement_per_cost(bars: Bars, starts: Int64, steps: int) -> Float64:
    """``[n]`` mean absolute one-bar change of each session over its mean spread, both in points."""
    changes = np.abs(np.diff(bars.close_hp, prepend=bars.close_hp[:1])) / 2.0
    spread = (bars.ask_close - bars.bid_close).astype(np.float64)

    def mean(values: Float64) -> Float64:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return (total[starts + steps] - total[starts]) / steps

    return mean(changes) / np.maximum(mean(spread), 1.0)
