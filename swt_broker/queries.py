"""Query parameters of reads that have many."""

from __future__ import annotations

from swt_broker.times import format_time


def candle_query(
    granularity: str,
    price: str,
    count: int | None,
    from_s: float | None,
    to_s: float | None,
    include_first: bool,
) -> dict[str, str]:
    """Parameters of the candles endpoint; those that are None are left out."""
    params = {"granularity": granularity, "price": price}
    if count is not None:
        params["count"] = str(count)
    if from_s is not None:
        params["from"] = format_time(from_s)
        params["includeFirst"] = str(include_first)
    if to_s is not None:
        params["to"] = format_time(to_s)
    return params
