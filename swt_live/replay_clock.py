"""Market time shared with the practice server: it moves only when the trader waits.

The protocol stands in `swt_live.practice.lockstep`. Every sleeper puts its wake-up on a heap; one driver
task asks the server to advance to the earliest of them, waits until the trader's streams have consumed
all lines the server wrote on the way, moves the time and releases the sleepers that are due.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol

import httpx
from pydantic import BaseModel, ConfigDict, Field

from swt_core.errors import Unavailable

# Turns of the event loop after which every other task has had its say.
_YIELDS = 8


class ClockReply(BaseModel):
    """The control port's answer; see the protocol."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mode: str
    time_s: float
    ended: bool = False
    next_event_s: float | None = None
    streams: dict[str, int] = Field(default_factory=dict)


class ClockControl(Protocol):
    """The practice server's control port."""

    async def now(self) -> ClockReply: ...

    async def advance(self, until_s: float) -> ClockReply: ...

    async def leave(self) -> None: ...


class ConsumedStream(Protocol):
    """`swt_broker.streams.EventStream`, as far as the clock is concerned."""

    @property
    def stream_id(self) -> str | None: ...

    async def wait_consumed(self, lines: int) -> None: ...


class HttpClockControl:
    """The control port over HTTP.

    Raises (from every method):
        Unavailable: the server does not answer as the protocol says.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        transport: httpx.AsyncBaseTransport | None = None,
        participant: str = "trader",
    ) -> None:
        self._participant = participant
        self._http = httpx.AsyncClient(
            base_url=base_url,
            transport=transport,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(10.0, read=None),
            trust_env=False,
        )

    async def now(self) -> ClockReply:
        return await self._ask("GET", "/control/clock", None)

    async def advance(self, until_s: float) -> ClockReply:
        body = {"until_s": until_s, "participant": self._participant}
        return await self._ask("POST", "/control/clock/advance", body)

    async def leave(self) -> None:
        await self._ask("POST", "/control/clock/leave", {"participant": self._participant})

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> ClockReply:
        try:
            response = await self._http.request(method, path, json=body)
            response.raise_for_status()
            return ClockReply.model_validate_json(response.content)
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"{method} {path} failed: {error!r}") from error


class ReplayClock:
    """An `AsyncClock` in lock-step with the practice server.

    Use as ``async with ReplayClock(control) as clock``: entering sets the time. ``watch`` names the streams
    whose lines must be consumed before time moves; ``wait_idle`` returns when no request is in flight
    (`OandaClient.wait_idle`).
    """

    def __init__(
        self, control: ClockControl, *, wait_idle: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._control = control
        self._wait_idle = wait_idle
        self._now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = itertools.count()
        self._streams: dict[str, ConsumedStream] = {}
        self._driver: asyncio.Task[None] | None = None
        self.ended = False

    async def __aenter__(self) -> ReplayClock:
        self._take(await self._control.now())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._driver is not None:
            self._driver.cancel()
            with suppress(asyncio.CancelledError, Unavailable):
                await self._driver
        with suppress(Unavailable):
            await self._control.leave()

    def time_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def watch(self, stream: ConsumedStream) -> None:
        """Time waits for this stream's lines from now on; a stream that has ended holds nothing up."""
        if stream.stream_id is not None:
            self._streams[stream.stream_id] = stream

    def unwatch(self, stream: ConsumedStream) -> None:
        """The stream was dropped."""
        if stream.stream_id is not None:
            self._streams.pop(stream.stream_id, None)

    async def sleep_until(self, time_s: float) -> None:
        """Return once the market has reached ``time_s``.

        Raises:
            Unavailable: the practice server is gone.
        """
        if time_s <= self._now_s:
            await asyncio.sleep(0)
            return
        waiting = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (time_s, next(self._serial), waiting))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        await waiting

    async def _drive(self) -> None:
        try:
            while self._sleepers:
                for _ in range(_YIELDS):
                    await asyncio.sleep(0)
                if self._wait_idle is not None:
                    await self._wait_idle()
                self._drop_cancelled()
                if not self._sleepers:
                    return
                reply = await self._control.advance(self._sleepers[0][0])
                for stream_id, lines in reply.streams.items():
                    stream = self._streams.get(stream_id)
                    if stream is not None:
                        await stream.wait_consumed(lines)
                self._take(reply)
        except Unavailable as error:
            for _, _, waiting in self._sleepers:
                if not waiting.done():
                    waiting.set_exception(error)
            self._sleepers.clear()

    def _drop_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)

    def _take(self, reply: ClockReply) -> None:
        self._now_s = max(self._now_s, reply.time_s)
        self.ended = reply.ended
        while self._sleepers and self._sleepers[0][0] <= self._now_s:
            waiting = heapq.heappop(self._sleepers)[2]
            if not waiting.done():
                waiting.set_result(None)
