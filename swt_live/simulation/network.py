"""The wire between a mortal trader and the practice server: it takes time, and outlives the sender.

A request that has left arrives, also when its sender dies meanwhile; its answer then reaches nobody.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np

from swt_broker.asgi import ASGIApplication
from swt_live.simulation.mortal import MortalProcess

# Latencies of a healthy line, seconds: one way, shortest and longest.
ONE_WAY_S = (0.002, 0.060)


class SimulatedNetwork(httpx.AsyncBaseTransport):
    """One process's connections; they end when the process dies.

    Args:
        before_send: called with method, path and JSON body when a request leaves.
        death_rate: chance to die right before a write leaves, after it left, and after its answer came.
    """

    def __init__(
        self,
        app: ASGIApplication,
        process: MortalProcess,
        rng: np.random.Generator,
        server_context: contextvars.Context,
        *,
        before_send: Callable[[str, str, Any], None],
        death_rate: Callable[[], float],
    ) -> None:
        self._app = app
        self._process = process
        self._rng = rng
        self._context = server_context
        self._before_send = before_send
        self._death_rate = death_rate
        self._open: set[_Connection] = set()
        process.on_death.append(self._hang_up)

    def _hang_up(self) -> None:
        for connection in self._open:
            connection.disconnected.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        writes = request.method != "GET"
        loop = asyncio.get_running_loop()
        if writes:
            await self._perhaps_die()
        self._before_send(request.method, request.url.path, json.loads(body) if writes else None)
        connection = _Connection(body, loop)
        self._open.add(connection)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, 80),
            "client": ("trader", 0),
            "root_path": "",
        }
        there_s, back_s = self._rng.uniform(*ONE_WAY_S, 2).tolist()
        serving = connection.serve(self._app, scope, there_s, back_s)
        task = loop.create_task(serving, context=self._context)
        task.add_done_callback(lambda _: self._open.discard(connection))
        try:
            if writes:
                await self._perhaps_die()
            # The client's timeout ends this wait, not what the server does.
            status, headers = await connection.started
            if writes:
                await self._perhaps_die()
        except asyncio.CancelledError:
            connection.disconnected.set()
            raise
        return httpx.Response(status, headers=headers, stream=connection, request=request)

    async def _perhaps_die(self) -> None:
        if self._rng.random() < self._death_rate():
            self._process.kill()
            await asyncio.get_running_loop().create_future()


class _Connection(httpx.AsyncByteStream):
    """One request and its answer."""

    def __init__(self, body: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.disconnected = asyncio.Event()
        self.started: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = loop.create_future()
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._body: bytes | None = body
        self._back_s = 0.0

    async def serve(self, app: ASGIApplication, scope: dict[str, Any], there_s: float, back_s: float) -> None:
        await asyncio.sleep(there_s)
        self._back_s = back_s
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - whatever the server dies of, the caller loses the connection
            self._fail(httpx.ReadError(f"the server failed: {error!r}"))
        else:
            self._fail(httpx.ReadError("the server did not answer"))
            self._chunks.put_nowait(None)

    def _fail(self, error: Exception) -> None:
        if not self.started.done():
            self.started.set_exception(error)
            self.started.exception()  # seen: the caller may have given up already
        else:
            self._chunks.put_nowait(error)

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.disconnected.is_set():
            raise OSError("the client has gone")
        if message["type"] == "http.response.start":
            await asyncio.sleep(self._back_s)
            if not self.started.done():
                self.started.set_result((message["status"], list(message.get("headers", ()))))
        else:
            if message.get("body"):
                self._chunks.put_nowait(bytes(message["body"]))
            if not message.get("more_body", False):
                self._chunks.put_nowait(None)

    async def __aiter__(self) -> Any:
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.disconnected.set()
