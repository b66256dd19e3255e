"""A stream of events over chunked HTTP: one JSON object a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

import httpx

from swt_broker.decoding import MALFORMED
from swt_broker.in_flight import InFlight
from swt_broker.records import JSON
from swt_core.errors import BrokerError, Unavailable

E = TypeVar("E")


class EventStream(Generic[E]):
    """Async context manager and async iterator over one connection; it never reconnects by itself.

    Iteration ends when the server closes the stream. It raises `Unavailable` on a lost connection or a
    torn line and `Rejected` (on entering) when the stream is refused. Staleness is the reader's to judge:
    no read timeout applies here.

    Attributes:
        stream_id: the practice server's id of this stream (header ``X-SWT-Stream``), else None.
        consumed: lines whose event has been worked on: one is counted when the next is asked for.
        ended: whether no further event can come.
    """

    def __init__(
        self,
        open_response: AbstractAsyncContextManager[httpx.Response],
        check: Callable[[httpx.Response, bytes], None],
        decode: Callable[[JSON], E],
        open_timeout_s: float,
        in_flight: InFlight,
    ) -> None:
        self._open_response = open_response
        self._check = check
        self._decode = decode
        self._open_timeout_s = open_timeout_s
        self._in_flight = in_flight
        self._lines: AsyncIterator[str] | None = None
        self._handed_out = 0
        self._progress = asyncio.Event()
        self.stream_id: str | None = None
        self.consumed = 0
        self.ended = False

    async def __aenter__(self) -> EventStream[E]:
        try:
            async with self._in_flight, asyncio.timeout(self._open_timeout_s):
                response = await self._open_response.__aenter__()
                refused = b"" if response.is_success else await response.aread()
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            self._end()
            raise Unavailable(f"the stream could not be opened: {error!r}") from error
        try:
            self._check(response, refused)
        except BrokerError:
            await self.__aexit__(None, None, None)
            raise
        self.stream_id = response.headers.get("X-SWT-Stream")
        self._lines = response.aiter_lines()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        await self._open_response.__aexit__(kind, error, trace)

    def __aiter__(self) -> EventStream[E]:
        return self

    async def __anext__(self) -> E:
        if self._lines is None:
            raise RuntimeError("an EventStream is read inside `async with`")
        self._count()
        try:
            line = ""
            while not line:
                line = (await anext(self._lines)).strip()
            self._handed_out += 1
            return self._decode(json.loads(line))
        except StopAsyncIteration:
            self._end()
            raise
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            self._end()
            raise Unavailable(f"the stream was lost: {error!r}") from error
        except MALFORMED as error:
            self._end()
            raise Unavailable(f"the stream sent a line that is no event: {error!r}") from error

    async def wait_consumed(self, lines: int) -> None:
        """Return once ``lines`` events have been consumed, or the stream has ended."""
        while self.consumed < lines and not self.ended:
            self._progress.clear()
            await self._progress.wait()

    def _count(self) -> None:
        if self.consumed != self._handed_out:
            self.consumed = self._handed_out
            self._progress.set()

    def _end(self) -> None:
        self.ended = True
        self._progress.set()
