"""The one trading calendar: FX week, daily break, holidays, in New York time.

The week runs from Sunday 17:00 to Friday 17:00 America/New_York; trading pauses daily from 16:58 to
17:03. New York changes its clocks on Sunday at 02:00, while the market is closed, so within a week
local wall time is linear and every question here is plain arithmetic on local seconds.

All times are UTC epoch seconds, scalars or int64 arrays. ``bar t`` covers ``[t, t + 60)``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

MINUTE_S = 60
DAY_S = 86_400
WEEK_S = 7 * DAY_S
TRADING_WEEK_S = 5 * DAY_S
BREAK_BEFORE_S = 2 * MINUTE_S
BREAK_AFTER_S = 3 * MINUTE_S
OPEN_S_PER_DAY = DAY_S - BREAK_BEFORE_S - BREAK_AFTER_S
MAX_GAP_MINUTES = 10
# Sunday 1970-01-04 17:00 local: the origin of weeks.
_WEEK_ORIGIN_S = 3 * DAY_S + 17 * 3600
_NEW_YORK = ZoneInfo("America/New_York")


class GapKind(IntEnum):
    """What lies between two consecutive bars."""

    NONE = 0
    TICKLESS = 1
    SCHEDULED = 2
    HOLE = 3


@lru_cache(maxsize=1)
def _offsets() -> tuple[Int64, Int64]:
    """UTC instants at which New York's offset changes, and the offset from each on."""

    def offset_s(instant: datetime) -> int:
        shift = instant.astimezone(_NEW_YORK).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    day = datetime(1990, 1, 1, 12, tzinfo=UTC)
    instants, offsets = [np.iinfo(np.int64).min], [offset_s(day)]
    while day.year < 2060:
        following = day + timedelta(days=1)
        if offset_s(following) != offsets[-1]:
            low, high = day, following
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                low, high = (middle, high) if offset_s(middle) == offsets[-1] else (low, middle)
            instants.append(int(high.replace(microsecond=0).timestamp()))
            offsets.append(offset_s(high))
        day = following
    return np.array(instants, np.int64), np.array(offsets, np.int64)


def new_york_seconds(time_s: ArrayLike) -> Int64:
    """UTC seconds as New York wall-clock seconds."""
    instants, offsets = _offsets()
    utc = np.asarray(time_s).astype(np.int64)
    result: Int64 = utc + offsets[np.searchsorted(instants, utc, side="right") - 1]
    return result


def _utc_seconds(local_s: int) -> int:
    """The UTC instant of a New York wall time (never asked for inside a clock change)."""
    guess = local_s + 5 * 3600
    return int(guess - (new_york_seconds(guess) - local_s))


def _in_week(time_s: ArrayLike) -> Int64:
    """Seconds since the last Sunday 17:00 New York, in [0, WEEK_S)."""
    return (new_york_seconds(time_s) - _WEEK_ORIGIN_S) % WEEK_S


def seconds_since_week_open(time_s: ArrayLike) -> Int64:
    """Seconds since the last Sunday 17:00 New York, in [0, WEEK_S); over the weekend it runs on."""
    return _in_week(time_s)


def week_number(time_s: ArrayLike) -> Int64:
    """Which FX week: a number that grows by one each Sunday 17:00 New York."""
    return (new_york_seconds(time_s) - _WEEK_ORIGIN_S) // WEEK_S


def trading_day(time_s: ArrayLike) -> Int64:
    """Which trading day (17:00 to 17:00 New York), as days since the epoch of its closing date."""
    return (new_york_seconds(time_s) + 7 * 3600) // DAY_S


def week_position(time_s: ArrayLike) -> NDArray[np.float64]:
    """Place in the 120-hour week, 0 at Sunday 17:00 New York, 1 at Friday 17:00 and over the weekend."""
    return np.minimum(_in_week(time_s) / TRADING_WEEK_S, 1.0)


def day_position(time_s: ArrayLike) -> NDArray[np.float64]:
    """Place in the trading day, 0 at 17:00 New York, in [0, 1)."""
    position: NDArray[np.float64] = (new_york_seconds(time_s) + 7 * 3600) % DAY_S / DAY_S
    return position


def seconds_to_week_close(time_s: ArrayLike) -> Int64:
    """Seconds until Friday 17:00 New York; 0 over the weekend."""
    return np.maximum(TRADING_WEEK_S - _in_week(time_s), 0)


