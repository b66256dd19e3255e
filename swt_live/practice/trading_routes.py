"""Endpoints that trade: orders, closing trades, dependent orders."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from swt_live.practice.account import OpenTrade
from swt_live.practice.account_routes import select
from swt_live.practice.closing import at_fill_time
from swt_live.practice.exchange import Exchange
from swt_live.practice.execution import Execution
from swt_live.practice.http import Replies, json_body
from swt_live.practice.orders import (
    MarketOrder,
    OrderRejected,
    check_extensions,
    check_market_order,
    check_units,
    dependent_price,
    echo,
)
from swt_live.practice.pending import check_dependent, check_kind
from swt_live.practice.pending import echo as pending_echo
from swt_live.practice.refusal import Refusal, sentence
from swt_live.practice.transactions import JSONObject

_ACCOUNT = "/v3/accounts/{account}"


class TradingRoutes:
    """Handlers over one exchange. Each write is one batch of transactions."""

    def __init__(self, exchange: Exchange, replies: Replies) -> None:
        self._exchange = exchange
        self._account = exchange.account
        self._replies = replies

    def routes(self) -> list[Route]:
        order, trade = f"{_ACCOUNT}/orders/{{order}}", f"{_ACCOUNT}/trades/{{trade}}"
        return [
            Route(f"{_ACCOUNT}/orders", self.create, methods=["POST"]),
            Route(f"{_ACCOUNT}/orders", self.orders, methods=["GET"]),
            Route(f"{_ACCOUNT}/pendingOrders", self.pending_orders),
            Route(order, self.order, methods=["GET"]),
            Route(order, self.replace, methods=["PUT"]),
            Route(f"{order}/cancel", self.cancel, methods=["PUT"]),
            Route(f"{order}/clientExtensions", self.extend_order, methods=["PUT"]),
            Route(f"{trade}/close", self.close_trade, methods=["PUT"]),
            Route(f"{trade}/clientExtensions", self.extend_trade, methods=["PUT"]),
            Route(f"{trade}/orders", self.dependent_orders, methods=["PUT"]),
        ]

    # Orders ----------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        body = (await json_body(request)).get("order")
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid value specified for 'order'")
        if body.get("type", "MARKET") != "MARKET":
            return self._create_dependent(request, body)
        fault = self._exchange.faults.take("order", self._exchange.now_s)
        try:
            if fault is not None:
                raise OrderRejected(fault.reason)
            order = check_market_order(body, self._exchange.instrument)
            self._check_client_id(order.client_extensions)
        except OrderRejected as error:
            raise self._rejection(request, error.reason, "CLIENT_ORDER", echo(body)) from None
        self._exchange.reach_fill_time()
        execution = self._exchange.engine.execute(order, self._replies.request_id(request))
        location = f"{request.url.path}/{execution.create['id']}"
        return self._replies.json(request, self._outcome(execution), 201, {"Location": location})

    def _create_dependent(self, request: Request, body: JSONObject) -> Response:
        """A take-profit or stop-loss on a trade; other orders that wait are refused."""
        kind = check_kind(body)
        try:
            wanted = check_dependent(body, self._account)
            self._check_client_id(wanted.client_extensions)
        except OrderRejected as error:
            raise self._pending_rejection(request, kind, error.reason, body) from None
        first = self._account.log.begin_batch(self._replies.request_id(request))
        entry = self._exchange.engine.attach(
            wanted.trade, kind, wanted.points, "CLIENT_ORDER", wanted.client_extensions
        )
        reply = {"orderCreateTransaction": entry, **self._batch(first)}
        return self._replies.json(request, reply, 201, {"Location": f"{request.url.path}/{entry['id']}"})

    async def replace(self, request: Request) -> Response:
        """Another take-profit or stop-loss in the place of one that waits."""
        body = (await json_body(request)).get("order")
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid value specified for 'order'")
        specifier = request.path_params["order"]
        old = self._account.order_by(specifier)
        if old is None or old["state"] != "PENDING":
            raise self._cancel_rejection(request, specifier)
        old_id = int(old["id"])
        kind = check_kind(body)
        try:
            wanted = check_dependent(body, self._account, replaces=old_id)
            if kind != old["type"]:
                raise OrderRejected("REPLACING_ORDER_INVALID")
            if str(wanted.trade.trade_id) != old["tradeID"]:
                raise OrderRejected("REPLACING_TRADE_ID_INVALID")
        except OrderRejected as error:
            raise self._pending_rejection(request, kind, error.reason, body, old_id) from None
        first = self._account.log.begin_batch(self._replies.request_id(request))
        # The cancellation comes first, the new order right after it.
        cancel = self._exchange.engine.cancel_order(old, "CLIENT_REQUEST_REPLACED", replaced_by=first + 1)
        entry = self._exchange.engine.attach(
            wanted.trade, kind, wanted.points, "REPLACEMENT", wanted.client_extensions, replaces=old_id
        )
        reply = {"orderCancelTransaction": cancel, "orderCreateTransaction": entry, **self._batch(first)}
        return self._replies.json(request, reply, 201, {"Location": f"{request.url.path}/{entry['id']}"})

    async def orders(self, request: Request) -> Response:
        state = request.query_params.get("state", "PENDING")
        if state not in ("PENDING", "FILLED", "TRIGGERED", "CANCELLED", "ALL"):
            raise Refusal.bad_value("state")
        chosen = [
            order for order in reversed(self._account.orders.values()) if state in ("ALL", order["state"])
        ]
        selected = select(request, chosen, [order["id"] for order in chosen])
        return self._replies.json(request, {"orders": selected, **self._last()})

    async def pending_orders(self, request: Request) -> Response:
        return self._replies.json(request, {"orders": self._exchange.views.pending_orders(), **self._last()})

    async def order(self, request: Request) -> Response:
        specifier = request.path_params["order"]
        order = self._account.order_by(specifier)
        hidden = self._exchange.faults.take("reply", self._exchange.now_s, f"order {specifier}", "not_found")
        if order is None or hidden:
            raise Refusal(404, "The order ID specified does not exist", "NO_SUCH_ORDER")
        return self._replies.json(request, {"order": order, **self._last()})

    async def cancel(self, request: Request) -> Response:
        specifier = request.path_params["order"]
        order = self._account.order_by(specifier)
        if order is None or order["state"] != "PENDING":
            raise self._cancel_rejection(request, specifier)
        first = self._account.log.begin_batch(self._replies.request_id(request))
        entry = self._exchange.engine.cancel_order(order)
        return self._replies.json(request, {"orderCancelTransaction": entry, **self._batch(first)})

    async def extend_order(self, request: Request) -> Response:
        order = self._account.order_by(request.path_params["order"])
        if order is None or order["state"] != "PENDING":
            raise Refusal(404, "The Order specified does not exist", "ORDER_DOESNT_EXIST")
        extensions = self._extensions(await json_body(request), "CLIENT_ORDER")
        first = self._account.log.begin_batch(self._replies.request_id(request))
        entry = self._account.log.add(
            self._exchange.now_s,
            "ORDER_CLIENT_EXTENSIONS_MODIFY",
            orderID=order["id"],
            clientExtensionsModify=extensions,
        )
        order["clientExtensions"] = order.get("clientExtensions", {}) | extensions
        body = {"orderClientExtensionsModifyTransaction": entry, **self._batch(first)}
        return self._replies.json(request, body)

    # Trades ----------------------------------------------------------------------------------------

    async def close_trade(self, request: Request) -> Response:
        wanted = (await json_body(request) if await request.body() else {}).get("units", "ALL")
        specifier = request.path_params["trade"]

        def closing() -> MarketOrder:
            trade = self._account.trade_by(specifier)
            if trade is None or not trade.is_open:
                raise OrderRejected("TRADE_DOESNT_EXIST")
            units = abs(trade.units) if wanted == "ALL" else check_units(wanted, self._exchange.instrument)
            if units < 0:
                raise OrderRejected("UNITS_INVALID")
            if units > abs(trade.units):
                raise OrderRejected("CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE")
            return MarketOrder(
                instrument=self._exchange.instrument.name,
                units=-units if trade.units > 0 else units,
                position_fill="REDUCE_ONLY",
                reason="TRADE_CLOSE",
                fill_reason="MARKET_ORDER_TRADE_CLOSE",
                closing={"tradeClose": {"tradeID": str(trade.trade_id), "units": str(wanted)}},
                only_trade_id=trade.trade_id,
            )

        try:
            order = at_fill_time(self._exchange, closing)
        except OrderRejected as error:
            fields: JSONObject = {
                "instrument": self._exchange.instrument.name,
                "timeInForce": "FOK",
                "positionFill": "REDUCE_ONLY",
                "tradeClose": {"tradeID": specifier, "units": str(wanted)},
            }
            status = 404 if error.reason == "TRADE_DOESNT_EXIST" else 400
            raise self._rejection(request, error.reason, "TRADE_CLOSE", fields, status) from None
        execution = self._exchange.engine.execute(order, self._replies.request_id(request))
        return self._replies.json(request, self._outcome(execution))

    async def extend_trade(self, request: Request) -> Response:
        trade = self._open_trade(request)
        extensions = self._extensions(await json_body(request), "CLIENT_TRADE")
        first = self._account.log.begin_batch(self._replies.request_id(request))
        entry = self._account.log.add(
            self._exchange.now_s,
            "TRADE_CLIENT_EXTENSIONS_MODIFY",
            tradeID=str(trade.trade_id),
            tradeClientExtensionsModify=extensions,
        )
        trade.client_extensions = (trade.client_extensions or {}) | extensions
        body = {"tradeClientExtensionsModifyTransaction": entry, **self._batch(first)}
        return self._replies.json(request, body)

    async def dependent_orders(self, request: Request) -> Response:
        """Set, replace or (with null) cancel a trade's take-profit and stop-loss."""
        body = await json_body(request)
        trade = self._open_trade(request)
        kinds = {"takeProfit": "TAKE_PROFIT", "stopLoss": "STOP_LOSS"}
        try:
            prices = {
                name: dependent_price(body[name], self._exchange.instrument, f"{kind}_ON_FILL")
                for name, kind in kinds.items()
                if name in body
            }
        except OrderRejected as error:
            raise Refusal(400, sentence(error.reason), error.reason, **self._last()) from None
        first = self._account.log.begin_batch(self._replies.request_id(request))
        reply: JSONObject = {}
        for name, points in prices.items():
            old = trade.take_profit_id if name == "takeProfit" else trade.stop_loss_id
            if old is not None:
                reason = "CLIENT_REQUEST" if points is None else "CLIENT_REQUEST_REPLACED"
                reply[f"{name}OrderCancelTransaction"] = self._exchange.engine.cancel_order(
                    self._account.orders[old], reason
                )
            if points is not None:
                reason = "CLIENT_ORDER" if old is None else "REPLACEMENT"
                extensions = body[name].get("clientExtensions")
                reply[f"{name}OrderTransaction"] = self._exchange.engine.attach(
                    trade, kinds[name], points, reason, extensions
                )
        return self._replies.json(request, reply | self._batch(first))

    # Shared ----------------------------------------------------------------------------------------

    def _open_trade(self, request: Request) -> OpenTrade:
        trade = self._account.trade_by(request.path_params["trade"])
        if trade is None or not trade.is_open:
            raise Refusal(404, "The Trade specified does not exist", "NO_SUCH_TRADE", **self._last())
        return trade

    def _extensions(self, body: JSONObject, prefix: str) -> JSONObject:
        try:
            extensions = check_extensions(body.get("clientExtensions"), prefix)
        except OrderRejected as error:
            raise Refusal(400, sentence(error.reason), error.reason, **self._last()) from None
        if not extensions:
            raise Refusal(400, sentence("CLIENT_EXTENSIONS_DATA_MISSING"), "CLIENT_EXTENSIONS_DATA_MISSING")
        return extensions

    def _check_client_id(self, extensions: JSONObject | None) -> None:
        client_id = (extensions or {}).get("id")
        pending = (self._account.orders[order_id] for order_id in self._account.pending_ids)
        if client_id is not None and any(
            order.get("clientExtensions", {}).get("id") == client_id for order in pending
        ):
            raise OrderRejected("CLIENT_ORDER_ID_ALREADY_EXISTS")

    def _rejection(
        self, request: Request, code: str, reason: str, fields: JSONObject, status: int = 400
    ) -> Refusal:
        first = self._account.log.begin_batch(self._replies.request_id(request))
        reject = self._account.log.add(
            self._exchange.now_s, "MARKET_ORDER_REJECT", reason=reason, rejectReason=code, **fields
        )
        return Refusal(status, sentence(code), code, orderRejectTransaction=reject, **self._batch(first))

    def _cancel_rejection(self, request: Request, specifier: str) -> Refusal:
        first = self._account.log.begin_batch(self._replies.request_id(request))
        fields = {"clientOrderID": specifier[1:]} if specifier.startswith("@") else {"orderID": specifier}
        reject = self._account.log.add(
            self._exchange.now_s, "ORDER_CANCEL_REJECT", rejectReason="ORDER_DOESNT_EXIST", **fields
        )
        return Refusal(
            404,
            "The Order specified does not exist",
            "ORDER_DOESNT_EXIST",
            orderCancelRejectTransaction=reject,
            **self._batch(first),
        )

    def _pending_rejection(
        self, request: Request, kind: str, code: str, body: JSONObject, replaces: int | None = None
    ) -> Refusal:
        first = self._account.log.begin_batch(self._replies.request_id(request))
        reject = self._account.log.add(
            self._exchange.now_s,
            f"{kind}_ORDER_REJECT",
            reason="CLIENT_ORDER" if replaces is None else "REPLACEMENT",
            rejectReason=code,
            intendedReplacesOrderID=None if replaces is None else str(replaces),
            **pending_echo(body),
        )
        status = 404 if code == "TRADE_DOESNT_EXIST" and replaces is None else 400
        return Refusal(status, sentence(code), code, orderRejectTransaction=reject, **self._batch(first))

    def _outcome(self, execution: Execution) -> JSONObject:
        parts = {
            "orderCreateTransaction": execution.create,
            "orderFillTransaction": execution.fill,
            "orderCancelTransaction": execution.cancel,
        }
        found = {key: value for key, value in parts.items() if value is not None}
        return found | self._batch(execution.first_id)

    def _batch(self, first_id: int) -> JSONObject:
        return {"relatedTransactionIDs": self._account.log.related(first_id), **self._last()}

    def _last(self) -> JSONObject:
        return {"lastTransactionID": str(self._account.log.last_id)}
