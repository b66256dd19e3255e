"""JSON of the v20 API to records. A missing or malformed field raises; the client says what that means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from swt_broker.records import (
    JSON,
    AccountChanges,
    AccountSnapshot,
    Candle,
    CandlePrices,
    Heartbeat,
    InstrumentDetails,
    OrderResult,
    Position,
    PositionSide,
    Price,
    PriceLevel,
    Trade,
    TradePart,
    Transaction,
)
from swt_broker.times import parse_time

T = TypeVar("T")

# What decoding raises on a reply that is JSON but not what was promised.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, InvalidOperation)


def _optional(body: JSON, key: str, convert: Callable[[str], T]) -> T | None:
    value = body.get(key)
    return None if value is None else convert(value)


def _levels(levels: Iterable[JSON]) -> tuple[PriceLevel, ...]:
    # Liquidity is a number in prices but a string inside a fill's fullPrice.
    return tuple(PriceLevel(Decimal(level["price"]), int(level["liquidity"])) for level in levels)


def decode_price(body: JSON) -> Price:
    """A ClientPrice of the pricing endpoint or stream."""
    bids, asks = _levels(body["bids"]), _levels(body["asks"])
    time = body["time"]
    return Price(
        instrument=body["instrument"],
        time_s=parse_time(time),
        time=time,
        bid=bids[0].price if bids else Decimal(body["closeoutBid"]),
        ask=asks[0].price if asks else Decimal(body["closeoutAsk"]),
        # `tradeable` is the newer field, `status` the documented one; both must agree to trade.
        tradeable=body.get("tradeable", True) and body.get("status", "tradeable") == "tradeable",
        bids=bids,
        asks=asks,
        raw=body,
    )


def decode_heartbeat(body: JSON) -> Heartbeat:
    """A heartbeat of either stream."""
    time = body["time"]
    return Heartbeat(parse_time(time), time, _optional(body, "lastTransactionID", int), body)


def decode_price_event(body: JSON) -> Price | Heartbeat:
    """One line of the pricing stream."""
    return decode_heartbeat(body) if body["type"] == "HEARTBEAT" else decode_price(body)


def decode_transaction_event(body: JSON) -> Transaction | Heartbeat:
    """One line of the transaction stream."""
    return decode_heartbeat(body) if body["type"] == "HEARTBEAT" else decode_transaction(body)


def _candle_prices(body: JSON) -> CandlePrices:
    return CandlePrices(*(Decimal(body[key]) for key in "ohlc"))


def decode_candle(body: JSON, instrument: str, granularity: str) -> Candle:
    """One candlestick."""
    sides = {side: _candle_prices(body[side]) if side in body else None for side in ("mid", "bid", "ask")}
    return Candle(
        instrument=instrument,
        granularity=granularity,
        time_s=int(parse_time(body["time"])),
        time=body["time"],
        complete=body["complete"],
        volume=int(body["volume"]),
        mid=sides["mid"],
        bid=sides["bid"],
        ask=sides["ask"],
        raw=body,
    )


def decode_instrument(body: JSON) -> InstrumentDetails:
    """One tradeable instrument of the account."""
    return InstrumentDetails(
        name=body["name"],
        pip_location=int(body["pipLocation"]),
        display_precision=int(body["displayPrecision"]),
        trade_units_precision=int(body["tradeUnitsPrecision"]),
        minimum_trade_size=Decimal(body["minimumTradeSize"]),
        maximum_order_units=Decimal(body["maximumOrderUnits"]),
        margin_rate=Decimal(body["marginRate"]),
        raw=body,
    )


def _position_side(body: JSON) -> PositionSide:
    return PositionSide(
        units=Decimal(body["units"]),
        average_price=_optional(body, "averagePrice", Decimal),
        trade_ids=tuple(int(trade_id) for trade_id in body.get("tradeIDs", ())),
        pl=Decimal(body.get("pl", "0")),
        unrealized_pl=Decimal(body.get("unrealizedPL", "0")),
    )


def decode_position(body: JSON) -> Position:
    """The position in one instrument."""
    return Position(body["instrument"], _position_side(body["long"]), _position_side(body["short"]), body)


def decode_trade(body: JSON) -> Trade:
    """A trade or trade summary."""
    return Trade(
        trade_id=int(body["id"]),
        instrument=body["instrument"],
        price=Decimal(body["price"]),
        open_time_s=parse_time(body["openTime"]),
        initial_units=Decimal(body["initialUnits"]),
        current_units=Decimal(body["currentUnits"]),
        state=body["state"],
        realized_pl=Decimal(body.get("realizedPL", "0")),
        unrealized_pl=_optional(body, "unrealizedPL", Decimal),
        client_id=body.get("clientExtensions", {}).get("id"),
        raw=body,
    )


def _trade_part(body: JSON) -> TradePart:
    return TradePart(
        trade_id=int(body["tradeID"]),
        units=Decimal(body["units"]),
        price=_optional(body, "price", Decimal),
        realized_pl=_optional(body, "realizedPL", Decimal),
    )


def decode_transaction(body: JSON) -> Transaction:
    """Any transaction; fields a type lacks are None.

    The client id of an order stands in ``clientExtensions`` of its creation (or rejection) and in
    ``clientOrderID`` of what follows.
    """
    client_order_id = body.get("clientOrderID")
    if client_order_id is None and "ORDER" in body["type"]:
        client_order_id = body.get("clientExtensions", {}).get("id")
    order_id = _optional(body, "orderID", int)
    if order_id is None and body["type"].endswith("_ORDER"):
        order_id = int(body["id"])
    price = _optional(body, "fullVWAP", Decimal)
    return Transaction(
        transaction_id=int(body["id"]),
        type=body["type"],
        time_s=parse_time(body["time"]),
        time=body["time"],
        batch_id=_optional(body, "batchID", int),
        order_id=order_id,
        client_order_id=client_order_id,
        instrument=body.get("instrument"),
        units=_optional(body, "units", Decimal),
        requested_units=_optional(body, "requestedUnits", Decimal),
        price=price if price is not None else _optional(body, "price", Decimal),
        reason=body.get("reason"),
        reject_reason=body.get("rejectReason"),
        pl=_optional(body, "pl", Decimal),
        financing=_optional(body, "financing", Decimal),
        commission=_optional(body, "commission", Decimal),
        half_spread_cost=_optional(body, "halfSpreadCost", Decimal),
        account_balance=_optional(body, "accountBalance", Decimal),
        trade_opened=_trade_part(body["tradeOpened"]) if "tradeOpened" in body else None,
        trade_reduced=_trade_part(body["tradeReduced"]) if "tradeReduced" in body else None,
        trades_closed=tuple(_trade_part(part) for part in body.get("tradesClosed", ())),
        raw=body,
    )


def decode_account(body: JSON) -> AccountSnapshot:
    """A full account or a summary."""
    return AccountSnapshot(
        account_id=body["id"],
        currency=body["currency"],
        balance=Decimal(body["balance"]),
        nav=Decimal(body["NAV"]),
        pl=Decimal(body["pl"]),
        unrealized_pl=Decimal(body["unrealizedPL"]),
        margin_used=Decimal(body["marginUsed"]),
        margin_available=Decimal(body["marginAvailable"]),
        open_trade_count=int(body["openTradeCount"]),
        open_position_count=int(body["openPositionCount"]),
        pending_order_count=int(body["pendingOrderCount"]),
        hedging_enabled=bool(body.get("hedgingEnabled", False)),
        last_transaction_id=int(body["lastTransactionID"]),
        positions=tuple(decode_position(position) for position in body.get("positions", ())),
        trades=tuple(decode_trade(trade) for trade in body.get("trades", ())),
        raw=body,
    )


def decode_changes(body: JSON) -> AccountChanges:
    """The reply of the changes endpoint."""
    changes, state = body["changes"], body["state"]
    return AccountChanges(
        transactions=tuple(decode_transaction(item) for item in changes["transactions"]),
        trades_opened=tuple(decode_trade(item) for item in changes["tradesOpened"]),
        trades_reduced=tuple(decode_trade(item) for item in changes["tradesReduced"]),
        trades_closed=tuple(decode_trade(item) for item in changes["tradesClosed"]),
        positions=tuple(decode_position(item) for item in changes["positions"]),
        nav=Decimal(state["NAV"]),
        unrealized_pl=Decimal(state["unrealizedPL"]),
        margin_used=Decimal(state["marginUsed"]),
        last_transaction_id=int(body["lastTransactionID"]),
        raw=body,
    )


def decode_order_result(body: JSON, request_id: str | None, prefix: str = "") -> OrderResult:
    """The reply to an order; ``prefix`` is "long" or "short" in replies to a position close."""

    def part(name: str) -> Transaction | None:
        key = f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name
        return decode_transaction(body[key]) if key in body else None

    return OrderResult(
        create=part("orderCreateTransaction"),
        fill=part("orderFillTransaction"),
        cancel=part("orderCancelTransaction"),
        related_transaction_ids=tuple(int(item) for item in body.get("relatedTransactionIDs", ())),
        last_transaction_id=int(body["lastTransactionID"]),
        request_id=request_id,
        raw=body,
    )
