"""Checking an order as the broker does, before it becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from swt_core.instruments import Instrument
from swt_live.practice.refusal import Refusal

JSONObject = dict[str, Any]
POSITION_FILLS = ("DEFAULT", "OPEN_ONLY", "REDUCE_FIRST", "REDUCE_ONLY")
_ECHOED = (
    "instrument",
    "units",
    "timeInForce",
    "priceBound",
    "positionFill",
    "clientExtensions",
    "takeProfitOnFill",
    "stopLossOnFill",
    "tradeClientExtensions",
)


class OrderRejected(Exception):
    """The order breaks a rule; ``reason`` is the broker's rejectReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class MarketOrder:
    """A checked market order; prices in points.

    Attributes:
        reason, fill_reason: why it exists and what its fill will say.
        closing: the closing details that its transaction carries (tradeClose, ...).
        only_trade_id: a trade close touches this trade alone.
    """

    instrument: str
    units: int
    time_in_force: str = "FOK"
    position_fill: str = "DEFAULT"
    price_bound: int | None = None
    client_extensions: JSONObject | None = None
    trade_client_extensions: JSONObject | None = None
    take_profit: int | None = None
    stop_loss: int | None = None
    take_profit_extensions: JSONObject | None = None
    stop_loss_extensions: JSONObject | None = None
    reason: str = "CLIENT_ORDER"
    fill_reason: str = "MARKET_ORDER"
    closing: JSONObject | None = None
    only_trade_id: int | None = None


def echo(body: JSONObject) -> JSONObject:
    """The fields of a request that its (reject) transaction repeats."""
    return {key: body[key] for key in _ECHOED if key in body}


def check_market_order(body: JSONObject, instrument: Instrument) -> MarketOrder:
    """A checked order.

    Raises:
        OrderRejected: with the broker's reason.
        Refusal: a value that is not a number.
    """
    if not body.get("instrument"):
        raise OrderRejected("INSTRUMENT_MISSING")
    if body["instrument"] != instrument.name:
        raise OrderRejected("INSTRUMENT_UNKNOWN")
    time_in_force = body.get("timeInForce", "FOK")
    if time_in_force not in ("FOK", "IOC"):
        raise OrderRejected("TIME_IN_FORCE_INVALID")
    position_fill = body.get("positionFill", "DEFAULT")
    if position_fill not in POSITION_FILLS:
        raise OrderRejected("ORDER_FILL_POSITION_ACTION_INVALID")
    take_profit, stop_loss = body.get("takeProfitOnFill"), body.get("stopLossOnFill")
    if "trailingStopLossOnFill" in body:
        raise OrderRejected("TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_INVALID")
    return MarketOrder(
        instrument=instrument.name,
        units=check_units(body.get("units"), instrument),
        time_in_force=time_in_force,
        position_fill=position_fill,
        price_bound=_points(body.get("priceBound"), instrument, "PRICE_BOUND"),
        client_extensions=check_extensions(body.get("clientExtensions"), "CLIENT_ORDER"),
        trade_client_extensions=check_extensions(body.get("tradeClientExtensions"), "CLIENT_TRADE"),
        take_profit=dependent_price(take_profit, instrument, "TAKE_PROFIT_ON_FILL"),
        stop_loss=dependent_price(stop_loss, instrument, "STOP_LOSS_ON_FILL"),
        take_profit_extensions=(take_profit or {}).get("clientExtensions"),
        stop_loss_extensions=(stop_loss or {}).get("clientExtensions"),
    )


def check_units(value: Any, instrument: Instrument) -> int:
    """Signed whole units within the instrument's sizes."""
    if value is None:
        raise OrderRejected("UNITS_MISSING")
    units = _decimal(value, "units")
    if units == 0:
        raise OrderRejected("UNITS_INVALID")
    if units != units.to_integral_value():
        raise OrderRejected("UNITS_PRECISION_EXCEEDED")
    if abs(units) < instrument.minimum_trade_size:
        raise OrderRejected("UNITS_MIMIMUM_NOT_MET")
    if abs(units) > instrument.maximum_order_units:
        raise OrderRejected("UNITS_LIMIT_EXCEEDED")
    return int(units)


def check_extensions(extensions: JSONObject | None, prefix: str) -> JSONObject | None:
    """Client extensions within the broker's lengths (128 characters)."""
    if extensions is None:
        return None
    for key in ("id", "tag", "comment"):
        value = extensions.get(key)
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 128):
            raise OrderRejected(f"{prefix}_{key.upper()}_INVALID")
    return {key: extensions[key] for key in ("id", "tag", "comment") if extensions.get(key) is not None}


def dependent_price(details: JSONObject | None, instrument: Instrument, prefix: str) -> int | None:
    """The price of a take-profit or stop-loss, in points."""
    if details is None:
        return None
    if details.get("price") is None:
        raise OrderRejected(f"{prefix}_PRICE_MISSING" if "TAKE" in prefix else f"{prefix}_PRICE_INVALID")
    if details.get("timeInForce", "GTC") != "GTC":
        raise OrderRejected(f"{prefix}_TIME_IN_FORCE_INVALID")
    return _points(details["price"], instrument, f"{prefix}_PRICE")


def _points(value: Any, instrument: Instrument, prefix: str) -> int | None:
    if value is None:
        return None
    price = _decimal(value, "price")
    if price <= 0:
        raise OrderRejected(f"{prefix}_INVALID")
    scaled = price.scaleb(instrument.display_precision)
    if scaled != scaled.to_integral_value():
        raise OrderRejected(f"{prefix}_PRECISION_EXCEEDED")
    return int(scaled)


def _decimal(value: Any, name: str) -> Decimal:
    # What is no number never becomes an order, not even a rejected one.
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Refusal.bad_value(name) from None
    if not number.is_finite():
        raise Refusal.bad_value(name)
    return number
