"""Every answer against OANDA's own specification, unknown fields refused."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from swt_broker.records import OrderRequest
from swt_data.bars import Bars
from swt_live.practice.faults import Fault

jsonschema = pytest.importorskip("jsonschema")

_TIME = re.compile(r"0|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z|\d+\.\d{9}")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
# Fields that the live API has grown since the specification of 2018 (seen in recorded answers).
_NEWER = {
    "OrderFillTransaction": {"requestedUnits", "quotePL"},
    "OrderCancelTransaction": {"closedTradeID", "tradeCloseTransactionID"},
    "Account": {"guaranteedStopLossOrderMode"},
    "Instrument": {"guaranteedStopLossOrderMode", "tags", "financing"},
    "ClientPrice": {"timestamp"},
}


class Specification:
    """Validates bodies against ``v20.json`` with polymorphic transactions and orders resolved by type."""

    def __init__(self, path: Path) -> None:
        self._document = json.loads(path.read_text())
        definitions = self._document["definitions"]
        for name, definition in definitions.items():
            if definition.get("type") == "object" and "properties" in definition:
                definition["additionalProperties"] = False
                for newer in _NEWER.get(name, ()):
                    definition["properties"][newer] = {}
        self._polymorphic = {name: definitions[name] for name in ("Transaction", "Order")}
        for name in self._polymorphic:
            definitions[name] = {"type": "object"}
        self._checker = jsonschema.FormatChecker(formats=())
        for text in set(_formats(self._document)):
            if "RFC 3339" in text:
                self._checker.checks(text)(lambda value: bool(_TIME.fullmatch(value)))
            elif "decimal number" in text:
                self._checker.checks(text)(lambda value: bool(_DECIMAL.fullmatch(value)))

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        operation = self._document["paths"][path][method.lower()]
        assert str(status) in operation["responses"], f"{method} {path} may not answer {status}"
        response = operation["responses"][str(status)]
        if "$ref" in response:
            response = self._document["responses"][response["$ref"].rsplit("/", 1)[1]]
        schema = copy.copy(response["schema"]) | {"additionalProperties": False}
        # The specification forgets these two in some of the replies that carry transactions.
        always = {"lastTransactionID": {"type": "string"}, "relatedTransactionIDs": {"type": "array"}}
        schema["properties"] = always | schema["properties"]
        self._validate(body, schema)
        self._walk(body)

    def _validate(self, body: Any, schema: dict[str, Any]) -> None:
        whole = schema | {"definitions": self._document["definitions"]}
        jsonschema.Draft4Validator(whole, format_checker=self._checker).validate(body)

    def _walk(self, value: Any) -> None:
        """Each transaction and order against the definition that its type names."""
        if isinstance(value, list):
            for item in value:
                self._walk(item)
        if not isinstance(value, dict):
            return
        kind = value.get("type")
        words = "".join(word.title() for word in str(kind).split("_"))
        if "accountID" in value and kind:
            self._validate(value, {"$ref": f"#/definitions/{words}Transaction"})
        elif "createTime" in value and "state" in value:
            self._validate(value, {"$ref": f"#/definitions/{words}Order"})
        for item in value.values():
            self._walk(item)


def _formats(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("format"), str) and value.get("type") == "string":
            yield value["format"]
        for item in value.values():
            yield from _formats(item)
    elif isinstance(value, list):
        for item in value:
            yield from _formats(item)


@pytest.fixture(scope="module")
def specification(oanda_dir: Path) -> Specification:
    return Specification(oanda_dir / "spec" / "v20.json")


READS = [
    ("/accounts", {}, 200),
    ("/accounts/{accountID}", {}, 200),
    ("/accounts/{accountID}/summary", {}, 200),
    ("/accounts/{accountID}/instruments", {"instruments": "GBP_JPY"}, 200),
    ("/accounts/{accountID}/instruments", {"instruments": "EUR_XXX"}, 400),
    ("/accounts/{accountID}/changes", {"sinceTransactionID": "1"}, 200),
    ("/accounts/{accountID}/changes", {"sinceTransactionID": "99999"}, 416),
    ("/instruments/{instrument}/candles", {"price": "MBA", "granularity": "M1", "count": "20"}, 200),
    ("/instruments/{instrument}/candles", {"granularity": "H4", "count": "20"}, 200),
    ("/instruments/{instrument}/candles", {"granularity": "X"}, 400),
    ("/accounts/{accountID}/instruments/{instrument}/candles", {"granularity": "M5", "price": "B"}, 200),
    ("/accounts/{accountID}/pricing", {"instruments": "GBP_JPY", "includeHomeConversions": "true"}, 200),
    ("/accounts/{accountID}/pricing", {}, 400),
    ("/accounts/{accountID}/orders", {"state": "ALL"}, 200),
    ("/accounts/{accountID}/orders", {"state": "LOST"}, 400),
    ("/accounts/{accountID}/pendingOrders", {}, 200),
    ("/accounts/{accountID}/trades", {"state": "ALL"}, 200),
    ("/accounts/{accountID}/openTrades", {}, 200),
    ("/accounts/{accountID}/positions", {}, 200),
    ("/accounts/{accountID}/openPositions", {}, 200),
    ("/accounts/{accountID}/positions/{instrument}", {}, 200),
    ("/accounts/{accountID}/transactions", {"pageSize": "3"}, 200),
    ("/accounts/{accountID}/transactions", {"pageSize": "0"}, 400),
    ("/accounts/{accountID}/transactions/idrange", {"from": "1", "to": "5"}, 200),
    ("/accounts/{accountID}/transactions/idrange", {"from": "1", "to": "9", "type": "ORDER"}, 200),
    ("/accounts/{accountID}/transactions/idrange", {"from": "9", "to": "99999"}, 416),
    ("/accounts/{accountID}/transactions/sinceid", {"id": "0"}, 200),
    ("/accounts/{accountID}/transactions/sinceid", {"id": "99999"}, 416),
    ("/accounts/{accountID}/transactions/sinceid", {}, 400),
]
ITEMS = [
    ("/accounts/{accountID}/orders/{orderSpecifier}", ("3", "@second", "999"), (200, 200, 404)),
    ("/accounts/{accountID}/trades/{tradeSpecifier}", ("4", "999"), (200, 404)),
    ("/accounts/{accountID}/transactions/{transactionID}", ("1", "2", "3", "4", "999"), (200,) * 4 + (404,)),
]


async def _history(desk: Any, bars: Bars, open_row: int) -> None:
    """An account with open, reduced and closed trades, dependent orders, cancels, rejects, financing."""
    client = desk.client
    quote = int(bars.ask_open[open_row])
    near = {
        "stop_loss_price": f"{(quote - 2000) / 1000:.3f}",
        "take_profit_price": f"{(quote + 2000) / 1000:.3f}",
    }
    await client.create_order(OrderRequest("GBP_JPY", 50, "first", tag="t", comment="c", **near))
    await client.create_order(OrderRequest("GBP_JPY", 10, "second"))
    await client.create_order(OrderRequest("GBP_JPY", -20, "third", position_fill="REDUCE_ONLY"))
    await client.create_order(OrderRequest("GBP_JPY", 1, "bounded", price_bound="1.000"))
    await desk.advance(float(bars.time_s[open_row]) + 90_000)


async def test_every_read_is_as_specified(
    open_desk: Any, specification: Specification, bars: Bars, open_row: int
) -> None:
    async with open_desk() as desk:
        await _history(desk, bars, open_row)
        account = desk.server.settings.account_id
        for template, params, status in READS:
            url = "/v3" + template.replace("{accountID}", account).replace("{instrument}", "GBP_JPY")
            reply = await desk.http.get(url, params=params)
            assert reply.status_code == status, (url, reply.text)
            specification.check("GET", template, status, reply.json())
            unix = await desk.http.get(url, params=params, headers={"Accept-Datetime-Format": "UNIX"})
            assert "T00:" not in unix.text
            specification.check("GET", template, status, unix.json())
        for template, names, statuses in ITEMS:
            for name, status in zip(names, statuses, strict=True):
                url = "/v3" + re.sub(r"\{\w+\}$", name, template.replace("{accountID}", account))
                reply = await desk.http.get(url)
                assert reply.status_code == status, (url, reply.text)
                specification.check("GET", template, status, reply.json())


async def test_every_write_is_as_specified(
    open_desk: Any, specification: Specification, bars: Bars, open_row: int
) -> None:
    async with open_desk() as desk:
        await _history(desk, bars, open_row)
        account = desk.server.settings.account_id
        root = "/accounts/{accountID}"
        stop = {"price": f"{int(bars.bid_open[open_row]) / 1000 - 3:.3f}", "timeInForce": "GTC"}

        async def write(method: str, template: str, name: str, body: Any, status: int) -> Any:
            url = "/v3" + template.replace("{accountID}", account)
            url = re.sub(r"\{(instrument|\w+Specifier)\}", name, url)
            reply = await desk.http.request(method, url, json=body)
            assert reply.status_code == status, (url, reply.text)
            specification.check(method, template, status, reply.json())
            return reply.json()

        orders, trades = f"{root}/orders", f"{root}/trades/{{tradeSpecifier}}"
        order = {"type": "MARKET", "instrument": "GBP_JPY", "units": "7"}
        named = order | {"tradeClientExtensions": {"id": "mine"}, "stopLossOnFill": stop}
        fill = (await write("POST", orders, "", {"order": named}, 201))["orderFillTransaction"]
        trade = fill["tradeOpened"]["tradeID"]
        await write("POST", orders, "", {"order": named}, 201)  # the trade's client id exists
        await write("POST", orders, "", {"order": order | {"units": "0"}}, 400)
        for kind in ("LIMIT", "STOP", "MARKET_IF_TOUCHED"):
            waiting = order | {"type": kind, "price": "100.000", "timeInForce": "GTC"}
            refused = await write("POST", orders, "", {"order": waiting}, 400)
            assert refused["errorCode"] == "PENDING_ORDERS_ALLOWED_EXCEEDED"
            assert refused["orderRejectTransaction"]["type"] == f"{kind}_ORDER_REJECT"
        trailing = {"type": "TRAILING_STOP_LOSS", "tradeID": trade, "distance": "1.000"}
        await write("POST", orders, "", {"order": trailing}, 400)
        await write("POST", orders, "", {"order": {"type": "NONSENSE"}}, 400)
        extensions = {"clientExtensions": {"id": "other", "tag": "x"}}
        await write("PUT", f"{trades}/clientExtensions", trade, extensions, 200)
        await write("PUT", f"{trades}/clientExtensions", trade, {}, 400)
        await write("PUT", f"{trades}/orders", trade, {"stopLoss": stop}, 200)
        reply = await write("PUT", f"{trades}/orders", "@other", {"takeProfit": {"price": "999.000"}}, 200)
        take_profit = reply["takeProfitOrderTransaction"]["id"]
        await write("PUT", f"{trades}/orders", trade, {"stopLoss": None}, 200)
        await write("PUT", f"{trades}/orders", trade, {"stopLoss": {"price": "1.23456"}}, 400)
        item = f"{orders}/{{orderSpecifier}}"
        await write("PUT", f"{item}/clientExtensions", take_profit, extensions, 200)
        await write("PUT", f"{item}/cancel", take_profit, None, 200)
        await write("PUT", f"{item}/cancel", take_profit, None, 404)
        profit = {"type": "TAKE_PROFIT", "tradeID": trade, "price": "999.000"}
        first = await write("POST", orders, "", {"order": profit}, 201)
        await write("POST", orders, "", {"order": profit}, 400)
        await write("POST", orders, "", {"order": profit | {"tradeID": "99999"}}, 404)
        old = first["orderCreateTransaction"]["id"]
        second = await write("PUT", item, old, {"order": profit | {"price": "998.000"}}, 201)
        assert (
            second["orderCancelTransaction"]["replacedByOrderID"] == (second["orderCreateTransaction"]["id"])
        )
        await write("PUT", item, old, {"order": profit}, 404)
        new = second["orderCreateTransaction"]["id"]
        await write("PUT", item, new, {"order": profit | {"price": "9.99999"}}, 400)
        await write("PUT", item, new, {"order": profit | {"type": "STOP_LOSS"}}, 400)
        await write("PUT", f"{trades}/close", trade, {"units": "3"}, 200)
        await write("PUT", f"{trades}/close", trade, {"units": "300"}, 400)
        await write("PUT", f"{trades}/close", trade, {"units": "ALL"}, 200)
        await write("PUT", f"{trades}/close", trade, {}, 404)
        close = f"{root}/positions/{{instrument}}/close"
        await write("PUT", close, "GBP_JPY", {"longUnits": "ALL", "shortUnits": "ALL"}, 404)
        await write("PUT", close, "GBP_JPY", {"longUnits": "5"}, 200)
        await write("PUT", close, "GBP_JPY", {"longUnits": "5000000"}, 400)
        await write("PUT", close, "GBP_JPY", {}, 400)
        await write("PUT", close, "GBP_JPY", {"longUnits": "ALL"}, 200)
        await write("PATCH", f"{root}/configuration", "", {"alias": "mine", "marginRate": "0.1"}, 200)
        await write("PATCH", f"{root}/configuration", "", {"marginRate": "many"}, 400)
        log = await desk.http.get(f"/v3/accounts/{account}/transactions/sinceid", params={"id": "0"})
        specification.check("GET", f"{root}/transactions/sinceid", 200, log.json())


async def test_errors_are_as_specified(open_desk: Any, specification: Specification) -> None:
    async with open_desk() as desk:
        account = desk.server.settings.account_id
        path = "/accounts/{accountID}/openPositions"
        url = "/v3" + path.replace("{accountID}", account)
        reply = await desk.http.get(url, headers={"Authorization": "Bearer wrong"})
        specification.check("GET", path, 401, reply.json())
        reply = await desk.http.post(url)
        specification.check("GET", path, 405, reply.json())
        desk.server.faults.add(Fault("status", status=404))
        specification.check("GET", path, 404, (await desk.http.get(url)).json())
        assert (await desk.http.get("/v3/accounts/101-001-9-001/summary")).status_code == 403


async def test_stream_lines_are_as_specified(
    open_desk: Any, specification: Specification, bars: Bars, open_row: int
) -> None:
    async with (
        open_desk() as desk,
        desk.client.price_stream(["GBP_JPY"]) as prices,
        desk.client.transaction_stream() as transactions,
    ):
        await desk.client.create_order(OrderRequest("GBP_JPY", 1, "a"))
        await desk.advance(float(bars.time_s[open_row]) + 60)
        for stream, kind in ((prices, "ClientPrice"), (transactions, None)):
            for _ in range(3):
                body = dict((await anext(stream)).raw)
                if body["type"] == "HEARTBEAT":
                    name = "TransactionHeartbeat" if kind is None else "PricingHeartbeat"
                    specification._validate(body, {"$ref": f"#/definitions/{name}"})
                elif kind is not None:
                    specification._validate(body, {"$ref": f"#/definitions/{kind}"})
                specification._walk(body)


# Prices of the past by instrument and books of other people's orders: see docs/practice_server.md.
NOT_SERVED = {
    "/instruments/{instrument}/price",
    "/instruments/{instrument}/price/range",
    "/instruments/{instrument}/orderBook",
    "/instruments/{instrument}/positionBook",
    "/pricing",
    "/pricing/range",
}


async def test_every_specified_endpoint_is_served_or_named_as_not(
    open_desk: Any, specification: Specification
) -> None:
    async with open_desk() as desk:
        account, missing = desk.server.settings.account_id, set()
        for template, operations in specification._document["paths"].items():
            if "stream" in template:
                continue
            path = template.replace("{accountID}", account).replace("{instrument}", "GBP_JPY")
            path = path.replace("{userSpecifier}", "@")
            for method in operations.keys() & {"get", "put", "post", "patch"}:
                url = "/v3" + re.sub(r"\{\w+\}", "1", path)
                reply = await desk.http.request(method.upper(), url, json={} if method != "get" else None)
                if reply.status_code == 405 or reply.json().get("errorMessage") == "Not Found":
                    missing.add(template)
        assert missing == NOT_SERVED
        reply = await desk.http.get("/v3/users/@")
        specification.check("GET", "/users/{userSpecifier}", 200, reply.json())
        reply = await desk.http.get("/v3/users/1/externalInfo")
        specification.check("GET", "/users/{userSpecifier}/externalInfo", 200, reply.json())


def test_the_checker_bites(specification: Specification) -> None:
    good = {"positions": [], "lastTransactionID": "1"}
    specification.check("GET", "/accounts/{accountID}/openPositions", 200, good)
    for bad in (
        good | {"lastTransactionID": 1},
        good | {"surprise": 1},
        good | {"positions": [{"pl": "many"}]},
        good | {"positions": [{"gain": "1"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            specification.check("GET", "/accounts/{accountID}/openPositions", 200, bad)
