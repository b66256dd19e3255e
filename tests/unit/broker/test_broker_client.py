from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from swt_broker.client import OandaClient
from swt_broker.orders import market_order_body
from swt_broker.records import BrokerSettings, OrderRequest
from swt_core.errors import OutcomeUnknown, Rejected, Unavailable

ORDER = OrderRequest("GBP_JPY", -1, "intent-1", position_fill="OPEN_ONLY", price_bound="186.123")
ACCEPTED = {
    "orderCreateTransaction": {
        "id": "7",
        "type": "MARKET_ORDER",
        "time": "2024-01-02T03:04:05.000000000Z",
        "batchID": "7",
    },
    "orderCancelTransaction": {
        "id": "8",
        "type": "ORDER_CANCEL",
        "time": "2024-01-02T03:04:05.000000000Z",
        "orderID": "7",
        "reason": "MARKET_HALTED",
    },
    "relatedTransactionIDs": ["7", "8"],
    "lastTransactionID": "8",
}


class Broker:
    """A transport that answers one way and counts."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)

    def client(self, **settings: Any) -> OandaClient:
        broker = BrokerSettings("http://b", "http://s", "secret-token", "101-001-1-001", **settings)
        return OandaClient(broker, httpx.MockTransport(self))


def answering(status: int, body: Any) -> Callable[[httpx.Request], httpx.Response]:
    if isinstance(body, bytes):
        return lambda _request: httpx.Response(status, content=body)
    return lambda _request: httpx.Response(status, json=body)


def failing(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


UNKNOWN = {
    "500": answering(500, {"errorMessage": "Internal Server Error"}),
    "503": answering(503, {"errorMessage": "busy", "errorCode": "BUSY"}),
    "504": answering(504, {"errorMessage": "Timeout waiting for response."}),
    "502 in HTML": answering(502, b"<html>bad gateway</html>"),
    "408": answering(408, {"errorMessage": "timeout"}),
    "400 without the broker's words": answering(400, b"<html>a proxy</html>"),
    "400 with other JSON": answering(400, {"reason": "a proxy"}),
    "201 that is no JSON": answering(201, b"{"),
    "201 without an order": answering(201, {"hello": 1}),
    "connect timeout": failing(httpx.ConnectTimeout("")),
    "read timeout": failing(httpx.ReadTimeout("")),
    "reset": failing(httpx.ReadError("reset")),
    "closed": failing(httpx.RemoteProtocolError("closed")),
}


@pytest.mark.parametrize("case", UNKNOWN)
async def test_an_unclear_answer_to_an_order_is_unknown_and_never_resent(case: str) -> None:
    broker = Broker(UNKNOWN[case])
    async with broker.client() as client:
        with pytest.raises(OutcomeUnknown):
            await client.create_order(ORDER)
        with pytest.raises(OutcomeUnknown):
            await client.close_position("GBP_JPY", side="long")
    assert len(broker.requests) == 2


async def test_a_200_where_a_201_is_promised_is_unknown() -> None:
    async with Broker(answering(200, ACCEPTED)).client() as client:
        with pytest.raises(OutcomeUnknown):
            await client.create_order(ORDER)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_in_the_brokers_words_is_definite(status: int) -> None:
    body = {"errorMessage": "no", "errorCode": "UNITS_INVALID", "lastTransactionID": "3"}
    broker = Broker(answering(status, body))
    async with broker.client() as client:
        with pytest.raises(Rejected) as caught:
            await client.create_order(ORDER)
    assert (caught.value.status, caught.value.code, caught.value.body) == (status, "UNITS_INVALID", body)


async def test_a_201_may_be_a_cancellation() -> None:
    async with Broker(answering(201, ACCEPTED)).client() as client:
        result = await client.create_order(ORDER)
    assert not result.filled
    assert result.cancel is not None
    assert result.cancel.reason == "MARKET_HALTED"
    assert result.filled_units == 0
    assert result.raw == ACCEPTED


@pytest.mark.parametrize(
    "answer",
    [
        answering(500, {"errorMessage": "x"}),
        answering(429, {"errorMessage": "slow down"}),
        answering(502, b"<html>"),
        answering(200, b"not json"),
        answering(200, {"positions": "nonsense"}),
        answering(200, {}),
        failing(httpx.ReadTimeout("")),
        failing(httpx.ConnectError("")),
    ],
)
async def test_a_failed_position_query_is_unavailable_and_never_flat(answer: Any) -> None:
    async with Broker(answer).client() as client:
        with pytest.raises(Unavailable):
            await client.open_positions()


async def test_a_silent_broker_times_out() -> None:
    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    settings = BrokerSettings("http://b", "http://s", "t", "a", request_timeout_s=0.01)
    async with OandaClient(settings, httpx.MockTransport(hang)) as client:
        with pytest.raises(OutcomeUnknown):
            await client.create_order(ORDER)
        with pytest.raises(Unavailable):
            await client.account()
        await client.wait_idle()


async def test_a_truncated_log_is_read_on_until_it_is_whole() -> None:
    def entry(number: int) -> dict[str, str]:
        return {"id": str(number), "type": "ORDER_FILL", "time": "2024-01-02T03:04:05Z"}

    def page(request: httpx.Request) -> httpx.Response:
        since = int(request.url.params["id"])
        numbers = range(since + 1, min(since + 3, 8))
        body = {"transactions": [entry(i) for i in numbers], "lastTransactionID": "7"}
        return httpx.Response(200, json=body)

    async with Broker(page).client() as client:
        log = await client.transactions_since(2)
    assert [item.transaction_id for item in log] == [3, 4, 5, 6, 7]


async def test_a_log_that_stays_short_is_unavailable() -> None:
    async with Broker(answering(200, {"transactions": [], "lastTransactionID": "7"})).client() as client:
        with pytest.raises(Unavailable):
            await client.transactions_since(2)


async def test_requests_carry_the_token_and_the_order_as_strings() -> None:
    broker = Broker(answering(201, ACCEPTED))
    async with broker.client() as client:
        await client.create_order(ORDER)
    (request,) = broker.requests
    assert request.headers["Authorization"] == "Bearer secret-token"
    order = json.loads(request.content)["order"]
    assert order["units"] == "-1"
    assert order["clientExtensions"] == {"id": "intent-1"}
    assert order["priceBound"] == "186.123"


async def test_only_the_named_side_of_a_position_is_closed() -> None:
    broker = Broker(answering(200, {"lastTransactionID": "8"}))
    async with broker.client() as client:
        await client.close_position("GBP_JPY", side="short", units=3)
    assert json.loads(broker.requests[0].content) == {"shortUnits": "3"}


def test_the_token_does_not_show_in_the_settings() -> None:
    assert "secret" not in repr(BrokerSettings("http://b", "http://s", "secret", "a"))


def test_absent_fields_stay_out_of_the_order() -> None:
    body = market_order_body(OrderRequest("GBP_JPY", 1, "c"))["order"]
    assert set(body) == {"type", "instrument", "units", "timeInForce", "positionFill", "clientExtensions"}


async def test_the_rate_limit_spreads_requests() -> None:
    loop = asyncio.get_running_loop()
    broker = Broker(answering(200, {"positions": []}))
    async with broker.client(requests_per_second=50.0) as client:
        begun = loop.time()
        await asyncio.gather(*(client.open_positions() for _ in range(60)))
    # 50 may burst; the other ten come at 50 a second.
    assert loop.time() - begun >= 0.19
