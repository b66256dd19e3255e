"""An httpx transport to an ASGI application in the same process, with true streaming bodies.

`httpx.ASGITransport` collects the whole body before it answers, so a price stream would never start. Here
each body chunk reaches the reader as soon as the application sends it, on the same event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx

Message = MutableMapping[str, Any]
ASGIApplication = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class _Exchange:
    """One request and its response, between the caller's task and the application's."""

    def __init__(self, body: bytes) -> None:
        self.started: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = (
            asyncio.get_running_loop().create_future()
        )
        self.chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.disconnected = asyncio.Event()
        self._body: bytes | None = body

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.disconnected.is_set():
            raise OSError("the client has gone")
        if message["type"] == "http.response.start":
            self.started.set_result((message["status"], list(message.get("headers", ()))))
        elif message["type"] == "http.response.body":
            if message.get("body"):
                self.chunks.put_nowait(bytes(message["body"]))
            if not message.get("more_body", False):
                self.chunks.put_nowait(None)

    def fail(self, error: Exception) -> None:
        """The application died: the caller sees a lost connection, as over a socket."""
        if not self.started.done():
            self.started.set_exception(error)
            self.started.exception()  # seen: the caller may have given up already
        self.chunks.put_nowait(error)


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._exchange.chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self._exchange.disconnected.set()


class StreamingASGITransport(httpx.AsyncBaseTransport):
    """Send httpx requests straight to ``app``; a caller that gives up is a disconnect to the application."""

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(await request.aread())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("in-process", 0),
            "root_path": "",
        }
        task = asyncio.get_running_loop().create_task(self._run(scope, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            # Shielded: a caller's timeout must not cancel what the server is doing.
            status, headers = await asyncio.shield(exchange.started)
        except asyncio.CancelledError:
            exchange.disconnected.set()
            raise
        return httpx.Response(status, headers=headers, stream=_Body(exchange), request=request)

    async def _run(self, scope: Message, exchange: _Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - whatever the application raises, the caller loses the connection
            exchange.fail(httpx.ReadError(f"the application failed: {error!r}"))
        else:
            if not exchange.started.done():
                exchange.fail(httpx.ReadError("the application did not answer"))
            exchange.chunks.put_nowait(None)

    async def aclose(self) -> None:
        for task in list(self._tasks):
            task.cancel()
