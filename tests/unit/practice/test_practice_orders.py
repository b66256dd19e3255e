from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from swt_broker.records import OrderRequest
from swt_core.errors import Rejected
from swt_data.bars import Bars

BUY = OrderRequest("GBP_JPY", 10, "buy-1")


def price(points: int) -> Decimal:
    return Decimal(int(points)) / 1000


async def test_an_order_after_a_bars_close_fills_at_the_next_bars_open(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    async with open_desk() as desk:
        await desk.advance(float(bars.time_s[open_row + 3]) + 1.0)
        bought = await desk.client.create_order(BUY)
        assert bought.price == price(bars.ask_open[open_row + 3])
        assert bought.fill.time_s == bars.time_s[open_row + 3] + 2.0
        await desk.advance(float(bars.time_s[open_row + 9]) + 1.0)
        sold = await desk.client.close_position("GBP_JPY", side="long")
        assert sold.price == price(bars.bid_open[open_row + 9])
        expected = (sold.price - bought.price) * 10
        assert sold.fill.pl == expected.quantize(Decimal("0.0001"))
        account = await desk.client.account()
        assert account.balance == Decimal(100_000) + sold.fill.pl
        assert account.units("GBP_JPY") == 0


async def test_without_the_next_tick_rule_orders_fill_at_the_current_quote(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    async with open_desk(fill_at_next_tick=False) as desk:
        bought = await desk.client.create_order(BUY)
        assert bought.price == price(bars.ask_close[open_row - 1])


async def test_every_transaction_of_an_order_shares_its_batch_and_client_id(open_desk: Any) -> None:
    async with open_desk() as desk:
        await desk.client.create_order(BUY)
        create, fill = await desk.client.transactions_since(2)
    assert create.type == "MARKET_ORDER"
    assert fill.order_id == create.transaction_id
    assert fill.batch_id == create.batch_id == create.transaction_id
    assert create.client_order_id == fill.client_order_id == "buy-1"


async def test_an_opposite_order_closes_the_oldest_trades_first(open_desk: Any) -> None:
    async with open_desk() as desk:
        first = await desk.client.create_order(OrderRequest("GBP_JPY", 3, "a"))
        second = await desk.client.create_order(OrderRequest("GBP_JPY", 4, "b"))
        sold = await desk.client.create_order(OrderRequest("GBP_JPY", -5, "c"))
        assert [part.trade_id for part in sold.fill.trades_closed] == [first.fill.trade_opened.trade_id]
        assert sold.fill.trade_reduced.trade_id == second.fill.trade_opened.trade_id
        turned = await desk.client.create_order(OrderRequest("GBP_JPY", -5, "d"))
        assert turned.fill.trade_opened.units == -3
        (position,) = await desk.client.open_positions()
        assert position.units == -3


@pytest.mark.parametrize(
    ("units", "fill", "reason"),
    [
        (-1, "OPEN_ONLY", "FIFO_VIOLATION"),
        (1, "REDUCE_ONLY", "INSUFFICIENT_LIQUIDITY"),
        (-50, "REDUCE_ONLY", "INSUFFICIENT_LIQUIDITY"),
        (20_000_000, "DEFAULT", "INSUFFICIENT_LIQUIDITY"),
        (5_000_000, "DEFAULT", "INSUFFICIENT_MARGIN"),
    ],
)
async def test_an_order_that_cannot_be_filled_is_cancelled_with_its_reason(
    open_desk: Any, units: int, fill: Any, reason: str
) -> None:
    async with open_desk() as desk:
        await desk.client.create_order(BUY)
        result = await desk.client.create_order(OrderRequest("GBP_JPY", units, "x", position_fill=fill))
        assert not result.filled
        assert result.cancel.reason == reason
        assert (await desk.client.account()).units("GBP_JPY") == 10


async def test_an_immediate_or_cancel_order_reduces_what_there_is(open_desk: Any) -> None:
    async with open_desk() as desk:
        await desk.client.create_order(BUY)
        order = OrderRequest("GBP_JPY", -50, "x", position_fill="REDUCE_ONLY", time_in_force="IOC")
        result = await desk.client.create_order(order)
        assert result.filled_units == -10
        assert result.fill.requested_units == -50


async def test_a_price_bound_cancels_a_worse_fill(open_desk: Any) -> None:
    async with open_desk() as desk:
        result = await desk.client.create_order(OrderRequest("GBP_JPY", 1, "x", price_bound="1.000"))
        assert result.cancel.reason == "BOUNDS_VIOLATION"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"instrument": "EUR_XXX"}, "INSTRUMENT_UNKNOWN"),
        ({"units": "0"}, "UNITS_INVALID"),
        ({"units": "1.5"}, "UNITS_PRECISION_EXCEEDED"),
        ({"units": "60000000"}, "UNITS_LIMIT_EXCEEDED"),
        ({"timeInForce": "GTC"}, "TIME_IN_FORCE_INVALID"),
        ({"positionFill": "SOMEHOW"}, "ORDER_FILL_POSITION_ACTION_INVALID"),
        ({"priceBound": "110.79999999999999"}, "PRICE_BOUND_PRECISION_EXCEEDED"),
        ({"clientExtensions": {"id": "x" * 129}}, "CLIENT_ORDER_ID_INVALID"),
        ({"stopLossOnFill": {"price": "1.23456"}}, "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
    ],
)
async def test_a_wrong_order_is_rejected_and_the_rejection_logged(
    open_desk: Any, change: dict[str, Any], code: str
) -> None:
    body = {"type": "MARKET", "instrument": "GBP_JPY", "units": "1"} | change
    async with open_desk() as desk:
        path = f"/v3/accounts/{desk.server.settings.account_id}/orders"
        reply = await desk.http.post(path, json={"order": body})
        assert reply.status_code == 400
        assert reply.json()["errorCode"] == code
        assert reply.json()["orderRejectTransaction"]["rejectReason"] == code
        (entry,) = await desk.client.transactions_since(2)
        assert entry.is_reject


