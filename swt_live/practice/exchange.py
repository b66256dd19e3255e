"""The exchange: replays the market event by event and tells account and streams of each."""

from __future__ import annotations

from swt_broker.times import format_time
from swt_core.calendar import DAY_S, new_york_seconds
from swt_core.instruments import Instrument
from swt_data.bars import Bars
from swt_live.practice.account import Account
from swt_live.practice.execution import Execution, ExecutionEngine
from swt_live.practice.faults import FaultPlan
from swt_live.practice.market import ReplayMarket
from swt_live.practice.orders import MarketOrder
from swt_live.practice.quote_views import QuoteViews
from swt_live.practice.settings import PracticeSettings
from swt_live.practice.streams import StreamHub, Subscription, encode
from swt_live.practice.times import with_unix_times
from swt_live.practice.transactions import JSONObject
from swt_live.practice.views import AccountViews

_ROLLOVER_LOCAL_S = 17 * 3600
_SATURDAY, _SUNDAY = 5, 6


class Exchange:
    """One instrument, one account, one time line.

    Args:
        bars: the recording; those before ``start_s`` are history for the candles.
    """

    def __init__(self, bars: Bars, settings: PracticeSettings, start_s: float, faults: FaultPlan) -> None:
        self.settings = settings
        self.faults = faults
        self.instrument: Instrument = bars.instrument
        self.market = ReplayMarket(
            bars,
            start_s,
            settings.timing,
            halt_gap_s=settings.resolved_halt_gap_s,
            completion_delay_s=settings.completion_delay_s,
        )
        self.account = Account(settings, bars.instrument, start_s)
        self.engine = ExecutionEngine(self.account, self.market, faults)
        self.views = AccountViews(self.account, self.market)
        self.quotes = QuoteViews(self.account)
        self.streams = StreamHub(faults, with_unix_times)
        self.account.log.listeners.append(self._publish_transaction)
        self.skew_s = 0.0  # a fault: how far the times of prices and heartbeats are off
        self._next_heartbeat_s = start_s + settings.heartbeat_s
        self._next_rollover_s = _next_rollover(start_s)

    @property
    def now_s(self) -> float:
        """Market time."""
        return self.market.now_s

    @property
    def next_event_s(self) -> float:
        """When the next event comes: tick, heartbeat or rollover."""
        tick_s = self.market.next_tick_s
        other_s = min(self._next_heartbeat_s, self._next_rollover_s)
        return other_s if tick_s is None else min(tick_s, other_s)

    def advance(self, until_s: float) -> None:
        """Let everything happen up to and including ``until_s``; time never runs backwards."""
        while (event_s := self.next_event_s) <= until_s:
            self._one_event(event_s)
        self.market.move_to(until_s)

    def advance_to_next_tick(self) -> bool:
        """Move on to the next tick, if the market trades. Returns whether it did."""
        tick_s = self.market.next_tick_s
        if tick_s is None or self.market.halted:
            return False
        self.advance(tick_s)
        return True

    def reach_fill_time(self) -> None:
        """In lock-step, move on to the tick at which an order that has just arrived fills."""
        if self.settings.fills_at_next_tick:
            self.advance_to_next_tick()

    def manual_trade(self, units: int) -> Execution:
        """A trade by someone else on the same account, at the current quote."""
        order = MarketOrder(instrument=self.instrument.name, units=units)
        return self.engine.execute(order, None)

    def current_price(self, *, units_available: bool = False) -> JSONObject | None:
        """The quote that holds; None before the first tick."""
        tick = self.market.tick
        if tick is None:
            return None
        return self.quotes.price(
            tick,
            tradeable=not self.market.halted,
            units_available=units_available,
            skew_s=self.skew_s,
        )

    def open_price_stream(self, *, snapshot: bool, as_unix: bool) -> Subscription:
        """A new pricing stream, with the last price first."""
        subscription = self.streams.open("pricing", as_unix=as_unix)
        price = self.current_price() if snapshot else None
        if price is not None:
            body = with_unix_times(price) if as_unix else price
            self.streams.write(subscription, "data", encode(body), self.now_s)
        return subscription

    def _one_event(self, event_s: float) -> None:
        if self.market.next_tick_s == event_s:
            tick = self.market.pop_tick()
            # A tick is a sign of trading: only a forced halt makes it non-tradeable.
            tradeable = self.now_s >= self.market.forced_halt_until_s
            self.streams.publish(
                "pricing",
                "data",
                self.quotes.price(tick, tradeable=tradeable, skew_s=self.skew_s),
                self.now_s,
            )
            self.engine.on_tick(tick)
        elif self._next_rollover_s == event_s:
            self.market.move_to(event_s)
            self.account.accrue_financing(self.market.tick, event_s, 1)
            self._next_rollover_s = _next_rollover(event_s)
        else:
            self.market.move_to(event_s)
            time = format_time(event_s + self.skew_s)
            self.streams.publish("pricing", "heartbeat", {"type": "HEARTBEAT", "time": time}, event_s)
            beat = {"type": "HEARTBEAT", "time": time, "lastTransactionID": str(self.account.log.last_id)}
            self.streams.publish("transactions", "heartbeat", beat, event_s)
            self._next_heartbeat_s = event_s + self.settings.heartbeat_s

    def _publish_transaction(self, entry: JSONObject) -> None:
        self.streams.publish("transactions", "data", entry, self.now_s)


def _next_rollover(time_s: float) -> float:
    """The next 17:00 New York of a weekday after ``time_s`` (seven days' financing, five bookings).

    Clocks change between rollovers of Saturday and Sunday only, so local arithmetic is exact here.
    """
    candidate = time_s
    while True:
        local = int(new_york_seconds(int(candidate)))
        ahead = (_ROLLOVER_LOCAL_S - local - 1) % DAY_S + 1
        instant = int(candidate) + ahead
        # Across a change of clocks the local distance is an hour off: settle on local 17:00.
        instant += _ROLLOVER_LOCAL_S - int(new_york_seconds(instant)) % DAY_S
        weekday = (int(new_york_seconds(instant)) // DAY_S + 3) % 7
        if instant > time_s and weekday not in (_SATURDAY, _SUNDAY):
            return float(instant)
        candidate = instant
