"""OANDA's own Python client, unmodified, over real HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import v20

from swt_broker.client import OandaClient
from swt_broker.records import BrokerSettings, OrderRequest
from swt_core.errors import OutcomeUnknown
from swt_data.bars import Bars
from swt_live.practice.faults import Fault
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings

ACCOUNT = "101-001-0000001-001"


@pytest.fixture
def server(bars: Bars, open_row: int) -> PracticeServer:
    return PracticeServer(bars, PracticeSettings("token"), start_s=float(bars.time_s[open_row]))


@pytest.fixture
def url(server: PracticeServer) -> Iterator[str]:
    with server.serving() as base:
        yield base


@pytest.fixture
def api(url: str) -> Any:
    parts = urlsplit(url)
    return v20.Context(parts.hostname, parts.port, ssl=False, token="token", decimal_number_as_float=False)


def test_account_endpoints(api: Any) -> None:
    (account,) = api.account.list().get("accounts", 200)
    assert account.id == ACCOUNT
    assert api.account.get(ACCOUNT).get("account", 200).balance == "100000.0000"
    assert api.account.summary(ACCOUNT).get("account", 200).openTradeCount == 0
    (pair,) = api.account.instruments(ACCOUNT, instruments="GBP_JPY").get("instruments", 200)
    assert (pair.name, pair.displayPrecision, pair.minimumTradeSize) == ("GBP_JPY", 3, "1")
    reply = api.account.changes(ACCOUNT, sinceTransactionID="1")
    assert [t.type for t in reply.get("changes", 200).transactions] == ["TRANSFER_FUNDS"]
    assert reply.get("state", 200).NAV == "100000.0000"
    assert api.account.configure(ACCOUNT, alias="new").get("clientConfigureTransaction", 200).alias == "new"


def test_market_endpoints(api: Any, bars: Bars, open_row: int) -> None:
    reply = api.instrument.candles("GBP_JPY", granularity="M1", count=3, price="BA")
    last = reply.get("candles", 200)[-1]
    assert last.bid.c == f"{int(bars.bid_close[open_row - 1]) / 1000:.3f}"
    (price,) = api.pricing.get(ACCOUNT, instruments="GBP_JPY").get("prices", 200)
    assert price.asks[0].price == f"{int(bars.ask_close[open_row - 1]) / 1000:.3f}"
    stream = api.pricing.stream(ACCOUNT, instruments="GBP_JPY", snapshot=True)
    kind, message = next(stream.parts())
    assert kind == "pricing.ClientPrice"
    assert message.instrument == "GBP_JPY"


def test_orders_trades_positions_and_transactions(api: Any) -> None:
    reply = api.order.market(
        ACCOUNT, instrument="GBP_JPY", units=5, clientExtensions={"id": "mine"}, positionFill="OPEN_ONLY"
    )
    fill = reply.get("orderFillTransaction", 201)
    assert fill.units == "5"
    trade_id = fill.tradeOpened.tradeID
    assert api.order.get(ACCOUNT, "@mine").get("order", 200).state == "FILLED"
    assert len(api.order.list(ACCOUNT, state="ALL").get("orders", 200)) == 1
    assert api.order.list_pending(ACCOUNT).get("orders", 200) == []
    assert api.trade.get(ACCOUNT, trade_id).get("trade", 200).currentUnits == "5"
    assert len(api.trade.list(ACCOUNT).get("trades", 200)) == 1
    assert len(api.trade.list_open(ACCOUNT).get("trades", 200)) == 1
    extended = api.trade.set_client_extensions(ACCOUNT, trade_id, clientExtensions={"id": "t1"})
    assert extended.status == 200
    stop = api.trade.set_dependent_orders(ACCOUNT, trade_id, stopLoss={"price": "1.000"})
    order_id = stop.get("stopLossOrderTransaction", 200).id
    tagged = api.order.set_client_extensions(ACCOUNT, order_id, clientExtensions={"id": "sl"})
    assert tagged.status == 200
    assert api.order.cancel(ACCOUNT, order_id).get("orderCancelTransaction", 200).reason == "CLIENT_REQUEST"
    assert api.trade.close(ACCOUNT, trade_id, units="2").get("orderFillTransaction", 200).units == "-2"
    assert len(api.position.list(ACCOUNT).get("positions", 200)) == 1
    (position,) = api.position.list_open(ACCOUNT).get("positions", 200)
    assert position.long.units == "3"
    assert api.position.get(ACCOUNT, "GBP_JPY").get("position", 200).short.units == "0"
    closed = api.position.close(ACCOUNT, "GBP_JPY", longUnits="ALL")
    assert closed.get("longOrderFillTransaction", 200).units == "-3"
    assert api.position.list_open(ACCOUNT).get("positions", 200) == []
    reject = api.order.market(ACCOUNT, instrument="GBP_JPY", units=0)
    assert reject.get("orderRejectTransaction", 400).rejectReason == "UNITS_INVALID"
    assert api.transaction.get(ACCOUNT, "1").get("transaction", 200).type == "CREATE"
    assert len(api.transaction.range(ACCOUNT, fromID="1", toID="3").get("transactions", 200)) == 3
    assert api.transaction.since(ACCOUNT, id="3").get("transactions", 200)[0].id == "4"
    pages = api.transaction.list(ACCOUNT, pageSize=5).get("pages", 200)
    assert httpx.get(pages[-1], headers={"Authorization": "Bearer token"}).status_code == 200


def test_orders_that_wait(api: Any) -> None:
    opened = api.order.market(ACCOUNT, instrument="GBP_JPY", units=5).get("orderFillTransaction", 201)
    trade_id = opened.tradeOpened.tradeID
    profit = api.order.take_profit(ACCOUNT, tradeID=trade_id, price="999.000")
    profit_id = profit.get("orderCreateTransaction", 201).id
    moved = api.order.take_profit_replace(ACCOUNT, profit_id, tradeID=trade_id, price="998.000")
    assert moved.get("orderCreateTransaction", 201).replacesOrderID == profit_id
    stop_id = (
        api.order.stop_loss(ACCOUNT, tradeID=trade_id, price="1.000").get("orderCreateTransaction", 201).id
    )
    moved = api.order.stop_loss_replace(ACCOUNT, stop_id, tradeID=trade_id, price="2.000")
    assert moved.get("orderCancelTransaction", 201).reason == "CLIENT_REQUEST_REPLACED"
    assert len(api.order.list_pending(ACCOUNT).get("orders", 200)) == 2
    entry = {"instrument": "GBP_JPY", "units": 1, "price": "100.000"}
    for send in (api.order.limit, api.order.stop, api.order.market_if_touched):
        reject = send(ACCOUNT, **entry).get("orderRejectTransaction", 400)
        assert reject.rejectReason == "PENDING_ORDERS_ALLOWED_EXCEEDED"
    trailing = api.order.trailing_stop_loss(ACCOUNT, tradeID=trade_id, distance="1.000")
    assert trailing.get("orderRejectTransaction", 400).type == "TRAILING_STOP_LOSS_ORDER_REJECT"


def test_user_endpoints(api: Any) -> None:
    assert api.user.get_info("@").get("userInfo", 200).userID == 1
    assert api.user.get_external_info("1").get("userInfo", 200).FIFO is False
    assert api.user.get_info("2").status == 403


def test_what_is_not_served_answers_not_found(api: Any) -> None:
    """Prices of the past by instrument and books of other people's orders exist at no practice server."""
    assert api.instrument.order_book("GBP_JPY").status == 404
    assert api.instrument.position_book("GBP_JPY").status == 404
    assert api.instrument.price("GBP_JPY").status == 404
    assert api.pricing.get_price_range("GBP_JPY", fromTime="2024-01-08T00:00:00Z").status == 404


