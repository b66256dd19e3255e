"""Closing positions: one or both sides, whole or in part."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from swt_live.practice.closing import at_fill_time
from swt_live.practice.exchange import Exchange
from swt_live.practice.http import Replies, json_body
from swt_live.practice.orders import MarketOrder, OrderRejected, check_units
from swt_live.practice.refusal import Refusal, sentence
from swt_live.practice.transactions import JSONObject


class PositionRoutes:
    """Handlers over one exchange."""

    def __init__(self, exchange: Exchange, replies: Replies) -> None:
        self._exchange = exchange
        self._account = exchange.account
        self._replies = replies

    def routes(self) -> list[Route]:
        path = "/v3/accounts/{account}/positions/{instrument}/close"
        return [Route(path, self.close_position, methods=["PUT"])]

    async def close_position(self, request: Request) -> Response:
        body = await json_body(request)
        name = self._exchange.instrument.name
        if request.path_params["instrument"] != name:
            raise Refusal.bad_value("instrument")
        wanted = {
            side: str(body[f"{side}Units"])
            for side in ("long", "short")
            if body.get(f"{side}Units", "NONE") != "NONE"
        }
        if not wanted:
            raise self._position_rejection(
                request, {"long": "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION"}, {}
            )

        def closing() -> list[tuple[str, MarketOrder]]:
            held = self._account.units
            sizes = {"long": max(held, 0), "short": max(-held, 0)}
            reasons = {side: self._closeout_problem(sizes[side], units) for side, units in wanted.items()}
            if any(reasons.values()):
                raise _CloseoutRejected(
                    {side: reason or "CLOSEOUT_POSITION_REJECT" for side, reason in reasons.items()}, sizes
                )
            return [
                (side, self._closeout(side, sizes[side] if units == "ALL" else int(units), units, body))
                for side, units in wanted.items()
            ]

        try:
            orders = at_fill_time(self._exchange, closing)
        except _CloseoutRejected as error:
            raise self._position_rejection(request, error.reasons, wanted, error.sizes) from None
        first = self._account.log.begin_batch(self._replies.request_id(request))
        reply: JSONObject = {}
        for side, order in orders:
            execution = self._exchange.engine.execute(order, self._replies.request_id(request), batch=first)
            parts = {"Create": execution.create, "Fill": execution.fill, "Cancel": execution.cancel}
            reply |= {f"{side}Order{k}Transaction": v for k, v in parts.items() if v is not None}
        return self._replies.json(request, reply | self._batch(first))

    def _closeout_problem(self, held: int, units: str) -> str | None:
        if not held:
            return "CLOSEOUT_POSITION_DOESNT_EXIST"
        if units == "ALL":
            return None
        try:
            number = check_units(units, self._exchange.instrument)
        except OrderRejected as error:
            return error.reason
        if number < 0:
            return "UNITS_INVALID"
        return "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE" if number > held else None

    def _closeout(self, side: str, units: int, asked: str, body: JSONObject) -> MarketOrder:
        name = self._exchange.instrument.name
        return MarketOrder(
            instrument=name,
            units=-units if side == "long" else units,
            position_fill="REDUCE_ONLY",
            client_extensions=body.get(f"{side}ClientExtensions"),
            reason="POSITION_CLOSEOUT",
            fill_reason="MARKET_ORDER_POSITION_CLOSEOUT",
            closing={f"{side}PositionCloseout": {"instrument": name, "units": asked}},
        )

    def _position_rejection(
        self,
        request: Request,
        reasons: dict[str, str],
        wanted: dict[str, str],
        sizes: dict[str, int] | None = None,
    ) -> Refusal:
        """Naming a side that cannot be closed rejects both, as the broker does."""
        first = self._account.log.begin_batch(self._replies.request_id(request))
        name = self._exchange.instrument.name
        body: JSONObject = {}
        for side, reason in reasons.items():
            held = (sizes or {}).get(side, 0)
            closeout = {"instrument": name, "units": wanted.get(side, "NONE")}
            body[f"{side}OrderRejectTransaction"] = self._account.log.add(
                self._exchange.now_s,
                "MARKET_ORDER_REJECT",
                instrument=name,
                units=str(-held if side == "long" else held) if held else None,
                timeInForce="FOK",
                positionFill="REDUCE_ONLY",
                reason="POSITION_CLOSEOUT",
                rejectReason=reason,
                **{f"{side}PositionCloseout": closeout},
            )
        code = next(
            (r for r in reasons.values() if r != "CLOSEOUT_POSITION_REJECT"), "CLOSEOUT_POSITION_REJECT"
        )
        status = 404 if code == "CLOSEOUT_POSITION_DOESNT_EXIST" else 400
        return Refusal(status, sentence(code), code, **body, **self._batch(first))

    def _batch(self, first_id: int) -> JSONObject:
        log = self._account.log
        return {"relatedTransactionIDs": log.related(first_id), "lastTransactionID": str(log.last_id)}


class _CloseoutRejected(Exception):
    def __init__(self, reasons: dict[str, str], sizes: dict[str, int]) -> None:
        super().__init__()
        self.reasons = reasons
        self.sizes = sizes
