"""What every reader of a foreign format produces: stamped quotes, before time zone and minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swt_core.errors import DataError
from swt_data.importing.zones import StampZone

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Side = Literal["mid", "bid", "ask", "both"]
# What is being done, and the share of the work that lies behind.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class RawSeries:
    """Ticks or bars as published; a tick is a bar whose four prices are one.

    Attributes:
        stamp_us: ``[n]`` microseconds since 1970 of the published wall clock, in whatever zone that is.
        price: ``[n, 4]`` open, high, low, close of ``side``; the bid where ``side`` is both.
        ask: ``[n, 4]`` the ask where ``side`` is both.
        volume: ``[n]``; zeros where none is published.
        zone: the zone of the stamps where the format itself fixes it; None: to be settled.
        stated_zone: the zone a header names; believed only where evidence does not decide.
        lines: ``[n]`` line or record each row came from, for messages.
    """

    path: Path
    format: str
    side: Side
    ticks: bool
    stamp_us: Int64
    price: Float64
    ask: Float64 | None
    volume: Float64
    lines: Int64
    zone: StampZone | None = None
    stated_zone: StampZone | None = None


def no_progress(_what: str, _share: float) -> None:
    """For callers that do not watch."""


def broken(path: Path, where: str, found: object, expected: str) -> DataError:
    """The error that refuses a file: which line, what was there, what was expected."""
    return DataError(
        f"{path}: {where}: found {str(found)[:120]!r}, expected {expected}",
        remedy="repair or re-download the file; nothing was stored",
    )


def side_of_name(path: Path) -> Side:
    """The side a file's name tells of; a bid where it tells nothing of an ask."""
    words = path.name.lower().replace("-", "_").replace(" ", "_").replace(".", "_").split("_")
    return "ask" if "ask" in words else "bid" if "bid" in words else "mid"
