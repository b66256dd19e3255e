"""The OANDA v20 client: one request, one attempt, and an exception that says what is known afterwards.

Reads raise `Rejected` (a definite 4xx) or `Unavailable` (anything that may pass: timeout, reset, 429, 5xx,
a reply that is not the JSON promised). Writes (POST, PUT) raise `Rejected` only for a definite 4xx with
the broker's JSON error, and `OutcomeUnknown` for everything else: **a write is never repeated here**, and
only the transaction log can tell what became of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx

from swt_broker import decoding
from swt_broker.answers import check_read, is_definite_refusal, json_object, rejection
from swt_broker.in_flight import InFlight
from swt_broker.observer import RequestSeen, seen
from swt_broker.orders import market_order_body
from swt_broker.queries import candle_query
from swt_broker.rate_limit import RateLimit
from swt_broker.records import (
    JSON,
    AccountChanges,
    AccountSnapshot,
    BrokerSettings,
    Candle,
    Heartbeat,
    InstrumentDetails,
    OrderRequest,
    OrderResult,
    Position,
    Price,
    Trade,
    Transaction,
)
from swt_broker.streams import EventStream
from swt_core.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")
_TRANSPORT_ERRORS = (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError)


class OandaClient:
    """Async client of one account.

    Args:
        settings: addresses, token, account.
        transport: an httpx transport; None: real HTTP. `swt_broker.asgi.StreamingASGITransport` talks to
            a practice server in the same process.
        observe: is told of every request that was made, whatever came of it.

    Use as ``async with OandaClient(settings) as client``, or call `close`.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        observe: Callable[[RequestSeen], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._observe = observe
        self._account_path = f"/v3/accounts/{settings.account_id}"
        self._limit = RateLimit(settings.requests_per_second)
        self._in_flight = InFlight()
        self._urls: dict[str, httpx.URL] = {}
        self._http = httpx.AsyncClient(
            transport=transport,
            headers={
                "Authorization": f"Bearer {settings.token}",
                "Accept-Datetime-Format": "RFC3339",
                "Content-Type": "application/json",
            },
            timeout=httpx.Timeout(settings.request_timeout_s),
            limits=httpx.Limits(max_connections=20, keepalive_expiry=60.0),
            trust_env=False,
        )

    async def __aenter__(self) -> OandaClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def wait_idle(self) -> None:
        """Return when no request of this client (nor the opening of a stream) is in flight."""
        await self._in_flight.wait_idle()

    # Reads -----------------------------------------------------------------------------------------

    async def account(self) -> AccountSnapshot:
        """The whole account: balances, open trades, positions, last transaction id."""
        return await self._read(
            self._account_path, decode=lambda body: decoding.decode_account(body["account"])
        )

    async def summary(self) -> AccountSnapshot:
        """The account without its trades and positions."""
        path = f"{self._account_path}/summary"
        return await self._read(path, decode=lambda body: decoding.decode_account(body["account"]))

    async def changes(self, since_id: int) -> AccountChanges:
        """Everything after transaction ``since_id``, and the account's state now."""
        path = f"{self._account_path}/changes"
        return await self._read(path, {"sinceTransactionID": str(since_id)}, decode=decoding.decode_changes)

    async def instrument(self, name: str) -> InstrumentDetails:
        """Precision, sizes and margin of ``name`` for this account."""
        path = f"{self._account_path}/instruments"

        def decode(body: JSON) -> InstrumentDetails:
            return next(
                decoding.decode_instrument(item) for item in body["instruments"] if item["name"] == name
            )

        return await self._read(path, {"instruments": name}, decode=decode)

    async def candles(
        self,
        instrument: str,
        *,
        granularity: str = "M1",
        count: int | None = None,
        from_s: float | None = None,
        to_s: float | None = None,
        price: str = "BA",
        include_first: bool = True,
    ) -> tuple[Candle, ...]:
        """Candles, oldest first; at most 5000. Give two of ``count``, ``from_s``, ``to_s`` at most.

        ``price``: any of the letters M, B, A. The last candle may be incomplete (``complete`` False).
        """
        params = candle_query(granularity, price, count, from_s, to_s, include_first)

        def decode(body: JSON) -> tuple[Candle, ...]:
            return tuple(decoding.decode_candle(item, instrument, granularity) for item in body["candles"])

        return await self._read(f"/v3/instruments/{instrument}/candles", params, decode=decode)

    async def pricing(self, instruments: Sequence[str]) -> tuple[Price, ...]:
        """The current price of each instrument."""

        def decode(body: JSON) -> tuple[Price, ...]:
            return tuple(decoding.decode_price(item) for item in body["prices"])

        params = {"instruments": ",".join(instruments)}
        return await self._read(f"{self._account_path}/pricing", params, decode=decode)

    async def open_positions(self) -> tuple[Position, ...]:
        """All positions that are not flat. A failure raises: it never reads as flat."""

        def decode(body: JSON) -> tuple[Position, ...]:
            return tuple(decoding.decode_position(item) for item in body["positions"])

        return await self._read(f"{self._account_path}/openPositions", decode=decode)

    async def open_trades(self) -> tuple[Trade, ...]:
        """All open trades."""

        def decode(body: JSON) -> tuple[Trade, ...]:
            return tuple(decoding.decode_trade(item) for item in body["trades"])

        return await self._read(f"{self._account_path}/openTrades", decode=decode)

    async def transactions_since(self, transaction_id: int) -> tuple[Transaction, ...]:
        """All transactions after ``transaction_id``, oldest first, complete up to the log's end.

        A truncated page is followed up by further reads.

        Raises:
            Unavailable: also when the log does not become complete.
        """
        found: dict[int, Transaction] = {}
        reached = transaction_id
        while True:

            def decode(body: JSON) -> tuple[tuple[Transaction, ...], int]:
                page = tuple(decoding.decode_transaction(item) for item in body["transactions"])
                return page, int(body["lastTransactionID"])

            path = f"{self._account_path}/transactions/sinceid"
            page, last_id = await self._read(path, {"id": str(reached)}, decode=decode)
            found |= {item.transaction_id: item for item in page if item.transaction_id > transaction_id}
            furthest = max([reached, *(item.transaction_id for item in page)])
            if furthest >= last_id:
                return tuple(found[key] for key in sorted(found))
            if furthest == reached:
                raise Unavailable(f"the transaction log stops at {reached}, before {last_id}")
            reached = furthest

    # Streams ---------------------------------------------------------------------------------------

    def price_stream(
        self, instruments: Sequence[str], *, snapshot: bool = True
    ) -> EventStream[Price | Heartbeat]:
        """Prices as they come, a heartbeat every 5 s: ``async with client.price_stream([...]) as stream``."""
        params = {"instruments": ",".join(instruments), "snapshot": str(snapshot)}
        return self._stream(f"{self._account_path}/pricing/stream", params, decoding.decode_price_event)

    def transaction_stream(self) -> EventStream[Transaction | Heartbeat]:
        """The account's transactions as they happen, a heartbeat every 5 s."""
        return self._stream(
            f"{self._account_path}/transactions/stream", {}, decoding.decode_transaction_event
        )

    # Writes: one attempt each -----------------------------------------------------------------------

    async def create_order(self, order: OrderRequest) -> OrderResult:
        """Send one market order, once.

        Returns: filled or cancelled (a 201 does not mean filled).

        Raises:
            Rejected: definitely refused (``code`` is the reject reason), nothing happened.
            OutcomeUnknown: it may have been filled; read `transactions_since`.
        """
        return await self._write("POST", f"{self._account_path}/orders", market_order_body(order), "", (201,))

    async def close_position(
        self, instrument: str, *, side: str, units: int | None = None, client_id: str | None = None
    ) -> OrderResult:
        """Close the ``side`` ("long" or "short") of a position, whole or ``units`` (positive) of it.

        Only this side is named: naming one that does not exist makes the broker reject both.
        Raises as `create_order`.
        """
        if side not in ("long", "short"):
            raise ValueError(f"side is 'long' or 'short', not {side!r}")
        body: dict[str, Any] = {f"{side}Units": "ALL" if units is None else str(units)}
        if client_id is not None:
            body[f"{side}ClientExtensions"] = {"id": client_id}
        path = f"{self._account_path}/positions/{instrument}/close"
        return await self._write("PUT", path, body, side, (200,))

    async def close_trade(self, trade_id: int, *, units: int | None = None) -> OrderResult:
        """Close a trade, whole or ``units`` (positive) of it. Raises as `create_order`."""
        body = {"units": "ALL" if units is None else str(units)}
        return await self._write("PUT", f"{self._account_path}/trades/{trade_id}/close", body, "", (200,))

    # Plumbing --------------------------------------------------------------------------------------

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """One attempt. It is in flight from here on: also while the rate limit holds it back."""
        async with self._in_flight:
            await self._limit.acquire()
            with seen(request, self._observe) as note:
                async with asyncio.timeout(self.settings.request_timeout_s):
                    response = await self._http.send(request)
                note(response.status_code)
                return response

    def _url(self, path: str) -> httpx.URL:
        """Parsed once: the same few addresses are asked all day."""
        url = self._urls.get(path)
        if url is None:
            if len(self._urls) > 256:
                self._urls.clear()
            url = self._urls[path] = httpx.URL(self.settings.base_url + path)
        return url

    async def _read(
        self, path: str, params: dict[str, str] | None = None, *, decode: Callable[[JSON], T]
    ) -> T:
        try:
            response = await self._send(self._http.build_request("GET", self._url(path), params=params))
        except _TRANSPORT_ERRORS as error:
            raise Unavailable(f"GET {path} failed: {error!r}") from error
        check_read(response, response.content)
        try:
            return decode(response.json())
        except (*decoding.MALFORMED, StopIteration) as error:
            raise Unavailable(f"GET {path}: the reply is not what the API promises: {error!r}") from error

    async def _write(
        self, method: str, path: str, body: JSON, prefix: str, accepted: tuple[int, ...]
    ) -> OrderResult:
        url = self.settings.base_url + path
        try:
            response = await self._send(self._http.build_request(method, url, content=json.dumps(body)))
        except _TRANSPORT_ERRORS as error:
            raise OutcomeUnknown(f"{method} {path}: no answer: {error!r}") from error
        reply = json_object(response.content)
        if is_definite_refusal(response.status_code, reply):
            assert reply is not None
            raise rejection(response.status_code, reply)
        if response.status_code not in accepted or reply is None:
            raise OutcomeUnknown(f"{method} {path}: status {response.status_code} tells nothing")
        try:
            return decoding.decode_order_result(reply, response.headers.get("RequestID"), prefix)
        except decoding.MALFORMED as error:
            raise OutcomeUnknown(f"{method} {path}: the reply cannot be read: {error!r}") from error

    def _stream(self, path: str, params: dict[str, str], decode: Callable[[JSON], T]) -> EventStream[T]:
        # Reads of a stream have no deadline: whether it is stale is judged by the feed's clock.
        timeout = httpx.Timeout(self.settings.request_timeout_s, read=None)
        url = self.settings.stream_url + path
        opened = self._http.stream("GET", url, params=params, timeout=timeout)
        return EventStream(opened, check_read, decode, self.settings.request_timeout_s, self._in_flight)
