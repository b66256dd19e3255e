from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from swt_broker.asgi import StreamingASGITransport
from swt_broker.client import OandaClient
from swt_broker.records import BrokerSettings, Heartbeat
from swt_core.errors import Rejected, Unavailable

BEAT = b'{"type":"HEARTBEAT","time":"2024-01-02T03:04:05.000000000Z"}\n'


class Application:
    """Writes what the test tells it to, chunk by chunk."""

    def __init__(self, status: int = 200) -> None:
        self.chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.disconnected = asyncio.Event()
        self.status = status

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.disconnected.set()

        watcher = asyncio.create_task(watch())
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [(b"x-swt-stream", b"9")]}
        )
        while (chunk := await self.chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        await watcher


def client(app: Application) -> OandaClient:
    settings = BrokerSettings("http://p", "http://p", "t", "a", request_timeout_s=5.0)
    return OandaClient(settings, StreamingASGITransport(app))


async def test_lines_arrive_while_the_body_is_still_open() -> None:
    app = Application()
    async with client(app) as broker, broker.price_stream(["GBP_JPY"]) as stream:
        assert stream.stream_id == "9"
        app.chunks.put_nowait(BEAT[:10])
        app.chunks.put_nowait(BEAT[10:] + BEAT)
        assert isinstance(await anext(stream), Heartbeat)
        assert stream.consumed == 0
        assert isinstance(await anext(stream), Heartbeat)
        assert stream.consumed == 1
        await stream.wait_consumed(1)
        app.chunks.put_nowait(None)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert stream.consumed == 2
        await stream.wait_consumed(99)


async def test_leaving_the_stream_tells_the_application() -> None:
    app = Application()
    async with client(app) as broker:
        async with broker.price_stream(["GBP_JPY"]) as stream:
            pass
        assert stream.ended
        app.chunks.put_nowait(None)
        await app.disconnected.wait()


@pytest.mark.parametrize("chunk", [b'{"type":"HEARTBEAT"}\n', b"garbage\n", RuntimeError("crash")])
async def test_a_broken_stream_is_unavailable_and_ended(chunk: Any) -> None:
    app = Application()
    async with client(app) as broker, broker.price_stream(["GBP_JPY"]) as stream:
        app.chunks.put_nowait(chunk)
        with pytest.raises(Unavailable):
            await anext(stream)
        assert stream.ended
        await stream.wait_consumed(99)


async def test_a_refused_stream_is_rejected_before_it_begins() -> None:
    app = Application(status=401)
    app.chunks.put_nowait(b'{"errorMessage": "no"}')
    app.chunks.put_nowait(None)
    async with client(app) as broker:
        with pytest.raises(Rejected):
            async with broker.price_stream(["GBP_JPY"]):
                pass


async def test_an_application_that_dies_before_answering_is_a_lost_connection() -> None:
    async def dead(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("crash")

    async with httpx.AsyncClient(transport=StreamingASGITransport(dead), base_url="http://p") as http:
        with pytest.raises(httpx.ReadError):
            await http.get("/")
