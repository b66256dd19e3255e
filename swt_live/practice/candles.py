"""Candles of any granularity from one minute up, from the bars replayed so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swt_broker.times import format_time, parse_time
from swt_core.calendar import DAY_S, WEEK_S, new_york_seconds
from swt_live.practice.market import ReplayMarket
from swt_live.practice.refusal import Refusal
from swt_live.practice.ticks import CLOSE, HIGH, LOW, OPEN, bar_quotes

Int64 = NDArray[np.int64]
MAXIMUM_COUNT = 5000
DEFAULT_COUNT = 500
_HOUR_S = 3600
_UTC_SECONDS = {f"M{n}": 60 * n for n in (1, 2, 4, 5, 10, 15, 30)} | {"H1": _HOUR_S}
_ALIGNED_SECONDS = {f"H{n}": n * _HOUR_S for n in (2, 3, 4, 6, 8, 12)} | {"D": DAY_S, "W": WEEK_S}
SECONDS = _UTC_SECONDS | _ALIGNED_SECONDS
# Days begin at 17:00 New York; weeks on Friday 17:00 (1970-01-02 was a Friday).
_DAY_ORIGIN_S = 17 * _HOUR_S
_WEEK_ORIGIN_S = DAY_S + 17 * _HOUR_S


@dataclass(frozen=True)
class CandleQuery:
    """A checked request for candles."""

    granularity: str
    sides: str
    count: int
    from_s: float | None
    to_s: float | None
    include_first: bool


def parse_query(params: Mapping[str, str]) -> CandleQuery:
    """Check the parameters of a candles request.

    Raises:
        Refusal: 400 in the broker's words.
    """
    granularity = params.get("granularity", "S5")
    if granularity not in SECONDS:
        raise Refusal.bad_value("granularity")
    sides = params.get("price", "M")
    if not sides or set(sides) - set("MBA"):
        raise Refusal.bad_value("price")
    alignment = (params.get("dailyAlignment", "17"), params.get("alignmentTimezone", "America/New_York"))
    if alignment != ("17", "America/New_York"):
        raise Refusal.bad_value("dailyAlignment")
    try:
        from_s = parse_time(params["from"]) if "from" in params else None
        to_s = parse_time(params["to"]) if "to" in params else None
        count = int(params["count"]) if "count" in params else None
    except ValueError as error:
        raise Refusal(400, "Invalid value specified for 'from', 'to' or 'count'") from error
    if count is not None and count <= 0:
        raise Refusal.bad_value("count")
    if count is not None and from_s is not None and to_s is not None:
        raise Refusal(400, "'count' cannot be specified when both 'to' and 'from' are")
    if from_s is not None and to_s is not None:
        count = int(-(-(to_s - from_s) // SECONDS[granularity]))
    if count is not None and count > MAXIMUM_COUNT:
        raise Refusal(400, "Maximum value for 'count' exceeded")
    return CandleQuery(
        granularity=granularity,
        sides=sides,
        count=DEFAULT_COUNT if count is None else max(count, 1),
        from_s=from_s,
        to_s=to_s,
        include_first=params.get("includeFirst", "true").lower() != "false",
    )


def bucket_starts(time_s: Int64, granularity: str) -> Int64:
    """``[n]`` the start (UTC) of the candle each time falls into."""
    size_s = SECONDS[granularity]
    if granularity in _UTC_SECONDS:
        return time_s - time_s % size_s
    origin_s = _WEEK_ORIGIN_S if granularity == "W" else _DAY_ORIGIN_S
    # Clocks change while the market is closed, so the local distance is the true one.
    return time_s - (new_york_seconds(time_s) - origin_s) % size_s


def candles(market: ReplayMarket, query: CandleQuery) -> list[dict[str, Any]]:
    """The candles asked for, oldest first, as JSON."""
    size_s = SECONDS[query.granularity]
    bars = market.bars
    whole = market.whole_rows
    growing = bool(market.row_ticks) and market.row_ticks[0].row >= whole
    known = whole + growing
    span_rows = (query.count + 1) * max(size_s // 60, 1)
    if query.from_s is None:
        end = known if query.to_s is None else int(np.searchsorted(bars.time_s[:known], query.to_s))
        begin = max(0, end - span_rows)
    else:
        first_s = int(bucket_starts(np.array([int(query.from_s)]), query.granularity)[0])
        begin = int(np.searchsorted(bars.time_s[:known], first_s))
        end = known if query.to_s is None else int(np.searchsorted(bars.time_s[:known], query.to_s))
        end = min(end, begin + span_rows)
    if begin >= end:
        return []
    # Prices of whole rows come from the recording, those of the growing row from its ticks so far.
    bids, asks = bar_quotes(bars, slice(begin, end))
    volume = bars.volume[begin:end].copy()
    if growing and end == known:
        for side, quotes in (
            (bids, [tick.bid for tick in market.row_ticks]),
            (asks, [tick.ask for tick in market.row_ticks]),
        ):
            side[-1] = (quotes[0], max(quotes), min(quotes), quotes[-1])
        volume[-1] = len(market.row_ticks)
    starts = bucket_starts(bars.time_s[begin:end], query.granularity)
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    keep = list(range(len(first)))
    if query.from_s is not None and not query.include_first and starts[0] <= query.from_s:
        keep = keep[1:]
    keep = keep[: query.count] if query.from_s is not None else keep[-query.count :]
    if begin > 0 and keep and keep[0] == 0:
        before = bucket_starts(bars.time_s[begin - 1 : begin], query.granularity)
        if before[0] == starts[0]:
            keep = keep[1:]  # the window begins inside this candle
    sides = _sides(bids, asks, query.sides)
    result = []
    for k in keep:
        low, high = int(first[k]), int(first[k + 1]) if k + 1 < len(first) else end - begin
        start_s = int(starts[low])
        last_row = begin + high - 1
        closed = last_row < whole and market.now_s >= start_s + size_s and market.is_complete(last_row)
        candle: dict[str, Any] = {
            "complete": closed,
            "volume": int(max(volume[low:high].sum(), 1)),
            "time": format_time(start_s),
        }
        for name, (prices, scale) in sides.items():
            candle[name] = _ohlc(prices[low:high], scale, bars.instrument.display_precision)
        result.append(candle)
    return result


def _sides(bids: Int64, asks: Int64, wanted: str) -> dict[str, tuple[Int64, int]]:
    available = {"M": ("mid", bids + asks, 2), "B": ("bid", bids, 1), "A": ("ask", asks, 1)}
    chosen = (available[letter] for letter in "BMA" if letter in wanted)
    return {name: (prices, scale) for name, prices, scale in chosen}


def _ohlc(prices: Int64, scale: int, precision: int) -> dict[str, str]:
    def text(value: int) -> str:
        exact = (Decimal(value) / scale).to_integral_value(rounding=ROUND_HALF_EVEN)
        return str(exact.scaleb(-precision))

    return {
        "o": text(int(prices[0, OPEN])),
        "h": text(int(prices[:, [OPEN, HIGH, LOW, CLOSE]].max())),
        "l": text(int(prices.min())),
        "c": text(int(prices[-1, CLOSE])),
    }
