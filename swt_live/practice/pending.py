"""Orders that wait: which kinds this account takes, and how the others are refused.

A take-profit and a stop-loss of an open trade are served. Entry orders that wait in the book (LIMIT, STOP,
MARKET_IF_TOUCHED) and trailing stops are refused as an account that may have none of them refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swt_live.practice.account import Account, OpenTrade
from swt_live.practice.orders import OrderRejected, check_extensions, dependent_price
from swt_live.practice.refusal import Refusal
from swt_live.practice.transactions import JSONObject

ENTRY_KINDS: Final = ("LIMIT", "STOP", "MARKET_IF_TOUCHED")
DEPENDENT_KINDS: Final = ("TAKE_PROFIT", "STOP_LOSS")
_ECHOED: Final = {
    **dict.fromkeys(
        ENTRY_KINDS,
        (
            "instrument",
            "units",
            "price",
            "timeInForce",
            "gtdTime",
            "positionFill",
            "triggerCondition",
            "clientExtensions",
            "takeProfitOnFill",
            "stopLossOnFill",
            "tradeClientExtensions",
        ),
    ),
    **dict.fromkeys(
        (*DEPENDENT_KINDS, "TRAILING_STOP_LOSS"),
        (
            "tradeID",
            "clientTradeID",
            "price",
            "distance",
            "timeInForce",
            "gtdTime",
            "triggerCondition",
            "clientExtensions",
        ),
    ),
}


@dataclass(frozen=True)
class DependentOrder:
    """A checked take-profit or stop-loss."""

    kind: str
    trade: OpenTrade
    points: int
    client_extensions: JSONObject | None


def echo(body: JSONObject) -> JSONObject:
    """The fields of a request that its reject transaction repeats."""
    return {key: body[key] for key in _ECHOED[str(body["type"])] if key in body}


def check_kind(body: JSONObject) -> str:
    """The kind of an order that waits.

    Raises:
        Refusal: there is no such kind of order.
    """
    kind = str(body.get("type"))
    if kind not in _ECHOED:
        raise Refusal.bad_value("order.type")
    return kind


def check_dependent(body: JSONObject, account: Account, *, replaces: int | None = None) -> DependentOrder:
    """A take-profit or stop-loss that may be attached to its trade.

    Args:
        replaces: the order of the same kind that makes room for it.

    Raises:
        OrderRejected: with the broker's reason, also for kinds that this account may not have.
    """
    kind = check_kind(body)
    if kind not in DEPENDENT_KINDS:
        raise OrderRejected("PENDING_ORDERS_ALLOWED_EXCEEDED")
    client_id = body.get("clientTradeID")
    trade = account.trade_by(str(body.get("tradeID") or (f"@{client_id}" if client_id else "")))
    if trade is None or not trade.is_open:
        raise OrderRejected("TRADE_DOESNT_EXIST")
    there = trade.take_profit_id if kind == "TAKE_PROFIT" else trade.stop_loss_id
    if there is not None and there != replaces:
        raise OrderRejected(f"{kind}_ORDER_ALREADY_EXISTS")
    if body.get("price") is None:
        raise OrderRejected("PRICE_MISSING")
    if body.get("timeInForce", "GTC") != "GTC":
        raise OrderRejected("TIME_IN_FORCE_INVALID")
    try:
        points = dependent_price({"price": body["price"]}, account.instrument, kind)
    except OrderRejected as error:
        raise OrderRejected(error.reason.removeprefix(f"{kind}_")) from None
    assert points is not None
    return DependentOrder(kind, trade, points, check_extensions(body.get("clientExtensions"), "CLIENT_ORDER"))
