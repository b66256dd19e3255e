"""Formats that are not delimited text: JSON, Dukascopy's bi5, LEAN's zip."""

from __future__ import annotations

import io
import json
import lzma
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from swt_core.instruments import Instrument
from swt_data.importing.oanda import oanda_candles, oanda_stream
from swt_data.importing.series import Float64, Int64, RawSeries, Side, broken, side_of_name
from swt_data.importing.zones import UTC_ZONE

_US = 1_000_000


def read_json(path: Path, instrument: Instrument) -> RawSeries:
    """OANDA candles (also `latestCandles`), OANDA price stream lines, or Dukascopy's delta-coded bars.

    Raises:
        DataError: it is none of these, or holds nothing of this instrument.
    """
    text = path.read_text(encoding="utf-8")
    try:
        document: Any = json.loads(text)
    except ValueError:
        return oanda_stream(path, text, instrument)
    if isinstance(document, dict):
        if "candles" in document:
            return oanda_candles(path, [document], instrument)
        if "latestCandles" in document:
            return oanda_candles(path, document["latestCandles"], instrument)
        if {"timestamp", "multiplier", "times", "opens"} <= document.keys():
            return _dukascopy_json(path, document)
        if document.get("type") == "PRICE":
            return oanda_stream(path, text, instrument)
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
