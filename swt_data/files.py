"""Bars in files: Parquet or CSV with mid, or bid and ask, columns.

Columns: ``time`` (timestamp, UTC, the bar's open) or ``time_s`` (epoch seconds); prices as
``open high low close`` or ``mid_o mid_h mid_l mid_c``, and ``bid_o … ask_c`` where spreads were recorded;
``volume`` where the source has one. Other publishers' files go through `swt_data.importing` first.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.clock import iso_utc
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars, Int64, bars_from_mids

Float64 = NDArray[np.float64]

_MID = ("mid_o", "mid_h", "mid_l", "mid_c")
_PLAIN = ("open", "high", "low", "close")
_BID = ("bid_o", "bid_h", "bid_l", "bid_c")
_ASK = ("ask_o", "ask_h", "ask_l", "ask_c")
_EXPECTED = "time, open, high, low, close[, volume] or time, bid_o … bid_c, ask_o … ask_c[, volume]"


def read_bars(path: Path, instrument: Instrument, spread_pips: float) -> Bars:
    """Bars of a Parquet or CSV file, sorted by time; defects are kept for the quality check to name.

    Args:
        spread_pips: round-trip spread assumed where the file has no bid and ask, rounded to an even
            number of points.

    Raises:
        DataError: the file is absent, unreadable, empty, lacks columns, has a missing or non-positive
            price, or stamps that are not whole minutes.
    """
    columns = _read_columns(path)
    time_s = _times(columns, path)
    order = np.argsort(time_s, kind="stable")
    time_s = time_s[order]
    if np.any(time_s % calendar.MINUTE_S):
        first = int(time_s[np.flatnonzero(time_s % calendar.MINUTE_S)[0]])
        raise DataError(
            f"{path}: time {iso_utc(first)} is not a whole minute: these are not one-minute bars",
            remedy="aggregate ticks or finer bars with `swt data import`",
        )
    scale = 10**instrument.display_precision
    price = {
        name: _prices(columns[name], name, path)[order]
        for name in (*_MID, *_PLAIN, *_BID, *_ASK)
        if name in columns
    }
    volume = _volume(columns, len(time_s))[order]
    if all(name in price for name in ("bid_o", "bid_c", "ask_o", "ask_c")):
        return _from_bid_ask(instrument, time_s, price, scale, volume, path)
    for names in (_PLAIN, _MID):
        if all(name in price for name in names):
            mids = np.stack([2 * _points(price[name], scale) for name in names], axis=1)
            return bars_from_mids(instrument, time_s, mids, instrument.spread_points(spread_pips), volume)
    raise DataError(f"{path}: no price columns among {', '.join(columns)}", remedy=f"expected {_EXPECTED}")


def write_bars(bars: Bars, path: Path) -> None:
    """Write bars as Parquet (or CSV by suffix), replacing the file atomically.

    Bars with recorded spreads keep bid and ask, so reading gives the same numbers back. An assumed
    spread is an assumption of the reader, and is not stored.
    """
    half = 2.0 * 10**bars.instrument.display_precision
    columns: dict[str, NDArray[np.generic]] = {"time_s": bars.time_s}
    mids = (bars.open_hp, bars.high_hp, bars.low_hp, bars.close_hp)
    columns |= {
        name: hp / half for name, hp in zip(_MID if bars.spread_recorded else _PLAIN, mids, strict=True)
    }
    if bars.spread_recorded:
        sides = {
            "bid_o": bars.bid_open,
            "bid_c": bars.bid_close,
            "ask_o": bars.ask_open,
            "ask_c": bars.ask_close,
        }
        columns |= {name: 2 * points / half for name, points in sides.items()}
    columns["volume"] = bars.volume
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    layout = "FORMAT csv, HEADER" if path.suffix == ".csv" else "FORMAT parquet, COMPRESSION zstd"
    rest = ", ".join(name for name in columns if name != "time_s")
    with duckdb.connect() as connection:
        # Registered as numpy arrays: the replacement scan needs no DataFrame.
        connection.register("bar_columns", columns)
        connection.execute("SET TimeZone = 'UTC'")
        selection = f"SELECT make_timestamptz(time_s * 1000000) AS time, {rest} FROM bar_columns"  # noqa: S608
        connection.execute(f"COPY ({selection}) TO '{_quoted(temporary)}' ({layout})")
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def _read_columns(path: Path) -> dict[str, NDArray[np.generic]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file", remedy="give the path of a Parquet or CSV file of bars")
    if path.suffix == ".parquet":
        source = f"read_parquet('{_quoted(path)}')"
    elif path.suffix in {".csv", ".gz", ".txt"}:
        source = f"read_csv('{_quoted(path)}', header=true, strict_mode=true)"
    else:
        raise DataError(
            f"{path}: {path.suffix or 'no suffix'} is neither .parquet nor .csv",
            remedy="convert it with `swt data import`",
        )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            relation = connection.sql(f"SELECT * FROM {source}")  # noqa: S608
            names = [name.lower() for name in relation.columns]
            time_column = next((name for name in names if name in {"time", "time_s"}), None)
            if time_column is None:
                raise DataError(f"{path}: no column 'time' among {', '.join(names)}", remedy=_EXPECTED)
            kind = str(relation.types[names.index(time_column)])
            if kind.startswith("TIMESTAMP"):
                seconds = f"epoch_us(CAST({time_column} AS TIMESTAMPTZ)) // 1000000"
            elif time_column == "time_s":
                seconds = "CAST(time_s AS BIGINT)"
            else:
                raise DataError(
                    f"{path}: column 'time' holds {kind}, not timestamps",
                    remedy="write times as 2025-01-31 12:00:00+00:00, or import the file",
                )
            kept = [
                name for name in names if name in {*_MID, *_PLAIN, *_BID, *_ASK} or name in {"volume", "v"}
            ]
            columns = [f"{seconds} AS time_s"] + [f"CAST({name} AS DOUBLE) AS {name}" for name in kept]
            table = connection.execute(f"SELECT {', '.join(columns)} FROM {source}").fetchnumpy()  # noqa: S608
        except duckdb.Error as error:
            raise DataError(
                f"{path}: cannot be read: {str(error).splitlines()[0]}",
                remedy=f"check that it is whole; expected columns {_EXPECTED}",
            ) from error
    if not len(table["time_s"]):
        raise DataError(f"{path}: holds no bars", remedy="give a file with at least one row")
    return {name: np.ma.asarray(table[name]) for name in table}


def _times(columns: dict[str, NDArray[np.generic]], path: Path) -> Int64:
    time = columns["time_s"]
    if np.ma.is_masked(time):
        row = int(np.flatnonzero(np.ma.getmaskarray(time))[0])
        raise DataError(f"{path}: row {row + 1} has no time", remedy="remove or repair the row")
    return np.asarray(time).astype(np.int64)


def _prices(column: NDArray[np.generic], name: str, path: Path) -> Float64:
    values = np.ma.filled(np.ma.asarray(column, np.float64), np.nan)
    bad = np.flatnonzero(~np.isfinite(values) | (values <= 0))
    if len(bad):
        raise DataError(
            f"{path}: row {int(bad[0]) + 1} has {name} = {values[bad[0]]} ({len(bad)} such rows)",
            remedy="prices are positive numbers; remove or repair these rows",
        )
    return np.asarray(values, np.float64)


def _points(price: Float64, scale: int) -> Int64:
    return np.rint(price * scale).astype(np.int64)


def _volume(columns: dict[str, NDArray[np.generic]], n: int) -> Int64:
    if "volume" not in columns:
        return np.ones(n, np.int64)
    values = np.ma.filled(np.ma.asarray(columns["volume"], np.float64), 0.0)
    return np.rint(np.nan_to_num(values)).astype(np.int64)


def _from_bid_ask(
    instrument: Instrument, time_s: Int64, price: dict[str, Float64], scale: int, volume: Int64, path: Path
) -> Bars:
    bid_open, bid_close, ask_open, ask_close = (
        _points(price[name], scale) for name in ("bid_o", "bid_c", "ask_o", "ask_c")
    )
    open_hp, close_hp = bid_open + ask_open, bid_close + ask_close
    top, bottom = np.maximum(open_hp, close_hp), np.minimum(open_hp, close_hp)
    if "mid_h" in price and "mid_l" in price:
        high_hp, low_hp = (np.rint(2 * scale * price[name]).astype(np.int64) for name in ("mid_h", "mid_l"))
        # A published mid is rounded to the displayed precision: up to one point off the exact mean.
        high_hp = np.where((high_hp < top) & (high_hp >= top - 2), top, high_hp)
        low_hp = np.where((low_hp > bottom) & (low_hp <= bottom + 2), bottom, low_hp)
    elif all(name in price for name in ("bid_h", "bid_l", "ask_h", "ask_l")):
        high_hp = _points(price["bid_h"], scale) + _points(price["ask_h"], scale)
        low_hp = _points(price["bid_l"], scale) + _points(price["ask_l"], scale)
    else:
        raise DataError(f"{path}: bid and ask without highs and lows", remedy=f"expected {_EXPECTED}")
    return Bars(
        instrument,
        time_s,
        open_hp,
        high_hp,
        low_hp,
        close_hp,
        ask_open - bid_open,
        ask_close - bid_close,
        volume,
        spread_recorded=True,
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
