"""The calendar against a slow reference that asks zoneinfo about every single minute."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swt_core.calendar import (
    DAY_S,
    MINUTE_S,
    GapKind,
    day_position,
    gap_kinds,
    is_holiday,
    is_open,
    new_york_seconds,
    next_close,
    next_open,
    open_minutes_between,
    seconds_since_week_open,
    seconds_to_week_close,
    trading_day,
    week_number,
    week_position,
)

NEW_YORK = ZoneInfo("America/New_York")
# Both clock changes of a year, year ends on several weekdays, and ordinary weeks.
SPANS = {
    "spring 2016": ("2016-03-10", 6),
    "autumn 2016": ("2016-11-03", 6),
    "Brexit 2016": ("2016-06-22", 4),
    "year end 2016": ("2016-12-22", 13),
    "year end 2018": ("2018-12-23", 11),
    "year end 2021": ("2021-12-23", 12),
    "spring 2025": ("2025-03-07", 5),
    "autumn 1997": ("1997-10-24", 5),  # the rule before 2007: last Sunday of October
}
INSTANT = st.integers(
    int(datetime(2005, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2035, 1, 1, tzinfo=UTC).timestamp())
)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def new_york(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp())


def minutes(span: str) -> np.ndarray:
    start, days = SPANS[span]
    return utc(start) + np.arange(days * 1440, dtype=np.int64) * 60


def reference_open(time_s: int) -> bool:
    local = datetime.fromtimestamp(time_s, NEW_YORK)
    minute = local.hour * 60 + local.minute
    weekday = local.weekday()  # Monday 0
    closed_for_weekend = (
        weekday == 5 or (weekday == 4 and minute >= 17 * 60) or (weekday == 6 and minute < 17 * 60)
    )
    daily_break = 16 * 60 + 58 <= minute < 17 * 60 + 3
    return not (closed_for_weekend or daily_break or reference_holiday(time_s))


def reference_holiday(time_s: int) -> bool:
    local = datetime.fromtimestamp(time_s, NEW_YORK)
    closing_date = local.date() + timedelta(days=1 if local.hour >= 17 else 0)
    return (closing_date.month, closing_date.day) in ((1, 1), (12, 25))


@pytest.mark.parametrize("span", SPANS)
def test_open_minutes_are_those_of_the_slow_reference(span: str) -> None:
    times = minutes(span)
    assert is_open(times).tolist() == [reference_open(int(t)) for t in times]


@pytest.mark.parametrize("span", SPANS)
def test_local_time_and_week_places_are_those_of_the_slow_reference(span: str) -> None:
    times = minutes(span)[::7]
    for t, local_s, in_week, position, of_day, left_s, day in zip(
        times,
        new_york_seconds(times),
        seconds_since_week_open(times),
        week_position(times),
        day_position(times),
        seconds_to_week_close(times),
        trading_day(times),
        strict=True,
    ):
        local = datetime.fromtimestamp(int(t), NEW_YORK).replace(tzinfo=None)
        assert local_s == (local - datetime(1970, 1, 1)).total_seconds()
        days_back = (local.weekday() + 1) % 7
        week_open = datetime.combine(local.date() - timedelta(days=days_back), datetime.min.time())
        week_open += timedelta(hours=17)
        if week_open > local:
            week_open -= timedelta(days=7)
        elapsed = (local - week_open).total_seconds()
        assert in_week == elapsed
        assert position == min(elapsed / (120 * 3600), 1.0)
        assert left_s == max(120 * 3600 - elapsed, 0)
        assert of_day == pytest.approx(elapsed % 86_400 / 86_400)
        closing_date = (local + timedelta(hours=7)).date()
        assert day == (closing_date - datetime(1970, 1, 1).date()).days


@given(INSTANT)
def test_any_instant_agrees_with_zoneinfo(time_s: int) -> None:
    local = datetime.fromtimestamp(time_s, NEW_YORK).replace(tzinfo=None)
    assert int(new_york_seconds(time_s)) == int((local - datetime(1970, 1, 1)).total_seconds())
    assert bool(is_open(time_s)) == reference_open(time_s)
    assert bool(is_holiday(time_s)) == reference_holiday(time_s)


@given(INSTANT, st.floats(0, 1, exclude_max=True))
def test_the_next_open_is_open_and_nothing_before_it_is(time_s: int, fraction: float) -> None:
    opens = next_open(time_s + fraction)
    assert opens >= time_s + fraction
    assert is_open(opens)
    if opens > time_s + 1:
        assert not is_open(opens - 1)
        assert not reference_open(time_s + 1)
        between = np.arange(time_s + 1, opens, 97)
        assert not is_open(between).any()


@given(INSTANT, st.floats(0, 1, exclude_max=True))
def test_the_next_close_is_closed_and_nothing_before_it_is(time_s: int, fraction: float) -> None:
    closes = next_close(time_s + fraction)
    assert closes >= time_s + fraction
    assert not is_open(closes)
    assert is_open(np.arange(int(np.ceil(time_s + fraction)), closes, 61)).all()
    assert closes == np.ceil(time_s + fraction) or is_open(closes - 1)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2025-06-13 17:00", "2025-06-15 17:03"),  # Friday evening
        ("2025-06-14 12:00", "2025-06-15 17:03"),  # Saturday
        ("2025-06-15 17:02", "2025-06-15 17:03"),
        ("2025-06-16 16:58", "2025-06-16 17:03"),  # daily break
        ("2025-06-16 12:00", "2025-06-16 12:00"),
        ("2025-03-08 12:00", "2025-03-09 17:03"),  # over the change of clocks
        ("2025-12-24 16:58", "2025-12-25 17:03"),  # Christmas
        ("2021-12-31 17:00", "2022-01-02 17:03"),  # New Year's Day on a Saturday
        ("2018-12-31 20:00", "2019-01-01 17:03"),
    ],
)
def test_when_it_opens_next(now: str, opens: str) -> None:
    assert next_open(new_york(now)) == new_york(opens)


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        ("2025-06-16 12:00", "2025-06-16 16:58"),
        ("2025-06-16 17:03", "2025-06-17 16:58"),
        ("2025-06-13 16:57", "2025-06-13 16:58"),
        ("2025-06-14 12:00", "2025-06-14 12:00"),
        ("2025-12-24 12:00", "2025-12-24 16:58"),
    ],
)
def test_when_it_closes_next(now: str, closes: str) -> None:
    assert next_close(new_york(now)) == new_york(closes)


def test_the_week_opens_an_hour_earlier_in_utc_in_summer() -> None:
    assert next_open(utc("2025-01-11")) == utc("2025-01-12 22:03")
    assert next_open(utc("2025-07-12")) == utc("2025-07-13 21:03")


def test_weeks_count_up_each_sunday_at_17_new_york() -> None:
    for sunday in ("2025-03-02", "2025-03-09", "2025-03-16", "2025-11-02"):
        opens = new_york(f"{sunday} 17:00")
        assert week_number(opens) == week_number(opens - 1) + 1
        assert week_number(opens) == week_number(opens + 7 * DAY_S - 7200)


def test_a_scalar_gives_a_scalar_and_an_array_an_array() -> None:
    now = new_york("2025-06-16 12:00")
    assert is_open(now).shape == ()
    assert is_open(np.array([[now, now]])).shape == (1, 2)
    assert open_minutes_between(now, now + 600).shape == ()


@given(INSTANT, st.integers(0, 4 * 1440), st.booleans())
def test_open_minutes_between_two_instants_are_counted_one_by_one(
    start_s: int, length: int, near_year_end: bool
) -> None:
    if near_year_end:  # where the holidays are
        year = datetime.fromtimestamp(start_s, UTC).year
        start_s = utc(f"{year}-12-23") + start_s % (12 * DAY_S)
    start_s -= start_s % 60
    counted = int(is_open(start_s + 60 * np.arange(length)).sum())
    assert int(open_minutes_between(start_s, start_s + 60 * length)) == counted


def test_open_minutes_of_many_spans_at_once_keep_their_shape() -> None:
    starts = np.array(
        [[utc("2025-12-24 20:00"), utc("2025-06-13 20:00")], [utc("2025-06-16"), utc("2025-06-16")]]
    )
    ends = starts + np.array([[30 * 3600, 60 * 3600], [0, 600]])
    one_by_one = [
        [int(open_minutes_between(s, e)) for s, e in zip(*row, strict=True)]
        for row in zip(starts, ends, strict=True)
    ]
    assert open_minutes_between(starts, ends).tolist() == one_by_one
    assert open_minutes_between(utc("2025-06-16"), ends[1]).tolist() == one_by_one[1]


def test_no_minute_of_a_holiday_is_open_however_short_the_span() -> None:
    christmas = new_york("2024-12-25 10:00")
    assert open_minutes_between(christmas, christmas + 5 * MINUTE_S) == 0
    eve = new_york("2024-12-24 16:55")
    assert open_minutes_between(eve, eve + 10 * MINUTE_S) == 3


def reference_gap(before_s: int, after_s: int) -> GapKind:
    """The kind of gap between two bars, by walking through the minutes between them."""
    between = range(before_s + 60, after_s, 60)
    missing = sum(reference_open(t) for t in between)
    if missing > 10:
        return GapKind.HOLE
    if missing < len(between):
        return GapKind.SCHEDULED
    return GapKind.TICKLESS if missing else GapKind.NONE


@given(
    INSTANT,
    st.lists(st.one_of(st.integers(1, 14), st.sampled_from([300, 2880, 2893, 2898, 4320])), max_size=6),
)
def test_gaps_are_of_the_kind_the_walk_through_minutes_finds(start_s: int, steps: list[int]) -> None:
    start_s -= start_s % 60
    times = start_s + 60 * np.cumsum([0, *steps]).astype(np.int64)
    expected = [GapKind.NONE] + [reference_gap(int(a), int(b)) for a, b in itertools.pairwise(times)]
    assert gap_kinds(times).tolist() == expected


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("2025-06-16 12:00", "2025-06-16 12:01", GapKind.NONE),
        ("2025-06-16 12:00", "2025-06-16 12:11", GapKind.TICKLESS),
        ("2025-06-16 12:00", "2025-06-16 12:12", GapKind.HOLE),
        ("2025-06-16 16:57", "2025-06-16 17:03", GapKind.SCHEDULED),
        ("2025-06-16 16:50", "2025-06-16 17:06", GapKind.SCHEDULED),  # ten minutes are missing
        ("2025-06-16 16:50", "2025-06-16 17:07", GapKind.HOLE),
        ("2025-06-13 16:57", "2025-06-15 17:03", GapKind.SCHEDULED),
        ("2025-03-07 16:57", "2025-03-09 17:03", GapKind.SCHEDULED),
        ("2025-10-31 16:57", "2025-11-02 17:03", GapKind.SCHEDULED),
        ("2024-12-24 16:57", "2024-12-25 17:03", GapKind.SCHEDULED),
        ("2024-12-24 16:57", "2024-12-25 17:30", GapKind.HOLE),
    ],
)
def test_gaps_by_hand(before: str, after: str, kind: GapKind) -> None:
    assert gap_kinds(np.array([new_york(before), new_york(after)])).tolist() == [GapKind.NONE, kind]


def test_no_bars_and_one_bar_have_no_gaps() -> None:
    assert gap_kinds(np.array([], np.int64)).tolist() == []
    assert gap_kinds(np.array([0], np.int64)).tolist() == [0]