def test_the_transaction_stream(api: Any, url: str) -> None:
    stream = api.transaction.stream(ACCOUNT)
    api.order.market(ACCOUNT, instrument="GBP_JPY", units=1)
    kind, message = next(stream.parts())
    assert (kind, message.type) == ("transaction.Transaction", "MARKET_ORDER")


def test_a_wrong_token_is_refused(url: str) -> None:
    parts = urlsplit(url)
    stranger = v20.Context(parts.hostname, parts.port, ssl=False, token="other")
    assert stranger.account.list().status == 401


@pytest.mark.parametrize("applied", [False, True])
async def test_a_reset_over_a_socket_is_an_unknown_outcome(
    server: PracticeServer, url: str, applied: bool
) -> None:
    settings = BrokerSettings(url, url, "token", ACCOUNT, request_timeout_s=10.0)
    async with OandaClient(settings) as client:
        server.faults.add(Fault("reset", match="POST", applied=applied))
        with pytest.raises(OutcomeUnknown):
            await client.create_order(OrderRequest("GBP_JPY", 1, "x"))
        assert (await client.account()).units("GBP_JPY") == int(applied)


async def test_the_own_client_streams_over_a_socket_in_lock_step(
    server: PracticeServer, url: str, bars: Bars, open_row: int
) -> None:
    settings = BrokerSettings(url, url, "token", ACCOUNT)
    headers = {"Authorization": "Bearer token"}
    async with (
        OandaClient(settings) as client,
        httpx.AsyncClient(base_url=url, headers=headers) as control,
        client.price_stream(["GBP_JPY"]) as stream,
    ):
        until_s = float(bars.time_s[open_row]) + 60.0
        reply = (await control.post("/control/clock/advance", json={"until_s": until_s})).json()
        lines = [await anext(stream) for _ in range(reply["streams"][stream.stream_id])]
        assert lines[-1].time_s <= until_s
        assert len(lines) >= 13