def is_holiday(time_s: ArrayLike) -> Bool:
    """Christmas and New Year's Day: closed from 17:00 of the eve to 17:00 of the day, New York."""
    day = trading_day(time_s).astype("datetime64[D]")
    month_day = day - day.astype("datetime64[Y]").astype("datetime64[D]")
    new_year = month_day.astype(np.int64) == 0
    following_week = day + np.timedelta64(7, "D")
    christmas = (following_week - following_week.astype("datetime64[Y]").astype("datetime64[D]")).astype(
        np.int64
    ) == 0
    result: Bool = np.asarray(new_year | christmas)
    return result


def is_open(time_s: ArrayLike) -> Bool:
    """Whether the market trades at this instant: in the week, outside the daily break and holidays."""
    in_week = _in_week(time_s)
    in_day = in_week % DAY_S
    trading = (in_week < TRADING_WEEK_S) & (in_day >= BREAK_AFTER_S) & (in_day < DAY_S - BREAK_BEFORE_S)
    result: Bool = np.asarray(trading & ~is_holiday(time_s))
    return result


def next_open(time_s: float) -> int:
    """The first whole second at or after ``time_s`` at which the market is open."""
    now = int(np.ceil(time_s))
    while not is_open(now):
        local = int(new_york_seconds(now))
        in_day = (local - _WEEK_ORIGIN_S) % DAY_S
        days_ahead = 0 if in_day < BREAK_AFTER_S else 1
        now = _utc_seconds(local - in_day + days_ahead * DAY_S + BREAK_AFTER_S)
    return now


def next_close(time_s: float) -> int:
    """The first whole second after ``time_s`` at which the market is closed."""
    now = int(np.ceil(time_s))
    if not is_open(now):
        return now
    return now + DAY_S - BREAK_BEFORE_S - int(_in_week(now)) % DAY_S


def _open_seconds_before(local_s: Int64) -> Int64:
    """Open seconds (holidays apart) from the origin to a New York wall time."""
    elapsed = local_s - _WEEK_ORIGIN_S
    weeks, in_week = elapsed // WEEK_S, elapsed % WEEK_S
    days = np.minimum(in_week // DAY_S, 5)
    today = np.where(days < 5, np.clip(in_week % DAY_S - BREAK_AFTER_S, 0, OPEN_S_PER_DAY), 0)
    result: Int64 = (weeks * 5 + days) * OPEN_S_PER_DAY + today
    return result


def open_minutes_between(start_s: ArrayLike, end_s: ArrayLike) -> Int64:
    """Minutes of open market in ``[start_s, end_s)``, weekends, breaks and holidays left out."""
    start, end = np.broadcast_arrays(np.asarray(start_s, np.int64), np.asarray(end_s, np.int64))
    seconds = np.ravel(
        _open_seconds_before(new_york_seconds(end)) - _open_seconds_before(new_york_seconds(start))
    )
    long = end - start > MAX_GAP_MINUTES * MINUTE_S
    for i in np.flatnonzero(long | is_holiday(start) | is_holiday(end)):
        first, last = int(trading_day(start.flat[i])), int(trading_day(end.flat[i]))
        for day in range(first, last + 1):
            opens = _utc_seconds(day * DAY_S - 7 * 3600)
            if is_holiday(opens) and int(_in_week(opens)) < TRADING_WEEK_S:
                low = max(opens + BREAK_AFTER_S, int(start.flat[i]))
                high = min(opens + DAY_S - BREAK_BEFORE_S, int(end.flat[i]))
                seconds[i] -= max(0, high - low)
    return (seconds // MINUTE_S).reshape(start.shape)


def gap_kinds(time_s: Int64) -> NDArray[np.int8]:
    """What precedes each bar: kind of the gap between bar ``i − 1`` and ``i`` (0 for the first).

    A *hole* is more than 10 open-market minutes without a bar: no lookback window may span it. A gap
    that closures explain is *scheduled*; a shorter one is *tickless* minutes. Training's session index
    and the live feed both ask this function.
    """
    kinds = np.zeros(len(time_s), np.int8)
    candidates = np.flatnonzero(np.diff(time_s) > MINUTE_S) + 1
    if not len(candidates):
        return kinds
    before, after = time_s[candidates - 1] + MINUTE_S, time_s[candidates]
    missing = open_minutes_between(before, after)
    closed = (after - before) // MINUTE_S - missing
    kinds[candidates] = np.where(
        missing > MAX_GAP_MINUTES, GapKind.HOLE, np.where(closed > 0, GapKind.SCHEDULED, GapKind.TICKLESS)
    )
    return kinds
