"""The tables and views of the master database: base columns, then lags, then wavelet columns.

The lags are no columns of their own: ``c_k`` is the close ``k`` bars before, which a window function
gives. The view ``master`` has all of them for all bars and costs what is asked of it; the table macro
``master_between(start, end)`` looks at that span and its 255 bars of history alone.
"""

from __future__ import annotations

from typing import Final

from swt_features.timing import TIME_NAMES
from swt_features.wavelets import WINDOW

LAYOUT: Final = 1
LAGS: Final = WINDOW - 1
WST_COLUMNS: Final = 67

BASE: Final = {
    "time": "TIMESTAMP",
    "time_s": "BIGINT",
    "trading_day": "DATE",
    "open": "DOUBLE",
    "high": "DOUBLE",
    "low": "DOUBLE",
    "close": "DOUBLE",
    "bid_open": "DOUBLE",
    "ask_open": "DOUBLE",
    "bid_close": "DOUBLE",
    "ask_close": "DOUBLE",
    "volume": "BIGINT",
    **dict.fromkeys(TIME_NAMES, "FLOAT"),
    "defects": "UTINYINT",
    "gap_before": "UTINYINT",
    "window_valid": "BOOLEAN",
}
WST: Final = tuple(f"wst_{i}" for i in range(WST_COLUMNS))

_DESCRIPTIONS: Final = {
    "time": "open of the bar, UTC",
    "time_s": "the same, epoch seconds",
    "trading_day": "17:00 to 17:00 New York, named by its closing date",
    "close": "mid price, as open, high and low",
    "defects": "bits of data errors: 1 duplicate, 2 OHLC, 4 crossed, 8 stale, 16 spike, 32 level, 64 weekend",
    "gap_before": "0 none, 1 tickless minutes, 2 scheduled closure, 3 hole",
    "window_valid": "whether the last 256 bars exist, span no hole and hold no data error",
}


def create_statements() -> list[str]:
    """Everything that an empty database needs."""
    base = ", ".join(f"{name} {kind}" for name, kind in BASE.items())
    wst = ", ".join(f"{name} FLOAT" for name in WST)
    return [
        f"CREATE TABLE bars ({base}, {wst})",
        "CREATE TABLE days (trading_day DATE PRIMARY KEY, bars BIGINT, sha256 VARCHAR)",
        "CREATE TABLE provenance (name VARCHAR PRIMARY KEY, value VARCHAR)",
        "CREATE TABLE sources (source VARCHAR, format VARCHAR, timezone VARCHAR, timezone_evidence VARCHAR, "
        "sha256 VARCHAR, bars BIGINT, first_s BIGINT, last_s BIGINT)",
        f"CREATE VIEW master AS {_with_lags('bars')}",
        f"CREATE MACRO master_between(start_time, end_time) AS TABLE {_between()}",
        *(f"COMMENT ON COLUMN bars.{name} IS '{text}'" for name, text in _DESCRIPTIONS.items()),
    ]


def insert_statement(with_windows: bool) -> str:
    """Rows of the registered ``block`` into ``bars``; rows without a whole window get no wavelet values."""
    given = {
        "time": "make_timestamp(time_s * 1000000)",
        "trading_day": "DATE '1970-01-01' + trading_day",
    }
    names = (*BASE, *WST) if with_windows else tuple(BASE)
    selection = ", ".join(given.get(name, name) for name in names)
    return f"INSERT INTO bars ({', '.join(names)}) SELECT {selection} FROM block"  # noqa: S608


def _with_lags(table: str) -> str:
    lags = ", ".join(f"lag(close, {k}) OVER past AS c_{k}" for k in range(1, LAGS + 1))
    return (
        f"SELECT {', '.join(BASE)}, {lags}, {', '.join(WST)} FROM {table} "  # noqa: S608
        "WINDOW past AS (ORDER BY time_s)"
    )


def _between() -> str:
    start = "start_time::TIMESTAMP"
    history = f"SELECT time FROM bars WHERE time < {start} ORDER BY time DESC LIMIT {LAGS}"  # noqa: S608
    span = (
        f"SELECT * FROM bars WHERE time < end_time::TIMESTAMP "  # noqa: S608
        f"AND time >= coalesce((SELECT min(time) FROM ({history})), {start})"
    )
    return (
        f"WITH span AS ({span}) SELECT * FROM ({_with_lags('span')}) "  # noqa: S608
        f"WHERE time >= {start} ORDER BY time"
    )
