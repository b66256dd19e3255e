"""Lock-step: market time moves only when the trader waits for it.

At 1000× one market second is a millisecond, so free-running replay would punish the trader for every
microsecond it computes. In lock-step the trader's injected clock and the server share one time line.

Protocol (JSON over the server's own HTTP address; bearer token as for every other request)
------------------------------------------------------------------------------------------
``GET /control/clock`` → ``ClockReply``: the market time now. Never moves it. A trader calls it once at
start to set its clock.

``POST /control/clock/advance`` with ``{"until_s": 1700000061.0, "participant": "trader"}`` → ``ClockReply``
    The trader registers its **next wake-up** and waits. The server replays event after event (ticks,
    heartbeats, rollover) with event time **≤ until_s**, writes the resulting stream lines, sets market
    time to ``until_s`` and answers. ``until_s`` in the past is answered at once with the time that is.
    With several participants the market moves to the earliest wake-up among them, and each is answered
    when its own has come; one that disconnects (or calls ``/control/clock/leave``) is no longer waited
    for. A new request of a participant replaces its old one.

``POST /control/clock/leave`` with ``{"participant": "trader"}`` → ``ClockReply``.

``ClockReply`` = ``{"mode": "lockstep", "time_s": float, "ended": bool, "next_event_s": float | null,
"streams": {"<stream id>": lines}}``
    * ``time_s``: market time from now on. It may be **later** than ``until_s`` (an order has moved the
      market on, see below), never earlier.
    * ``streams``: for every open price or transaction stream, the number of lines written to it since it was
      opened. The stream's id is in the response header ``X-SWT-Stream`` of the stream request
      (`swt_broker.client.EventStream.stream_id`).
    * ``ended``: the recording is exhausted; time still advances, without ticks.

Rule of causality: **the trader's clock first waits until its feed has consumed that many lines of each of
its streams, and only then returns from ``sleep_until``** (`EventStream.wait_consumed(lines)` returns at
once for a stream that has ended). So whatever the market did up to T is known before it is T. Ids that
are not the trader's own, or that its feed has dropped, are ignored.

A request of the trader that is in flight must not let time slip away: before it advances, the clock also
waits for `OandaClient.wait_idle()` (a POST moves time by itself, see below).

A trader with many tasks has one clock: ``sleep_until`` puts its time on a heap; whenever no advance is
in flight and the heap is not empty, the clock sends one for the earliest time (after yielding to the
event loop until the other tasks are blocked), then moves ``time_s()`` and releases the sleepers that are
due. Other modes answer ``mode`` "real_time" or "accelerated"; their advance answers after the wall time
that the speed implies, so the same clock class works with a free-running server too.

Orders in lock-step (``fill_at_next_tick=True``, the default there)
------------------------------------------------------------------
The environment decides at the close of bar t and fills at the open of bar t+1. The first tick of a bar
comes ``first_tick_s`` (default 2 s) after the minute, the decision ``decision_delay_seconds`` (1 s)
after it: an order sent in between has not seen the open. So **a market order counts as a wake-up of its
own: the server advances the market to the next tick, fills there, and then answers the POST** (also
for position and trade closes). Between bars t and t+1 the next tick is the open of bar t+1: fills equal
the environment's exactly. The stream lines of that advance are on their way when the 201 arrives; the
fill's ``time`` is the tick's market time; the trader's clock moves with its next advance, which may be
answered with that later time. When the next tick is more than ``halt_gap_s`` away and the calendar says
the market is closed, it is halted: the order is cancelled MARKET_HALTED at once and time stays.
With ``fill_at_next_tick=False`` (and in the other modes) orders fill at the current tick.

Nothing here reads a wall clock: in one process, with the in-process transport, a trading week is as fast
as the trader computes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from swt_live.practice.exchange import Exchange


@dataclass
class _Waiting:
    until_s: float
    due: asyncio.Future[bool]


class ClockDriver:
    """Moves an exchange's time: by its participants in lock-step, by the event loop's time else."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._mode = exchange.settings.mode
        self._waiting: dict[str, _Waiting] = {}
        self._joined: set[str] = set()

    def reply(self) -> dict[str, object]:
        """The `ClockReply` of this moment."""
        exchange = self._exchange
        return {
            "mode": self._mode,
            "time_s": exchange.now_s,
            "ended": exchange.market.ended,
            "next_event_s": exchange.next_event_s,
            "streams": exchange.streams.lines,
        }

    async def advance(self, participant: str, until_s: float, gone: asyncio.Event) -> dict[str, object]:
        """Register a wake-up and return when it has come, or when the participant has gone."""
        if until_s <= self._exchange.now_s:
            return self.reply()
        due: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._release(participant)
        waiting = self._waiting[participant] = _Waiting(until_s, due)
        if self._mode == "lockstep":
            self._joined.add(participant)
            self._move()
        if not due.done():
            leaving: asyncio.Future[bool] = asyncio.ensure_future(gone.wait())
            await asyncio.wait([due, leaving], return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if gone.is_set() and self._waiting.get(participant) is waiting:
                self.leave(participant)
        return self.reply()

    def leave(self, participant: str) -> None:
        """Do not wait for this participant any more."""
        self._joined.discard(participant)
        self._release(participant)
        if self._mode == "lockstep":
            self._move()

    async def run(self) -> None:
        """Free-running modes: follow the event loop's time at the set speed, for ever."""
        loop = asyncio.get_running_loop()
        exchange, speed = self._exchange, self._exchange.settings.speed
        begun_s, market_s = loop.time(), exchange.now_s
        while True:
            exchange.advance(market_s + (loop.time() - begun_s) * speed)
            self._release_due()
            next_s = min([exchange.next_event_s, *(item.until_s for item in self._waiting.values())])
            delay_s = (next_s - market_s) / speed - (loop.time() - begun_s)
            # A new wake-up may be registered meanwhile: look again soon.
            await asyncio.sleep(min(max(delay_s, 0.0), 0.05))

    def _move(self) -> None:
        while self._waiting and self._joined <= self._waiting.keys():
            self._exchange.advance(min(item.until_s for item in self._waiting.values()))
            self._release_due()

    def _release_due(self) -> None:
        for name, item in list(self._waiting.items()):
            if item.until_s <= self._exchange.now_s:
                self._release(name)

    def _release(self, participant: str) -> None:
        item = self._waiting.pop(participant, None)
        if item is not None and not item.due.done():
            item.due.set_result(True)
