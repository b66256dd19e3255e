"""UNIX times for clients that ask for them."""

from __future__ import annotations

import re
from typing import Any

from swt_broker.times import format_time, parse_time

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def with_unix_times(value: Any) -> Any:
    """A JSON value with every RFC 3339 time written as UNIX seconds."""
    if isinstance(value, dict):
        return {key: with_unix_times(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_unix_times(item) for item in value]
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        return format_time(parse_time(value), "UNIX")
    return value
