"""Delimited text: recognised by its first lines, read in one pass, refused with a line number.

A layout says what each column means. Known headerless layouts (HistData, MetaTrader, TrueFX) are
recognised by the shape of their fields; anything with a header by the names in it, and a column map can
name what those names do not tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from swt_core.errors import DataError
from swt_data.importing.series import (
    Float64,
    Int64,
    Progress,
    RawSeries,
    Side,
    broken,
    no_progress,
    side_of_name,
)
from swt_data.importing.zones import UTC_ZONE, StampZone, parse_zone

_PRICES = ("open", "high", "low", "close")
_SYNONYMS = {
    "time": "time timestamp datetime utc gmt_time local_time time_utc date_time <date> time_s",
    "date": "date",
    "open": "open o mid_o <open>",
    "high": "high h mid_h <high>",
    "low": "low l mid_l <low>",
    "close": "close c mid_c last <close>",
    "volume": "volume vol volumn tick_volume tickvol v <tickvol> <vol>",
    "bid": "bid",
    "ask": "ask",
}
_MEANING = {name: meaning for meaning, names in _SYNONYMS.items() for name in names.split()}
_MEANING |= {f"{side}_{letter}": f"{side}_{letter}" for side in ("bid", "ask") for letter in "ohlc"}
_MEANINGS = {*_MEANING.values(), "clock"}

_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_HEADERLESS = (
    (
        "HistData ASCII / NinjaTrader M1",
        rf"\d{{8}} \d{{6}};{_NUMBER};{_NUMBER};{_NUMBER};{_NUMBER};{_NUMBER}",
        ";",
        ("time", *_PRICES, "volume"),
    ),
    (
        "HistData ASCII ticks",
        rf"\d{{8}} \d{{9}},{_NUMBER},{_NUMBER}(,{_NUMBER})?",
        ",",
        ("time", "bid", "ask", "volume"),
    ),
    (
        "MetaTrader 4 / HistData MetaTrader M1",
        rf"\d{{4}}\.\d\d\.\d\d,\d\d:\d\d(,{_NUMBER}){{4,5}}",
        ",",
        ("date", "clock", *_PRICES, "volume"),
    ),
    (
        "MetaTrader 5 terminal",
        rf"\d{{4}}[.-]\d\d[.-]\d\d \d\d:\d\d(:\d\d)?(,{_NUMBER}){{4,7}}",
        ",",
        ("time", *_PRICES, "volume"),
    ),
    (
        "TrueFX ticks",
        rf"[A-Z]{{3}}/[A-Z]{{3}},\d{{8}} \d\d:\d\d:\d\d\.\d+,{_NUMBER},{_NUMBER}",
        ",",
        ("", "time", "bid", "ask"),
    ),
)
# Tried in this order; the first that reads every stamp is taken.
_TIME_FORMATS = (
    "%Y%m%d %H%M%S%g",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H:%M:%S.%g",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
    "%Y.%m.%d",
    "%d.%m.%Y %H:%M:%S.%g",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")
_OFFSET = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)$")


@dataclass(frozen=True)
class Layout:
    """How a table is laid out: its delimiter, the meaning of each column, and the lines before it."""

    name: str
    delimiter: str
    meanings: tuple[str, ...]
    skipped_lines: int
    stated_zone: StampZone | None = None


def recognise_table(path: Path, column_map: Mapping[str, str] | None = None) -> Layout:
    """The layout of a delimited file.

    Args:
        column_map: from meaning (`time`, `open`, `bid_o`, …) to the header's own name.

    Raises:
        DataError: no layout fits; the message shows the first line.
    """
    with path.open("r", encoding="utf-8-sig", errors="replace") as file:
        head = [file.readline().rstrip("\r\n") for _ in range(2)]
    if not head[0].strip():
        raise broken(path, "line 1", head[0], "a header or a bar")
    for name, pattern, delimiter, meanings in _HEADERLESS:
        if re.fullmatch(pattern, head[0]):
            return Layout(name, delimiter, meanings[: head[0].count(delimiter) + 1], 0)
    return _from_header(path, head[0], head[1], column_map or {})


def read_table(path: Path, layout: Layout, progress: Progress = no_progress) -> RawSeries:
    """Every row of the table.

    Args:
        progress: called with what is being done and the share of the work behind it.

    Raises:
        DataError: a line that does not fit the layout; it names the line and what was expected.
    """
    progress("reading lines", 0.0)
    columns = _columns(path, layout)
    first_line = layout.skipped_lines + 1
    lines = np.arange(first_line, first_line + len(columns["time"]), dtype=np.int64)
    progress("reading times", 0.45)
    stamp_us, explicit = _stamps(path, columns, lines)
    progress("reading prices", 0.75)
    volume = np.zeros(len(lines))
    if "volume" in layout.meanings:
        volume = _numbers(path, columns["volume"], lines, "a volume", positive=False)
    price, ask, side, ticks = _quotes(path, columns, lines)
    return RawSeries(
        path=path,
        format=layout.name,
        side=side,
        ticks=ticks,
        stamp_us=stamp_us,
        price=price,
        ask=ask,
        volume=volume,
        lines=lines,
        zone=UTC_ZONE if explicit else None,
        stated_zone=layout.stated_zone,
    )


def _from_header(path: Path, header: str, second: str, column_map: Mapping[str, str]) -> Layout:
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().strip('"').lower() for name in header.split(delimiter)]
    mapped = {column.lower(): meaning for meaning, column in column_map.items()}
    for meaning, column in column_map.items():
        if meaning not in _MEANINGS or column.lower() not in names:
            raise DataError(
                f"{path}: the column map's {meaning}={column} fits no column among {', '.join(names)}",
                remedy=f"map any of {', '.join(sorted(_MEANINGS))} to a column of the header",
            )
    stated = None
    meanings = []
    for name in names:
        plain = re.sub(r"\s*\(.*\)$", "", name).replace(" ", "_")
        if match := re.search(r"^time \((\w+)\)$|^(gmt) time$", name):
            zone = (match[1] or match[2]).upper()
            stated = parse_zone({"EET": "Europe/Helsinki", "CET": "Europe/Berlin"}.get(zone, zone))
        meaning = mapped.get(name, "" if mapped and plain in column_map else _MEANING.get(plain, ""))
        meanings.append("" if meaning in meanings else meaning)
    if "time" not in meanings and "date" in meanings:
        # A lone date column holds the whole stamp.
        meanings[meanings.index("date")] = "time"
    complete = (
        set(_PRICES) <= set(meanings)
        or {"bid", "ask"} <= set(meanings)
        or {f"{side}_{letter}" for side in ("bid", "ask") for letter in "ohlc"} <= set(meanings)
    )
    if "time" not in meanings or not complete:
        raise DataError(
            f"{path}: line 1 is no known header or bar: {header[:120]!r}",
            remedy="expected a time with open, high, low, close or bid, ask; name columns with --column",
        )
    meanings += [""] * (second.count(delimiter) + 1 - len(meanings))
    return Layout("table with header", delimiter, tuple(meanings), 1, stated)


def _columns(path: Path, layout: Layout) -> dict[str, NDArray[np.object_]]:
    """The columns that mean something, as text, rows in the file's order."""
    width = len(layout.meanings)
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
    kept = {meaning: f"c{i}" for i, meaning in enumerate(layout.meanings) if meaning}
    if "clock" in kept:
        kept["time"] = f"{kept.pop('date')} || ' ' || {kept.pop('clock')}"
    selection = ", ".join(f"{column} AS {meaning}" for meaning, column in kept.items())
    name = str(path).replace("'", "''")
    with duckdb.connect() as connection:
        try:
            table = connection.execute(
                f"SELECT {selection} FROM read_csv('{name}', header=false, auto_detect=false, quote='\"', "  # noqa: S608
                f"delim='{layout.delimiter}', skip={layout.skipped_lines}, columns={{{types}}}, "
                f"null_padding=false, strict_mode=true, parallel=false)"
            ).fetchnumpy()
        except duckdb.Error as error:
            text = str(error)
            line = re.search(r"Line:?\s*(\d+)", text)
            original = re.search(r"Original Line:\s*(.*)", text)
            raise broken(
                path,
                f"line {line[1]}" if line else "somewhere",
                original[1] if original else text.splitlines()[0],
                f"{width} fields as in {layout.name}",
            ) from error
    if not len(table["time"]):
        raise broken(path, f"line {layout.skipped_lines + 1}", "", "at least one row")
    return {meaning: np.ma.filled(np.ma.asarray(table[meaning]), "") for meaning in kept}


