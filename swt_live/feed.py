"""The price feed: one stream, its health, and the bars that close.

Bars built from the stream decide; the candles endpoint, whose ``complete`` comes late and whose close can
differ, fills what the stream did not see and corrects the rest after the decision. A stream that has said
nothing for ``stale_after_s`` (heartbeats count, a tick's age is tracked apart) is dropped and opened
again, with backoff and jitter. Nothing is what comes later than that, too: then the stream hangs behind,
or our clock is wrong, and in neither case may its bars decide.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from swt_broker.records import Heartbeat, Price
from swt_core.calendar import MINUTE_S
from swt_core.clock import AsyncClock
from swt_core.errors import BrokerError, Rejected
from swt_core.instruments import Instrument
from swt_live.bar_builder import BarBuilder, candle_bar
from swt_live.journal_records import BarRecord
from swt_live.ports import Broker, PriceStream

# How long a minute's candle may come late before its absence means that it had no tick.
CANDLE_PATIENCE_S = 50.0
# No event may be so far ahead of our clock (in lock-step it may be ahead by one sleep, a minute at most).
MOST_AHEAD_S = 120.0
_MOST_CANDLES = 4000


@dataclass(frozen=True)
class Collected:
    """Bars that closed since the last call, oldest first; ``settled`` when none can be missing."""

    bars: tuple[BarRecord, ...]
    settled: bool


@dataclass
class FeedCounters:
    """What the feed has seen."""

    ticks: int = 0
    heartbeats: int = 0
    connects: int = 0
    drops: int = 0
    gaps: int = 0
    gaps_recovered: int = 0
    impossible: int = 0


class PriceFeed:
    """Keeps one price stream open and turns it into bars."""

    def __init__(
        self,
        broker: Broker,
        instrument: Instrument,
        clock: AsyncClock,
        rng: np.random.Generator,
        *,
        stale_after_s: float,
        on_stream: Callable[[PriceStream | None], None] = lambda _: None,
    ) -> None:
        self._broker = broker
        self._instrument = instrument
        self._clock = clock
        self._rng = rng
        self._stale_after_s = stale_after_s
        self._on_stream = on_stream
        self._builder = BarBuilder()
        self._reader: asyncio.Task[None] | None = None
        self._opened: asyncio.Event = asyncio.Event()
        self._attempts = 0
        self._reconnect_s = 0.0
        self._observed_since_s = math.inf
        self._accounted_s = 0
        self._in_gap = False
        self._built: dict[int, BarRecord] = {}
        self._heard = 0
        self._heard_before = 0
        self._spoken = False
        self._last_heard_s = -math.inf
        self._last_tick_s = -math.inf
        self._quote: tuple[int, int] | None = None
        self.counters = FeedCounters()
        self.last_error = ""

    # -- health ------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self._reader is not None and not self._reader.done() and self._opened.is_set()

    @property
    def reconnect_s(self) -> float:
        """When the next connection may be tried."""
        return self._reconnect_s

    @property
    def late_ticks(self) -> int:
        return self._builder.late_ticks

    def quote(self) -> tuple[int, int] | None:
        """The last tradeable bid and ask in points, unless the feed is stale."""
        return None if self.stale() else self._quote

    def last_quote(self) -> tuple[int, int] | None:
        """The last tradeable bid and ask in points, however old."""
        return self._quote

    def stale(self) -> bool:
        """Whether nothing at all has been heard for too long, or on this stream not yet."""
        return not self.connected or not self._spoken or self._silent()

    def _silent(self) -> bool:
        return self._clock.time_s() - self._last_heard_s > self._stale_after_s

    def tick_age_s(self) -> float:
        """Seconds since the last price, heartbeats apart; infinite before the first."""
        return self._clock.time_s() - self._last_tick_s

    # -- connection --------------------------------------------------------------------------------

    async def upkeep(self) -> bool:
        """Notice silence and loss, reconnect when it is time; True when a stream was just opened."""
        now_s = self._clock.time_s()
        if self._heard != self._heard_before:
            # Events count from the moment they are noticed: in lock-step time stands still meanwhile.
            self._heard_before, self._last_heard_s, self._attempts = self._heard, now_s, 0
            self._spoken = True
        if self._reader is not None and (self._reader.done() or self._silent()):
            await self.disconnect("the stream ended" if self._reader.done() else "the stream is silent")
            self._back_off()
        if self._reader is None and now_s >= self._reconnect_s:
            return await self._connect()
        return False

    async def disconnect(self, reason: str) -> None:
        """Drop the stream; the minutes until the next one come from candles."""
        reader, self._reader = self._reader, None
        self._observed_since_s = math.inf
        self._on_stream(None)
        if reader is None:
            return
        self.counters.drops += 1
        reader.cancel()
        with suppress(asyncio.CancelledError):
            error = await _outcome(reader)
            self.last_error = reason if error is None else f"{reason}: {error.message}"

    async def _connect(self) -> bool:
        self._opened = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        opened = asyncio.create_task(self._opened.wait())
        try:
            await asyncio.wait({self._reader, opened}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # A stream that nobody saw open would count as connected, and its minutes as not observed.
            self._reader.cancel()
            self._reader = None
            raise
        finally:
            opened.cancel()
        if not self._opened.is_set():
            await self.disconnect("the stream could not be opened")
            self._back_off()
            return False
        self._last_heard_s = self._observed_since_s = self._clock.time_s()
        self._spoken = False
        self.counters.connects += 1
        return True

    def _back_off(self) -> None:
        delay_s = min(60.0, 2.0**self._attempts) * self._rng.uniform(0.5, 1.5)
        self._attempts = min(self._attempts + 1, 6)
        self._reconnect_s = self._clock.time_s() + delay_s

    async def _read(self) -> None:
        async with self._broker.price_stream([self._instrument.name]) as stream:
            self._on_stream(stream)
            self._opened.set()
            async for event in stream:
                self._take(event)

    def _take(self, event: Price | Heartbeat) -> None:
        lag_s = self._clock.time_s() - event.time_s
        if lag_s < -MOST_AHEAD_S:
            self.counters.impossible += 1
            return
        # What comes so late, or by so different a clock, is no sign of life: bars would close too early.
        self._heard += lag_s <= self._stale_after_s
        if isinstance(event, Heartbeat):
            self.counters.heartbeats += 1
            return
        if event.instrument != self._instrument.name or not event.tradeable:
            return
        bid, ask = self._instrument.to_points(event.bid), self._instrument.to_points(event.ask)
        self.counters.ticks += 1
        if event.time_s >= self._last_tick_s:
            self._last_tick_s, self._quote = event.time_s, (bid, ask)
        self._builder.on_tick(event.time_s, bid, ask)

    # -- bars --------------------------------------------------------------------------------------

    def start_after(self, accounted_s: int) -> None:
        """Bars that open before ``accounted_s`` are known already."""
        self._accounted_s = max(self._accounted_s, accounted_s)

    async def collect(self, minute_s: int) -> Collected:
        """The bars that open before ``minute_s`` and were not handed out yet.

        What the stream saw from its first to its last second comes from the stream, the rest from
        candles. Unsettled, the missing minutes are asked for again at the next call.
        """
        self._built |= {bar.time_s: bar for bar in self._builder.close_before(minute_s)}
        whole_s = minute_s
        if math.isfinite(self._observed_since_s):
            whole_s = min(minute_s, math.ceil(self._observed_since_s / MINUTE_S) * MINUTE_S)
        found: list[BarRecord] = []
        if self._accounted_s < whole_s:
            self.counters.gaps += not self._in_gap
            self._in_gap = True
            found, self._accounted_s = await self._fill(self._accounted_s, whole_s)
            if self._accounted_s < whole_s:
                return Collected(tuple(found), False)
            self.counters.gaps_recovered += 1
        self._in_gap = False
        found += [self._built[time_s] for time_s in sorted(self._built) if time_s >= self._accounted_s]
        self._built.clear()
        self._accounted_s = max(self._accounted_s, minute_s)
        return Collected(tuple(found), True)

    async def _fill(self, from_s: int, to_s: int) -> tuple[list[BarRecord], int]:
        """Complete candles in ``[from_s, to_s)``, and up to where no more can come."""
        bars: list[BarRecord] = []
        while from_s < to_s:
            until_s = min(to_s, from_s + _MOST_CANDLES * MINUTE_S)
            page = await self.candles(from_s, until_s)
            bars += page
            last_s = page[-1].time_s + MINUTE_S if page else from_s
            certain_s = int((self._clock.time_s() - CANDLE_PATIENCE_S) // MINUTE_S) * MINUTE_S
            from_s = max(last_s, min(until_s, certain_s), from_s)
            if from_s < until_s:
                break
        return bars, from_s

    async def candles(self, from_s: int, to_s: int) -> list[BarRecord]:
        """Complete candles that open in ``[from_s, to_s)``, oldest first.

        Raises:
            Unavailable: the broker did not answer.
        """
        candles = await self._broker.candles(self._instrument.name, from_s=from_s, to_s=to_s)
        bars = (candle_bar(candle, self._instrument) for candle in candles if candle.complete)
        return [bar for bar in bars if bar is not None and from_s <= bar.time_s < to_s]


async def _outcome(task: asyncio.Task[None]) -> BrokerError | None:
    """How a reader ended; a programming error is not swallowed."""
    try:
        await task
    except Rejected as error:
        return error
    except BrokerError as error:
        return error
    return None
