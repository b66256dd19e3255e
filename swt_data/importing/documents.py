"""Formats that are not delimited text: OANDA's and Dukascopy's JSON, Dukascopy's bi5, LEAN's zip."""

from __future__ import annotations

import io
import json
import lzma
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.importing.series import Float64, Int64, RawSeries, Side, broken, side_of_name
from swt_data.importing.zones import UTC_ZONE

_US = 1_000_000
_LETTERS = "ohlc"


def read_json(path: Path, instrument: Instrument) -> RawSeries:
    """OANDA candles (also `latestCandles`), OANDA price stream lines, or Dukascopy's delta-coded bars.

    Raises:
        DataError: it is none of these, or holds nothing of this instrument.
    """
    text = path.read_text(encoding="utf-8")
    try:
        document: Any = json.loads(text)
    except ValueError:
        return _oanda_stream(path, text, instrument)
    if isinstance(document, dict):
        if "candles" in document:
            return _oanda_candles(path, [document], instrument)
        if "latestCandles" in document:
            return _oanda_candles(path, document["latestCandles"], instrument)
        if {"timestamp", "multiplier", "times", "opens"} <= document.keys():
            return _dukascopy_json(path, document)
        if document.get("type") == "PRICE":
            return _oanda_stream(path, text, instrument)
        raise broken(path, "the document", ", ".join(document), "OANDA candles or Dukascopy bars")
    raise broken(path, "the document", type(document).__name__, "an object with candles or bars")


def read_bi5(path: Path, instrument: Instrument) -> RawSeries:
    """Dukascopy's LZMA binaries, ticks of an hour or minute candles of a day; the path tells the date.

    The path is ``YYYY/MM/DD/HHh_ticks.bi5`` or ``…/BID_candles_min_1.bi5``; its month counts from 0.

    Raises:
        DataError: the path or the content is of another kind.
    """
    place = re.search(
        r"(\d{4})/(\d\d)/(\d\d)/(?:(\d\d)h_ticks|(BID|ASK)_candles_min_1)\.bi5$", path.resolve().as_posix()
    )
    if place is None:
        raise broken(path, "the path", path.name, "…/YYYY/MM/DD/HHh_ticks.bi5, which tells the date")
    year, month, day, hour, side = place.groups()
    start = datetime(int(year), int(month) + 1, int(day), int(hour or 0), tzinfo=UTC)
    start_us = int(start.timestamp()) * _US
    try:
        content = lzma.decompress(path.read_bytes())
    except (lzma.LZMAError, EOFError) as error:
        raise broken(path, "the compressed stream", error, "whole LZMA data") from error
    scale = 10.0**-instrument.display_precision
    if hour is not None:
        record = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("av", ">f4"), ("bv", ">f4")])
    else:
        names = ("s", "open", "close", "low", "high")
        record = np.dtype([*((name, ">u4") for name in names), ("volume", ">f4")])
    if not content or len(content) % record.itemsize:
        raise broken(path, "the content", f"{len(content)} bytes", f"records of {record.itemsize} bytes")
    rows = np.frombuffer(content, record)
    lines = np.arange(1, len(rows) + 1, dtype=np.int64)
    if hour is not None:
        bid, ask = (np.repeat(rows[name][:, None] * scale, 4, axis=1) for name in ("bid", "ask"))
        stamp_us = start_us + rows["ms"].astype(np.int64) * 1000
        zeros = np.zeros(len(rows))
        return RawSeries(
            path, "Dukascopy bi5 ticks", "both", True, stamp_us, bid, ask, zeros, lines, UTC_ZONE
        )
    price = np.stack([rows[name] * scale for name in ("open", "high", "low", "close")], axis=1)
    stamp_us = start_us + rows["s"].astype(np.int64) * _US
    volume = rows["volume"].astype(np.float64)
    which: Side = "ask" if side == "ASK" else "bid"
    return RawSeries(
        path, "Dukascopy bi5 candles", which, False, stamp_us, price, None, volume, lines, UTC_ZONE
    )


