"""Endpoints that read the account: accounts, changes, trades, positions, transactions; configuration."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from swt_broker.times import parse_time
from swt_live.practice.exchange import Exchange
from swt_live.practice.http import Replies, StreamBody, json_body, wants_unix
from swt_live.practice.refusal import Refusal
from swt_live.practice.transactions import JSONObject

T = TypeVar("T")
_ACCOUNT = "/v3/accounts/{account}"
_MAXIMUM_PAGE = 1000


class AccountRoutes:
    """Handlers over one exchange."""

    def __init__(self, exchange: Exchange, replies: Replies) -> None:
        self._exchange = exchange
        self._account = exchange.account
        self._views = exchange.views
        self._replies = replies

    def routes(self) -> list[Route]:
        return [
            Route("/v3/accounts", self.accounts),
            Route("/v3/users/{user}", self.user),
            Route("/v3/users/{user}/externalInfo", self.user_outside),
            Route(_ACCOUNT, self.account),
            Route(f"{_ACCOUNT}/summary", self.summary),
            Route(f"{_ACCOUNT}/changes", self.changes),
            Route(f"{_ACCOUNT}/configuration", self.configure, methods=["PATCH"]),
            Route(f"{_ACCOUNT}/positions", self.positions),
            Route(f"{_ACCOUNT}/openPositions", self.open_positions),
            Route(f"{_ACCOUNT}/positions/{{instrument}}", self.position),
            Route(f"{_ACCOUNT}/trades", self.trades),
            Route(f"{_ACCOUNT}/openTrades", self.open_trades),
            Route(f"{_ACCOUNT}/trades/{{trade}}", self.trade),
            Route(f"{_ACCOUNT}/transactions", self.pages),
            Route(f"{_ACCOUNT}/transactions/idrange", self.id_range),
            Route(f"{_ACCOUNT}/transactions/sinceid", self.since_id),
            Route(f"{_ACCOUNT}/transactions/stream", self.stream),
            Route(f"{_ACCOUNT}/transactions/{{transaction}}", self.transaction),
        ]

    def _answer(self, request: Request, **body: object) -> Response:
        return self._replies.json(request, body | {"lastTransactionID": str(self._account.log.last_id)})

    async def accounts(self, request: Request) -> Response:
        accounts = [{"id": self._account.settings.account_id, "tags": []}]
        return self._replies.json(request, {"accounts": accounts})

    async def user(self, request: Request) -> Response:
        user = {"username": "practice", "userID": self._user_id(request), "country": "ZZ", "emailAddress": ""}
        return self._replies.json(request, {"userInfo": user})

    async def user_outside(self, request: Request) -> Response:
        user = {"userID": self._user_id(request), "country": "ZZ", "FIFO": False}
        return self._replies.json(request, {"userInfo": user})

    def _user_id(self, request: Request) -> int:
        own = self._account.settings.user_id
        if request.path_params["user"] not in ("@", str(own)):
            raise Refusal(403, "The provided request was forbidden.")
        return own

    async def account(self, request: Request) -> Response:
        return self._answer(request, account=self._views.details())

    async def summary(self, request: Request) -> Response:
        return self._answer(request, account=self._views.summary())

    async def changes(self, request: Request) -> Response:
        since = self._transaction_id(request, "sinceTransactionID", least=0)
        return self._answer(request, **self._views.changes(since))

    async def configure(self, request: Request) -> Response:
        """Alias and margin rate."""
        body = await json_body(request)
        account = self._account
        account.log.begin_batch(self._replies.request_id(request))
        alias, rate = body.get("alias"), body.get("marginRate")
        if rate is not None:
            try:
                valid = 0 < Decimal(str(rate)) <= 1
            except InvalidOperation:
                valid = False
            if not valid:
                reject = account.log.add(
                    self._exchange.now_s,
                    "CLIENT_CONFIGURE_REJECT",
                    alias=alias,
                    rejectReason="MARGIN_RATE_INVALID",
                )
                raise Refusal(
                    400,
                    "The margin rate provided is invalid",
                    "MARGIN_RATE_INVALID",
                    clientConfigureRejectTransaction=reject,
                    lastTransactionID=reject["id"],
                )
            account.set_margin_rate(Decimal(str(rate)))
        if alias is not None:
            account.alias = str(alias)
        entry = account.log.add(self._exchange.now_s, "CLIENT_CONFIGURE", alias=alias, marginRate=rate)
        return self._answer(request, clientConfigureTransaction=entry)

    # Positions and trades ---------------------------------------------------------------------------

    async def positions(self, request: Request) -> Response:
        return self._answer(request, positions=self._views.positions())

    async def open_positions(self, request: Request) -> Response:
        return self._answer(request, positions=self._views.open_positions())

    async def position(self, request: Request) -> Response:
        if request.path_params["instrument"] != self._exchange.instrument.name:
            raise Refusal.bad_value("instrument")
        if not self._account.trades:
            raise Refusal(404, "The Position specified does not exist", "NO_SUCH_POSITION")
        return self._answer(request, position=self._views.position())

    async def trades(self, request: Request) -> Response:
        state = request.query_params.get("state", "OPEN")
        if state not in ("OPEN", "CLOSED", "CLOSE_WHEN_TRADEABLE", "ALL"):
            raise Refusal.bad_value("state")
        chosen = [
            trade
            for trade in reversed(self._account.trades.values())
            if state == "ALL" or (state == "OPEN") == trade.is_open
        ]
        if state == "CLOSE_WHEN_TRADEABLE":
            chosen = []
        selected = select(request, chosen, [str(trade.trade_id) for trade in chosen])
        return self._answer(request, trades=[self._views.trade(trade) for trade in selected])

    async def open_trades(self, request: Request) -> Response:
        trades = [self._views.trade(trade) for trade in reversed(self._account.open_trades)]
        return self._answer(request, trades=trades)

    async def trade(self, request: Request) -> Response:
        specifier = request.path_params["trade"]
        trade = self._account.trade_by(specifier)
        hidden = self._exchange.faults.take("reply", self._exchange.now_s, f"trade {specifier}", "not_found")
        if trade is None or hidden:
            raise Refusal(404, "The trade ID specified does not exist", "NO_SUCH_TRADE")
        return self._answer(request, trade=self._views.trade(trade))

    # Transactions -----------------------------------------------------------------------------------

    async def pages(self, request: Request) -> Response:
        log, params = self._account.log, request.query_params
        try:
            from_s = parse_time(params["from"]) if "from" in params else self._account.created_s
            to_s = parse_time(params["to"]) if "to" in params else self._exchange.now_s
            size = int(params.get("pageSize", "100"))
        except ValueError:
            raise Refusal(400, "Invalid value specified for 'from', 'to' or 'pageSize'") from None
        if not 1 <= size <= _MAXIMUM_PAGE:
            raise Refusal.bad_value("pageSize")
        ids = [i + 1 for i, time_s in enumerate(log.times_s) if from_s <= time_s <= to_s]
        base = f"{request.base_url}v3/accounts/{self._account.settings.account_id}/transactions/idrange"
        extra = f"&type={params['type']}" if "type" in params else ""
        pages = [
            f"{base}?from={ids[k]}&to={ids[min(k + size, len(ids)) - 1]}{extra}"
            for k in range(0, len(ids), size)
        ]
        body: JSONObject = {
            "from": params.get("from", _first_time(log.entries)),
            "to": params.get("to", log.entries[-1]["time"]),
            "pageSize": size,
            "count": len(ids),
            "pages": pages,
        }
        if "type" in params:
            body["type"] = params["type"].split(",")
        return self._answer(request, **body)

    async def id_range(self, request: Request) -> Response:
        first = self._transaction_id(request, "from", least=1)
        last = self._transaction_id(request, "to", least=1)
        if last < first:
            raise Refusal(416, "The requested transaction range is invalid", "INVALID_RANGE")
        entries = self._account.log.entries[first - 1 : last]
        wanted = request.query_params.get("type")
        if wanted is not None:
            kinds = set(wanted.split(","))
            entries = [item for item in entries if _is_of(item["type"], kinds)]
        return self._answer(request, transactions=entries)

    async def since_id(self, request: Request) -> Response:
        entries = self._account.log.since(self._transaction_id(request, "id", least=0))[:_MAXIMUM_PAGE]
        fault = self._exchange.faults.take("reply", self._exchange.now_s, "sinceid", "truncated")
        if fault is not None:
            entries = entries[: fault.units]
        return self._answer(request, transactions=entries)

    async def stream(self, request: Request) -> Response:
        subscription = self._exchange.streams.open("transactions", as_unix=wants_unix(request))
        return StreamBody(subscription, self._exchange)

    async def transaction(self, request: Request) -> Response:
        specifier = request.path_params["transaction"]
        if not specifier.isdecimal() or not 1 <= int(specifier) <= self._account.log.last_id:
            raise Refusal(404, "The transaction ID specified does not exist", "NO_SUCH_TRANSACTION")
        return self._answer(request, transaction=self._account.log.entries[int(specifier) - 1])

    def _transaction_id(self, request: Request, name: str, *, least: int) -> int:
        text = request.query_params.get(name, "")
        if not text.isdecimal():
            raise Refusal.bad_value(name)
        if not least <= int(text) <= self._account.log.last_id:
            raise Refusal(416, "The requested transaction range is invalid", "INVALID_RANGE")
        return int(text)


def select(request: Request, items: list[T], ids: Iterable[str]) -> list[T]:
    """The items (newest first) that ``ids``, ``beforeID`` and ``count`` (default 50) ask for."""
    params = request.query_params
    chosen = list(zip(ids, items, strict=True))
    if "ids" in params:
        wanted = set(params["ids"].split(","))
        chosen = [(key, item) for key, item in chosen if key in wanted]
    try:
        if "beforeID" in params:
            before = int(params["beforeID"])
            chosen = [(key, item) for key, item in chosen if int(key) < before]
        count = int(params.get("count", "50"))
    except ValueError:
        raise Refusal.bad_value("count") from None
    if not 1 <= count <= 500:
        raise Refusal.bad_value("count")
    return [item for _, item in chosen[:count]]


def _first_time(entries: list[JSONObject]) -> str:
    return str(entries[0]["time"])


def _is_of(kind: str, wanted: set[str]) -> bool:
    groups = {"ORDER": "ORDER" in kind, "FUNDING": kind.startswith("TRANSFER_FUNDS")}
    groups["ADMIN"] = kind in ("CREATE", "CLOSE", "REOPEN", "CLIENT_CONFIGURE", "CLIENT_CONFIGURE_REJECT")
    return kind in wanted or any(groups.get(name, False) for name in wanted)
