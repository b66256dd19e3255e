"""OANDA's JSON: candles as the API answers them, and recorded lines of the price stream."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.importing.series import RawSeries, Side, broken
from swt_data.importing.zones import UTC_ZONE

_US = 1_000_000
_LETTERS = "ohlc"


def oanda_candles(path: Path, responses: Sequence[Any], instrument: Instrument) -> RawSeries:
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


def oanda_stream(path: Path, text: str, instrument: Instrument) -> RawSeries:
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