def read_lean_zip(path: Path) -> RawSeries:
    """LEAN's quote bars of one day: milliseconds since midnight, bid and ask; the name tells the date.

    Raises:
        DataError: a member is named or laid out otherwise.
    """
    stamps, rows, lines = [], [], []
    with _open_zip(path) as archive:
        for member in archive.namelist():
            name = re.fullmatch(r"(\d{8})_\w+_(?:minute|second)_quote\.csv", member)
            if name is None:
                raise broken(path, "a member", member, "YYYYMMDD_symbol_minute_quote.csv")
            day = datetime.strptime(name[1], "%Y%m%d").replace(tzinfo=UTC)
            for number, line in enumerate(archive.read(member).decode().splitlines(), 1):
                try:
                    values = [float(field) for field in line.split(",")]
                except ValueError:
                    values = []
                if len(values) != 11:
                    raise broken(path, f"{member} line {number}", line, "time and five values a side")
                stamps.append(int(day.timestamp()) * _US + int(values[0]) * 1000)
                rows.append(values)
                lines.append(number)
    if not rows:
        raise broken(path, "the archive", "no rows", "at least one bar")
    table = np.array(rows)
    return RawSeries(
        path,
        "LEAN quote bars",
        "both",
        False,
        np.array(stamps, np.int64),
        table[:, 1:5],
        table[:, 6:10],
        np.zeros(len(table)),
        np.array(lines, np.int64),
    )


def is_lean_zip(path: Path) -> bool:
    """Whether a zip holds LEAN quote bars."""
    with _open_zip(path) as archive:
        return any(name.endswith("_quote.csv") for name in archive.namelist())


