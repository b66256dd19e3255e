"""Training curves from ``metrics.jsonl``: by episode, thinned so that a page can draw them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from swt_ops.dashboard.records import Course
from swt_ops.training import recent_rows

# Some 8,000 rounds: days of training; what lies further back is in TensorBoard.
_TAIL_BYTES: Final = 8 << 20
POINTS: Final = 400
CURVES: Final = (
    "Rolling/expectancy_pips",
    "Performance/expectancy_pips",
    "Selection/expectancy_pips",
    "Performance/self_play_pips",
    "Selection/pips_per_session",
    "Loss/total",
    "Loss/policy",
    "Loss/value",
    "Loss/reward",
    "Loss/chance",
    "Training/buffer_sessions",
    "Training/buffer_trading_share",
    "Actions/HOLD",
    "Actions/BUY",
    "Actions/SELL",
    "Actions/CLOSE",
    "Training/episodes_per_s",
    "Training/learner_steps_per_s",
)


class TrainingCourses:
    """Reads the curves of a metrics file; again only when the file has changed."""

    def __init__(self, metrics: Path, points: int = POINTS) -> None:
        self._metrics, self._points = metrics, points
        self._version: tuple[int, int] | None = None
        self._courses: tuple[Course, ...] = ()

    def read(self) -> tuple[Course, ...]:
        """Every curve of `CURVES` that has been measured; none without a file.

        Raises:
            OSError: the file is there and cannot be read.
        """
        try:
            with self._metrics.open("rb") as file:  # `recent_rows` takes an unreadable file for an empty one
                found = os.fstat(file.fileno())
        except FileNotFoundError:
            return ()
        version = (found.st_mtime_ns, found.st_size)
        if version != self._version:
            self._courses = courses(recent_rows(self._metrics, _TAIL_BYTES), self._points)
            self._version = version
        return self._courses


def courses(rows: Sequence[Mapping[str, float]], points: int = POINTS) -> tuple[Course, ...]:
    """The curves in ``rows``, each of at most ``points`` values; what is not finite is left out."""
    found = []
    for name in CURVES:
        values = [
            (row["episode"], row[name])
            for row in rows
            if name in row and "episode" in row and math.isfinite(row[name]) and math.isfinite(row["episode"])
        ]
        if values:
            kept = thinned(values, points)
            found.append(
                Course(schema_version=1, name=name, x=tuple(k[0] for k in kept), y=tuple(k[1] for k in kept))
            )
    return tuple(found)


def thinned(values: Sequence[tuple[float, float]], points: int) -> Sequence[tuple[float, float]]:
    """At most ``points`` of ``values``, evenly; the newest always stays."""
    step = math.ceil(len(values) / points)
    return values[::-1][::step][::-1] if step > 1 else values
