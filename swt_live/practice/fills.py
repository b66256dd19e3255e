"""The ORDER_FILL transaction: what was filled, at what price, against which trades."""

from __future__ import annotations

from dataclasses import dataclass

from swt_broker.times import format_time
from swt_live.practice.account import ZERO, Account, Close, OpenTrade
from swt_live.practice.ticks import Tick
from swt_live.practice.transactions import JSONObject


@dataclass(frozen=True)
class Fill:
    """One fill, already applied to the account; units are signed, prices points."""

    reason: str
    requested: int
    units: int
    points: int
    tick: Tick
    closes: list[Close]
    opened: OpenTrade | None


def log_fill(account: Account, now_s: float, order: JSONObject, fill: Fill) -> JSONObject:
    """Append the fill of ``order`` to the account's log."""
    tick, price = fill.tick, str(account.price(fill.points))
    closed = [_reduction(close, price) for close in fill.closes if not close.trade.is_open]
    reduced = [_reduction(close, price) for close in fill.closes if close.trade.is_open]
    liquidity = account.settings.liquidity_units
    bid, ask = str(account.price(tick.bid)), str(account.price(tick.ask))
    quote_pl = sum((account.price(fill.points - c.trade.price) * -c.units for c in fill.closes), ZERO)
    entry = account.log.add(
        now_s,
        "ORDER_FILL",
        orderID=order["id"],
        clientOrderID=order.get("clientExtensions", {}).get("id"),
        instrument=account.instrument.name,
        units=str(fill.units),
        requestedUnits=str(fill.requested),
        price=price,
        fullVWAP=price,
        fullPrice={
            "closeoutBid": bid,
            "closeoutAsk": ask,
            "timestamp": format_time(tick.time_s),
            "bids": [{"price": bid, "liquidity": liquidity}],
            "asks": [{"price": ask, "liquidity": liquidity}],
        },
        reason=fill.reason,
        pl=str(sum((close.realized for close in fill.closes), ZERO)),
        quotePL=str(quote_pl),
        financing="0.0000",
        commission="0.0000",
        guaranteedExecutionFee="0.0000",
        accountBalance=str(account.balance),
        gainQuoteHomeConversionFactor=str(account.conversion.gain),
        lossQuoteHomeConversionFactor=str(account.conversion.loss),
        halfSpreadCost=str(account.half_spread_cost(fill.units, tick)),
        tradeOpened=_opening(account, fill, price),
        tradesClosed=closed or None,
        tradeReduced=reduced[0] if reduced else None,
    )
    account.position_touched_id = int(entry["id"])
    return entry


def _reduction(close: Close, price: str) -> JSONObject:
    return {
        "tradeID": str(close.trade.trade_id),
        "units": str(close.units),
        "price": price,
        "realizedPL": str(close.realized),
        "financing": "0.0000",
        "guaranteedExecutionFee": "0.0000",
        "halfSpreadCost": str(close.half_spread),
    }


def _opening(account: Account, fill: Fill, price: str) -> JSONObject | None:
    if fill.opened is None:
        return None
    body: JSONObject = {
        "tradeID": str(fill.opened.trade_id),
        "units": str(fill.opened.units),
        "price": price,
        "guaranteedExecutionFee": "0.0000",
        "halfSpreadCost": str(account.half_spread_cost(fill.opened.units, fill.tick)),
        "initialMarginRequired": str(fill.opened.initial_margin),
    }
    if fill.opened.client_extensions:
        body["clientExtensions"] = fill.opened.client_extensions
    return body
