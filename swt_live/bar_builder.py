"""Ticks become one-minute bars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from swt_broker.records import Candle
from swt_core.calendar import MINUTE_S
from swt_core.instruments import Instrument
from swt_live.journal_records import BarRecord

STREAM = "stream"
CANDLE = "candle"


@dataclass
class _Growing:
    """A minute that is not over yet; prices are mids in half-points, spreads in points."""

    open_hp: int
    spread_open: int
    high_hp: int
    low_hp: int
    close_hp: int
    spread_close: int
    last_s: float
    volume: int = 1


class BarBuilder:
    """Builds the bars of a price stream; ticks of a minute that was already closed are counted, not used."""

    def __init__(self) -> None:
        self._growing: dict[int, _Growing] = {}
        self._closed_before_s = 0
        self.late_ticks = 0

    def on_tick(self, time_s: float, bid_points: int, ask_points: int) -> None:
        """Take up one quote. A repeated quote changes nothing, one out of order never the close."""
        minute_s = int(time_s) // MINUTE_S * MINUTE_S
        if minute_s < self._closed_before_s:
            self.late_ticks += 1
            return
        mid_hp, spread = bid_points + ask_points, ask_points - bid_points
        bar = self._growing.get(minute_s)
        if bar is None:
            self._growing[minute_s] = _Growing(mid_hp, spread, mid_hp, mid_hp, mid_hp, spread, time_s)
            return
        if (time_s, mid_hp, spread) == (bar.last_s, bar.close_hp, bar.spread_close):
            return
        bar.high_hp, bar.low_hp = max(bar.high_hp, mid_hp), min(bar.low_hp, mid_hp)
        bar.volume += 1
        if time_s >= bar.last_s:
            bar.close_hp, bar.spread_close, bar.last_s = mid_hp, spread, time_s

    def close_before(self, minute_s: int) -> list[BarRecord]:
        """All bars that open before ``minute_s``, oldest first; later ticks for them are late."""
        done = sorted(start_s for start_s in self._growing if start_s < minute_s)
        self._closed_before_s = max(self._closed_before_s, minute_s)
        return [_record(start_s, self._growing.pop(start_s)) for start_s in done]


def _record(start_s: int, bar: _Growing) -> BarRecord:
    return BarRecord(
        time_s=start_s,
        open_hp=bar.open_hp,
        high_hp=bar.high_hp,
        low_hp=bar.low_hp,
        close_hp=bar.close_hp,
        spread_open=bar.spread_open,
        spread_close=bar.spread_close,
        volume=bar.volume,
        source=STREAM,
    )


def candle_bar(candle: Candle, instrument: Instrument) -> BarRecord | None:
    """A bid/ask candle as a bar; None when a side is missing. As in files, highs and lows are bid + ask."""
    if candle.bid is None or candle.ask is None:
        return None

    def points(price: Decimal) -> int:
        return instrument.to_points(price)

    bid, ask = candle.bid, candle.ask
    open_hp, close_hp = points(bid.open) + points(ask.open), points(bid.close) + points(ask.close)
    high_hp, low_hp = points(bid.high) + points(ask.high), points(bid.low) + points(ask.low)
    return BarRecord(
        time_s=candle.time_s,
        open_hp=open_hp,
        high_hp=max(high_hp, open_hp, close_hp),
        low_hp=min(low_hp, open_hp, close_hp),
        close_hp=close_hp,
        spread_open=points(ask.open) - points(bid.open),
        spread_close=points(ask.close) - points(bid.close),
        volume=candle.volume,
        source=CANDLE,
    )