async def test_units_that_are_no_number_leave_no_trace(open_desk: Any) -> None:
    async with open_desk() as desk:
        path = f"/v3/accounts/{desk.server.settings.account_id}/orders"
        order = {"type": "MARKET", "instrument": "GBP_JPY", "units": "many"}
        reply = await desk.http.post(path, json={"order": order})
        assert reply.status_code == 400
        assert reply.json() == {"errorMessage": "Invalid value specified for 'units'"}
        assert await desk.client.transactions_since(2) == ()


async def test_a_stop_loss_and_a_take_profit_close_the_trade_and_cancel_each_other(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    entry = int(bars.ask_open[open_row])
    async with open_desk() as desk:
        request = OrderRequest(
            "GBP_JPY",
            1,
            "guarded",
            stop_loss_price=str(price(entry - 250)),
            take_profit_price=str(price(entry + 250)),
        )
        result = await desk.client.create_order(request)
        assert result.filled
        assert len((await desk.get("/pendingOrders")).json()["orders"]) == 2
        for row in range(open_row, len(bars)):
            await desk.advance(float(bars.time_s[row]) + 60.0)
            if not await desk.client.open_trades():
                break
        log = await desk.client.transactions_since(result.last_transaction_id)
        fill = next(item for item in log if item.is_fill)
        assert fill.reason in ("STOP_LOSS_ORDER", "TAKE_PROFIT_ORDER")
        assert [item.reason for item in log if item.is_cancel] == ["LINKED_TRADE_CLOSED"]
        assert not (await desk.get("/pendingOrders")).json()["orders"]


async def test_naming_a_side_that_is_not_open_rejects_both(open_desk: Any) -> None:
    async with open_desk() as desk:
        await desk.client.create_order(BUY)
        path = f"/v3/accounts/{desk.server.settings.account_id}/positions/GBP_JPY/close"
        reply = (await desk.http.put(path, json={"longUnits": "ALL", "shortUnits": "ALL"})).json()
        assert reply["errorCode"] == "CLOSEOUT_POSITION_DOESNT_EXIST"
        assert reply["longOrderRejectTransaction"]["rejectReason"] == "CLOSEOUT_POSITION_REJECT"
        assert (await desk.client.account()).units("GBP_JPY") == 10


async def test_closing_a_flat_position_is_a_definite_rejection(open_desk: Any) -> None:
    async with open_desk() as desk:
        with pytest.raises(Rejected) as caught:
            await desk.client.close_position("GBP_JPY", side="short")
        assert caught.value.code == "CLOSEOUT_POSITION_DOESNT_EXIST"


async def test_a_halted_market_cancels_orders_and_says_so_in_its_prices(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    async with open_desk() as desk:
        await desk.http.post("/control/halt", json={"until_s": float(bars.time_s[open_row]) + 30})
        (quote,) = await desk.client.pricing(["GBP_JPY"])
        assert not quote.tradeable
        result = await desk.client.create_order(BUY)
        assert result.cancel.reason == "MARKET_HALTED"
        await desk.advance(float(bars.time_s[open_row]) + 31)
        assert (await desk.client.create_order(BUY)).filled


async def test_a_ruined_account_is_closed_out(open_desk: Any, bars: Bars) -> None:
    async with open_desk(balance=Decimal("90000.0000")) as desk:
        assert (await desk.client.create_order(OrderRequest("GBP_JPY", 9_000, "big"))).filled
        desk.server.exchange.account.balance -= Decimal(60_000)
        now_s = desk.server.exchange.now_s
        await desk.advance(now_s + 180)
        fills = [t for t in await desk.client.transactions_since(4) if t.is_fill]
        assert [fill.reason for fill in fills] == ["MARKET_ORDER_MARGIN_CLOSEOUT"]


async def test_financing_is_booked_at_17_new_york(open_desk: Any, bars: Bars, open_row: int) -> None:
    async with open_desk() as desk:
        await desk.client.create_order(OrderRequest("GBP_JPY", 1000, "carry"))
        await desk.advance(float(bars.time_s[open_row]) + 86_400)
        entries = [t for t in await desk.client.transactions_since(4) if t.type == "DAILY_FINANCING"]
        (entry,) = entries
        assert entry.financing > 0
        assert entry.time_s % 3600 == 0
        assert (await desk.client.account()).balance == Decimal(100_000) + entry.financing
