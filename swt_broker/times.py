"""Times on the wire: RFC 3339 with nine decimals, or UNIX seconds as a string; both are read always."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

TimeFormat = Literal["RFC3339", "UNIX"]


def parse_time(text: str) -> float:
    """``2019-05-19T23:39:35.572206617Z`` or ``1491201650.000000000`` as epoch seconds.

    Servers have ignored Accept-Datetime-Format, so the text decides. Precision: a microsecond.

    Raises:
        ValueError: for anything else.
    """
    if "T" in text:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC).timestamp() if moment.tzinfo is None else moment.timestamp()
    return float(text)


def format_time(time_s: float, time_format: TimeFormat = "RFC3339") -> str:
    """Epoch seconds as the broker writes them, rounded to a microsecond."""
    microseconds = round(time_s * 1e6)
    seconds, fraction = divmod(microseconds, 1_000_000)
    if time_format == "UNIX":
        return f"{seconds}.{fraction:06d}000"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:06d}000Z"
