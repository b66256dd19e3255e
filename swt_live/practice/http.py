"""HTTP around the exchange: authentication, rate limit, injected faults, JSON answers, stream bodies."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swt_live.practice.exchange import Exchange
from swt_live.practice.faults import Fault
from swt_live.practice.refusal import Refusal
from swt_live.practice.streams import StreamReset, Subscription
from swt_live.practice.times import with_unix_times
from swt_live.practice.transactions import JSONObject

_MEANINGS = {
    401: "Insufficient authorization to perform request.",
    403: "The provided request was forbidden.",
    429: "Rate limit exceeded.",
    504: "Timeout waiting for response.",
}


class InjectedReset(Exception):
    """A fault: the connection dies in the middle of the answer."""


class Replies:
    """Builds answers: numbers each request, honours Accept-Datetime-Format."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1_000_000_001)

    def request_id(self, request: Request) -> str:
        """The id of this request; the same on each call."""
        if not hasattr(request.state, "request_id"):
            request.state.request_id = str(next(self._numbers))
        return str(request.state.request_id)

    def json(
        self, request: Request, body: JSONObject, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        """A JSON answer."""
        if wants_unix(request):
            body = with_unix_times(body)
        return Response(
            json.dumps(body),
            status_code=status,
            media_type="application/json",
            headers={"RequestID": self.request_id(request)} | (headers or {}),
        )


def wants_unix(request: Request) -> bool:
    """Whether times are to be UNIX seconds."""
    return request.headers.get("Accept-Datetime-Format", "RFC3339").upper() == "UNIX"


async def json_body(request: Request) -> JSONObject:
    """The request's JSON object.

    Raises:
        Refusal: 400.
    """
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise Refusal(400, "Invalid JSON, ParseErrorCode") from error
    if not isinstance(body, dict):
        raise Refusal(400, "Invalid JSON, an object is expected")
    return body


class StreamBody(Response):
    """An endless chunked body: the lines of one subscription, until either side ends it."""

    def __init__(self, subscription: Subscription, exchange: Exchange) -> None:
        super().__init__(headers={"X-SWT-Stream": subscription.stream_id})
        self.headers["content-type"] = "application/octet-stream"
        del self.headers["content-length"]
        self._subscription = subscription
        self._exchange = exchange

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        subscription = self._subscription
        watcher = asyncio.ensure_future(self._watch(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while chunk := await subscription.chunk():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except StreamReset:
            raise InjectedReset from None
        except OSError:
            return
        finally:
            watcher.cancel()
            self._exchange.streams.close(subscription)

    async def _watch(self, receive: Receive) -> None:
        await until_disconnect(receive)
        self._exchange.streams.close(self._subscription)


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Gate:
    """The outermost layer: who may pass, how fast, and what goes wrong on purpose.

    ``before_answer`` is called before an answer leaves: what it keeps on disk is what the client knows.
    """

    def __init__(self, app: ASGIApp, exchange: Exchange, before_answer: Callable[[], None]) -> None:
        async def kept(scope: Scope, receive: Receive, send: Send) -> None:
            async def keep_and_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    before_answer()
                await send(message)

            await app(scope, receive, keep_and_send)

        self._app: ASGIApp = kept
        self._exchange = exchange
        self._limit = exchange.settings.resolved_rate_limit
        self._next_s = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        expected = f"Bearer {self._exchange.settings.token}".encode()
        if dict(scope["headers"]).get(b"authorization") != expected:
            await _answer(send, 401, _error(401))
        elif scope["path"].startswith("/control/"):
            await self._app(scope, receive, send)
        elif self._too_fast():
            await _answer(send, 429, _error(429))
        else:
            occasion = f"{scope['method']} {scope['path']}"
            fault = self._exchange.faults.take("request", self._exchange.now_s, occasion)
            if fault is None:
                await self._app(scope, receive, send)
            else:
                await self._fail(fault, scope, receive, send)

    def _too_fast(self) -> bool:
        if self._limit is None:
            return False
        now_s = asyncio.get_running_loop().time()
        if self._next_s > now_s:
            return True
        self._next_s = max(self._next_s, now_s - 1.0) + 1.0 / self._limit
        return False

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
            return
        if fault.applied or fault.kind == "answer_lost":
            await self._app(scope, receive, _swallow)
        if fault.kind in ("request_lost", "answer_lost"):
            await until_disconnect(receive)
        elif fault.kind == "status":
            await _answer(send, fault.status, _error(fault.status))
        elif fault.kind == "non_json":
            await _answer(send, 502, b"<html><body>502 Bad Gateway</body></html>", "text/html")
        else:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"order', "more_body": True})
            raise InjectedReset


async def _swallow(_message: Message) -> None:
    """An answer that is lost."""


def _error(status: int) -> bytes:
    return json.dumps({"errorMessage": _MEANINGS.get(status, "Internal Server Error")}).encode()


async def _answer(send: Send, status: int, body: bytes, content_type: str = "application/json") -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