def _numbers(
    path: Path, column: NDArray[np.object_], lines: Int64, what: str, *, positive: bool = True
) -> Float64:
    try:
        values = column.astype(np.float64)
    except ValueError:
        for text, line in zip(column, lines, strict=True):
            if not re.fullmatch(_NUMBER, str(text).strip()):
                raise broken(path, f"line {line}", text, what) from None
        raise
    bad = np.flatnonzero(~np.isfinite(values) | ((values <= 0) & positive))
    if len(bad):
        raise broken(path, f"line {lines[bad[0]]}", column[bad[0]], what)
    return values


def _quotes(
    path: Path, columns: Mapping[str, NDArray[np.object_]], lines: Int64
) -> tuple[Float64, Float64 | None, Side, bool]:
    def table(names: tuple[str, ...]) -> Float64:
        return np.stack(
            [_numbers(path, columns[name], lines, f"a positive {name}") for name in names], axis=1
        )

    if "bid_o" in columns and "ask_o" in columns:
        bid, ask = (table((f"{side}_o", f"{side}_h", f"{side}_l", f"{side}_c")) for side in ("bid", "ask"))
        return bid, ask, "both", False
    if "bid" in columns and "ask" in columns:
        return np.repeat(table(("bid",)), 4, axis=1), np.repeat(table(("ask",)), 4, axis=1), "both", True
    return table(_PRICES), None, side_of_name(path), False