def only_table_in(path: Path) -> tuple[str, bytes]:
    """Name and bytes of the one table in a zip; status reports beside it are left.

    Raises:
        DataError: there is none, or more than one.
    """
    with _open_zip(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if len(names) != 1:
            raise broken(path, "the archive", ", ".join(archive.namelist()), "one CSV file")
        try:
            return names[0], archive.read(names[0])
        except (zipfile.BadZipFile, EOFError) as error:
            raise broken(path, names[0], error, "a whole archive") from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    except zipfile.BadZipFile as error:
        raise broken(path, "the archive", error, "a whole zip file") from error


def _oanda_candles(path: Path, responses: Sequence[Any], instrument: Instrument) -> RawSeries:
    """Complete candles of the pair, finest granularity, bid and ask joined where both are there."""
    own = [
        response
        for response in responses
        if str(response.get("instrument", "")).replace("/", "_") == instrument.name
    ]
    if not own:
        names = sorted({str(response.get("instrument")) for response in responses})
        raise DataError(
            f"{path}: holds candles of {', '.join(names)}, not of {instrument.name}",
            remedy="say --set data.instrument=…",
        )
    finest = min((str(response.get("granularity")) for response in own), key=_granularity_s)
    found: dict[str, dict[str, Any]] = {}
    for response in own:
        if response.get("granularity") == finest:
            for candle in response["candles"]:
                if candle.get("complete", True):
                    found.setdefault(candle["time"], {}).update(candle)
    sides = next(
        (s for s in (("bid", "ask"), ("mid",), ("bid",), ("ask",)) if _all_have(found, s)),
        None,
    )
    if sides is None:
        raise broken(path, "the candles", "no complete candle with prices", "mid, or bid and ask")
    times = sorted(found)
    prices = []
    for side in sides:
        try:
            prices.append(np.array([[float(found[t][side][letter]) for letter in _LETTERS] for t in times]))
        except (KeyError, ValueError) as error:
            raise broken(path, f"a candle's {side}", error, "o, h, l and c") from error
    which: Side = "both" if len(sides) == 2 else "mid" if sides == ("mid",) else _one_side(sides[0])
    return RawSeries(
        path,
        f"OANDA candles {finest}",
        which,
        False,
        np.array([_iso_us(path, t) for t in times], np.int64),
        prices[0],
        prices[1] if len(sides) == 2 else None,
        np.array([float(found[t].get("volume", 0)) for t in times]),
        np.arange(1, len(times) + 1, dtype=np.int64),
        UTC_ZONE,
    )


def _one_side(name: str) -> Side:
    return "ask" if name == "ask" else "bid"


def _all_have(found: dict[str, dict[str, Any]], sides: tuple[str, ...]) -> bool:
    return bool(found) and all(side in candle for candle in found.values() for side in sides)


def _granularity_s(granularity: str) -> int:
    unit = {"S": 1, "M": 60, "H": 3600, "D": 86_400, "W": 604_800}.get(granularity[:1], 0)
    return unit * int(granularity[1:] or 1) if granularity != "M" else 2_592_000


def _iso_us(path: Path, text: str) -> int:
    """RFC 3339 with nanoseconds, or epoch seconds, as microseconds."""
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return int(text.split(".")[0]) * _US
        head, _, fraction = text.rstrip("Z").partition(".")
        whole = int(datetime.fromisoformat(head).replace(tzinfo=UTC).timestamp())
        return whole * _US + int((fraction + "000000")[:6])
    except ValueError as error:
        raise broken(path, "a time", text, "2024-01-31T12:00:00.000000000Z") from error


def _oanda_stream(path: Path, text: str, instrument: Instrument) -> RawSeries:
    """Prices of the pair from a recorded stream: one JSON object a line, heartbeats between them.

    A line that a lost connection tore off is left out: it is one tick fewer, as on the wire.
    """
    stamps, quotes, lines = [], [], []
    others: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        torn = line.startswith('{"') and not line.rstrip().endswith("}")
        if not line.strip() or torn:
            continue
        try:
            message = json.loads(line)
            if message["type"] == "HEARTBEAT":
                continue
            if message["instrument"] != instrument.name:
                others.add(message["instrument"])
                continue
            quotes.append((float(message["bids"][0]["price"]), float(message["asks"][0]["price"])))
            stamps.append(_iso_us(path, message["time"]))
            lines.append(number)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise broken(path, f"line {number}", line, "a PRICE or HEARTBEAT message") from error
    if not quotes:
        raise DataError(
            f"{path}: holds no prices of {instrument.name}"
            + (f", but of {', '.join(sorted(others))}" if others else ""),
            remedy="say --set data.instrument=…",
        )
    table = np.array(quotes)
    return RawSeries(
        path,
        "OANDA price stream",
        "both",
        True,
        np.array(stamps, np.int64),
        np.repeat(table[:, :1], 4, axis=1),
        np.repeat(table[:, 1:], 4, axis=1),
        np.zeros(len(table)),
        np.array(lines, np.int64),
        UTC_ZONE,
    )


def _dukascopy_json(path: Path, document: dict[str, Any]) -> RawSeries:
    """Bars coded as differences: each value adds ``multiplier`` times its step to the one before."""
    try:
        step_us = int(document["shift"]) * 1000
        times = np.cumsum(np.array(document["times"], np.int64))
        stamp_us: Int64 = int(document["timestamp"]) * 1000 + times * step_us
        names = (("open", "opens"), ("high", "highs"), ("low", "lows"), ("close", "closes"))
        price: Float64 = np.stack(
            [
                float(document[first])
                + float(document["multiplier"]) * np.cumsum(np.array(document[steps], np.int64))
                for first, steps in names
            ],
            axis=1,
        )
        volume = np.array(document["volumes"], np.float64)
        if not len(stamp_us) == len(price) == len(volume) > 0:
            raise ValueError(f"{len(stamp_us)} times, {len(price)} prices, {len(volume)} volumes")
    except (KeyError, ValueError, TypeError) as error:
        raise broken(path, "the document", error, "Dukascopy's times, opens … volumes") from error
    lines = np.arange(1, len(stamp_us) + 1, dtype=np.int64)
    side = side_of_name(path)
    return RawSeries(path, "Dukascopy JSON", side, False, stamp_us, price, None, volume, lines, UTC_ZONE)
