from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from swt_broker import decoding
from swt_broker.times import format_time, parse_time


def read(oanda_dir: Path, name: str) -> Any:
    return json.loads((oanda_dir / "fixtures" / name).read_text())


def test_a_filled_order_decodes(oanda_dir: Path) -> None:
    result = decoding.decode_order_result(read(oanda_dir, "oanda-client/order/market_order.json"), "rid")
    assert result.filled
    assert result.filled_units == 1000
    assert result.price == Decimal("1.16555")
    assert result.create is not None
    assert result.create.client_order_id == "id"


def test_a_halted_market_decodes_as_cancelled(oanda_dir: Path) -> None:
    body = read(oanda_dir, "oanda-client/order/error/market_halted.json")
    result = decoding.decode_order_result(body, None)
    assert not result.filled
    assert result.cancel is not None
    assert result.cancel.reason == "MARKET_HALTED"


def test_a_position_close_decodes_by_side(oanda_dir: Path) -> None:
    body = read(oanda_dir, "oanda-client/position/close_position.json")
    result = decoding.decode_order_result(body, None, "long")
    assert result.filled_units == -100
    assert result.fill is not None
    assert [part.trade_id for part in result.fill.trades_closed] == [1082]
    assert result.fill.pl == Decimal("-0.0140")


def test_accounts_of_2019_and_2023_decode(oanda_dir: Path) -> None:
    old = decoding.decode_account(read(oanda_dir, "oanda-client/account/account_summary.json")["account"])
    assert (old.nav, old.currency) == (Decimal("100000.0000"), "USD")
    new = decoding.decode_account(
        read(oanda_dir, "pyfx_dispatch_oanda/GetAccount200Response.json")["account"]
    )
    assert new.currency == "AUD"
    assert new.units("EUR_USD") == 0
    full = decoding.decode_account(read(oanda_dir, "oanda-client/account/account.json")["account"])
    assert full.last_transaction_id > 0


def test_changes_decode(oanda_dir: Path) -> None:
    changes = decoding.decode_changes(read(oanda_dir, "oanda-client/account/changes.json"))
    assert changes.last_transaction_id == 1071
    assert [trade.trade_id for trade in changes.trades_closed] == [997]
    assert changes.transactions[0].is_fill


def test_every_recorded_transaction_decodes(oanda_dir: Path) -> None:
    count = 0
    for name in (
        "oanda-client/transaction/idrange.json",
        "oanda-client/transaction/sinceid.json",
        "pyfx_dispatch_oanda/GetTransactionRange200Response.json",
    ):
        for body in read(oanda_dir, name)["transactions"]:
            transaction = decoding.decode_transaction(body)
            assert transaction.transaction_id == int(body["id"])
            assert transaction.raw is body
            count += 1
    assert count > 5


def test_a_fill_of_2023_names_its_order_and_price(oanda_dir: Path) -> None:
    bodies = read(oanda_dir, "pyfx_dispatch_oanda/GetTransactionRange200Response.json")["transactions"]
    create, fill = (decoding.decode_transaction(body) for body in bodies[:2])
    assert fill.order_id == create.order_id == 533
    assert fill.batch_id == create.batch_id
    assert (fill.units, fill.requested_units, fill.price) == (-30000, -30000, Decimal("144.600"))


def test_candles_instruments_positions_and_trades_decode(oanda_dir: Path) -> None:
    body = read(oanda_dir, "pyfx_dispatch_oanda/GetInstrumentCandles200Response.json")
    for item in body["candles"]:
        decoding.decode_candle(item, body["instrument"], body["granularity"])
    instruments = read(oanda_dir, "pyfx_dispatch_oanda/GetAccountInstruments200Response.json")["instruments"]
    pair = next(d for d in map(decoding.decode_instrument, instruments) if d.name == "GBP_JPY")
    assert (pair.pip_location, pair.display_precision, pair.margin_rate) == (-2, 3, Decimal("0.05"))
    for name in ("positions", "open_positions"):
        for item in read(oanda_dir, f"oanda-client/position/{name}.json")["positions"]:
            decoding.decode_position(item)
    for name in ("trades", "open_trades"):
        for item in read(oanda_dir, f"oanda-client/trade/{name}.json")["trades"]:
            decoding.decode_trade(item)


def test_prices_decode_from_the_endpoint_and_the_stream(oanda_dir: Path) -> None:
    (body,) = read(oanda_dir, "oanda-client/pricing/pricing.json")["prices"]
    quote = decoding.decode_price(body)
    assert not quote.tradeable
    assert (quote.bid, quote.ask) == (Decimal("1.29360"), Decimal("1.29470"))
    (path,) = (oanda_dir / "fixtures" / "stream").iterdir()
    kinds = []
    for line in path.read_text().splitlines():
        try:
            event = decoding.decode_price_event(json.loads(line))
        except decoding.MALFORMED:
            kinds.append("torn")
        else:
            kinds.append(type(event).__name__)
    assert kinds.count("Price") >= 2
    assert kinds.count("Heartbeat") >= 2
    assert kinds[-1] == "torn"


def test_both_time_formats_are_read() -> None:
    assert parse_time("2019-05-19T23:39:35.572206617Z") == parse_time("1558309175.572206000")
    assert parse_time("0") == 0.0
    assert format_time(1558309175.5) == "2019-05-19T23:39:35.500000000Z"
    assert format_time(1558309175.5, "UNIX") == "1558309175.500000000"
