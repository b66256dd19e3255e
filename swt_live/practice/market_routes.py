"""Endpoints that read the market: instruments, candles, pricing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from swt_broker.times import format_time, parse_time
from swt_live.practice.candles import candles, parse_query
from swt_live.practice.exchange import Exchange
from swt_live.practice.http import Replies, StreamBody, wants_unix
from swt_live.practice.refusal import Refusal
from swt_live.practice.transactions import JSONObject

_ACCOUNT = "/v3/accounts/{account}"


class MarketRoutes:
    """Handlers over one exchange."""

    def __init__(self, exchange: Exchange, replies: Replies) -> None:
        self._exchange = exchange
        self._replies = replies

    def routes(self) -> list[Route]:
        return [
            Route("/v3/instruments/{instrument}/candles", self.candles),
            Route(f"{_ACCOUNT}/instruments/{{instrument}}/candles", self.candles),
            Route(f"{_ACCOUNT}/candles/latest", self.latest_candles),
            Route(f"{_ACCOUNT}/instruments", self.instruments),
            Route(f"{_ACCOUNT}/pricing", self.pricing),
            Route(f"{_ACCOUNT}/pricing/stream", self.price_stream),
        ]

    async def candles(self, request: Request) -> Response:
        name = request.path_params["instrument"]
        self._check_names(name)
        query = parse_query(request.query_params)
        body = {
            "instrument": name,
            "granularity": query.granularity,
            "candles": candles(self._exchange.market, query),
        }
        return self._replies.json(request, body)

    async def latest_candles(self, request: Request) -> Response:
        found: list[JSONObject] = []
        for item in request.query_params.get("candleSpecifications", "").split(","):
            try:
                name, granularity, sides = item.split(":")
            except ValueError:
                raise Refusal.bad_value("candleSpecifications") from None
            self._check_names(name)
            query = parse_query({"granularity": granularity, "price": sides, "count": "2"})
            found.append(
                {
                    "instrument": name,
                    "granularity": granularity,
                    "candles": candles(self._exchange.market, query),
                }
            )
        return self._replies.json(request, {"latestCandles": found})

    async def instruments(self, request: Request) -> Response:
        names = request.query_params.get("instruments")
        if names is not None:
            self._check_names(*names.split(","))
        body = {
            "instruments": [self._exchange.quotes.instrument()],
            "lastTransactionID": str(self._exchange.account.log.last_id),
        }
        return self._replies.json(request, body)

    async def pricing(self, request: Request) -> Response:
        self._check_names(*self._required_names(request))
        price = self._exchange.current_price(units_available=True)
        prices = [] if price is None else [price]
        since = request.query_params.get("since")
        if since is not None:
            try:
                since_s = parse_time(since)
            except ValueError:
                raise Refusal.bad_value("since") from None
            prices = [item for item in prices if parse_time(item["time"]) > since_s]
        body: JSONObject = {"prices": prices, "time": format_time(self._exchange.now_s)}
        if request.query_params.get("includeHomeConversions", "false").lower() == "true":
            body["homeConversions"] = self._exchange.quotes.home_conversions()
        return self._replies.json(request, body)

    async def price_stream(self, request: Request) -> Response:
        self._check_names(*self._required_names(request))
        snapshot = request.query_params.get("snapshot", "true").lower() != "false"
        subscription = self._exchange.open_price_stream(snapshot=snapshot, as_unix=wants_unix(request))
        return StreamBody(subscription, self._exchange)

    def _required_names(self, request: Request) -> list[str]:
        names = request.query_params.get("instruments", "")
        if not names:
            raise Refusal.bad_value("instruments")
        return names.split(",")

    def _check_names(self, *names: str) -> None:
        if any(name != self._exchange.instrument.name for name in names):
            raise Refusal.bad_value("instrument")
