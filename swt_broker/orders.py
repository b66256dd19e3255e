"""Order bodies, built from v20's own entities so that field names are OANDA's."""

from __future__ import annotations

from typing import Any

from v20.order import MarketOrderRequest
from v20.transaction import ClientExtensions, StopLossDetails, TakeProfitDetails

from swt_broker.records import OrderRequest


def market_order_body(order: OrderRequest) -> dict[str, Any]:
    """The JSON body of ``POST /orders``: every number a string, absent fields left out."""
    request = MarketOrderRequest(
        instrument=order.instrument,
        units=str(order.units),
        timeInForce=order.time_in_force,
        positionFill=order.position_fill,
        priceBound=order.price_bound,
        clientExtensions=ClientExtensions(id=order.client_id, tag=order.tag, comment=order.comment),
        takeProfitOnFill=None
        if order.take_profit_price is None
        else TakeProfitDetails(price=order.take_profit_price, timeInForce="GTC"),
        stopLossOnFill=None
        if order.stop_loss_price is None
        else StopLossDetails(price=order.stop_loss_price, timeInForce="GTC"),
    )
    return {"order": request.dict()}