def _stamps(path: Path, columns: Mapping[str, NDArray[np.object_]], lines: Int64) -> tuple[Int64, bool]:
    """Microseconds of each stamp, and whether the stamps themselves say UTC."""
    texts = columns["time"]
    sample = str(texts[0]).strip()
    if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{12,13}(\.\d+)?", sample):
        epoch = _numbers(path, texts, lines, "epoch seconds or milliseconds")
        return np.rint(epoch * (1e3 if epoch[0] > 1e11 else 1e6)).astype(np.int64), True
    explicit = bool(_ISO.fullmatch(sample) and len(sample) > 10 and _OFFSET.search(sample[10:]))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("stamps", {"stamp": texts})

        def parse(expression: str) -> NDArray[np.generic]:
            query = f"SELECT epoch_us({expression}) AS us FROM stamps"  # noqa: S608
            return np.ma.asarray(connection.execute(query).fetchnumpy()["us"])

        if _ISO.fullmatch(sample):
            attempts = ["TRY_CAST(stamp AS TIMESTAMPTZ)" if explicit else "TRY_CAST(stamp AS TIMESTAMP)"]
        else:
            attempts = [f"try_strptime(stamp, '{time_format}')" for time_format in _TIME_FORMATS]
        # The format that reads furthest is meant, so the message names the line that is really broken.
        fewest: tuple[int, NDArray[np.generic]] | None = None
        for attempt in attempts:
            parsed = parse(attempt)
            failures = int(np.ma.getmaskarray(parsed).sum())
            if failures == 0:
                return np.asarray(parsed).astype(np.int64), explicit
            if fewest is None or failures < fewest[0]:
                fewest = failures, parsed
    assert fewest is not None
    row = int(np.flatnonzero(np.ma.getmaskarray(fewest[1]))[0])
    raise broken(path, f"line {lines[row]}", texts[row], "a time like the other lines'")
