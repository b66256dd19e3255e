"""The session index keeps what may be traded on, says why it drops the rest, and splits without leaks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swt_core import calendar
from swt_core.calendar import GapKind
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.files import read_bars
from swt_data.quality import check_quality
from swt_data.sessions import (
    SessionIndex,
    Splits,
    build_session_index,
    split_at,
    split_index,
    valid_lookbacks,
)
from swt_data.synthetic import synthetic_bars

GBP_JPY = instrument("GBP_JPY")
DAY = 1435


@pytest.fixture(scope="module")
def ten_days() -> Bars:
    return synthetic_bars("regimes", 10, 1, GBP_JPY)


@pytest.fixture(scope="module")
def long_bars() -> Bars:
    return synthetic_bars("realistic", 100, 1, GBP_JPY)


def index_of(bars: Bars) -> SessionIndex:
    return build_session_index(bars, check_quality(bars))


def without(bars: Bars, *rows: int) -> Bars:
    return bars.rows(np.delete(np.arange(len(bars)), rows))


def test_a_start_needs_its_lookback_behind_and_its_session_ahead(ten_days: Bars) -> None:
    day = ten_days.rows(slice(0, DAY))
    np.testing.assert_array_equal(index_of(day).starts, np.arange(255, DAY - 360))


def test_a_session_never_spans_a_weekend_but_its_lookback_may(ten_days: Bars) -> None:
    index = index_of(ten_days)
    monday = int(np.flatnonzero(np.diff(ten_days.time_s) > 40 * 3600)[0]) + 1
    assert monday == 5 * DAY
    inside = (index.starts > monday - 400) & (index.starts < monday + 10)
    np.testing.assert_array_equal(
        index.starts[inside],
        np.r_[np.arange(monday - 399, monday - 360), np.arange(monday, monday + 10)],
    )


def test_a_session_may_span_the_daily_break(ten_days: Bars) -> None:
    assert ten_days.time_s[DAY] - ten_days.time_s[DAY - 1] == 6 * 60
    assert np.isin(np.arange(DAY - 360, DAY + 2), index_of(ten_days).starts).all()


@pytest.mark.parametrize(("missing", "breaks"), [(10, False), (11, True)])
def test_ten_missing_minutes_are_borne_and_eleven_are_a_hole(
    ten_days: Bars, missing: int, breaks: bool
) -> None:
    bars = without(ten_days, *range(2000, 2000 + missing))
    assert (calendar.gap_kinds(bars.time_s)[2000] == GapKind.HOLE) == breaks
    valid = np.isin(np.arange(1500, 2400), index_of(bars).starts)
    # The hole lies before row 2000: sessions from 1640 to 1999 span it, lookbacks up to 2254 do.
    expected = np.ones(900, np.bool_)
    expected[1640 - 1500 : 2255 - 1500] = not breaks
    np.testing.assert_array_equal(valid, expected)


def test_a_narrower_gap_rule_inside_sessions_can_be_asked_for(ten_days: Bars) -> None:
    bars = without(ten_days, 2000, 2001, 2002)
    quality = check_quality(bars)
    assert 1800 in build_session_index(bars, quality).starts
    assert 1800 not in build_session_index(bars, quality, maximum_gap_minutes=2).starts


def test_each_row_is_a_start_or_rejected_for_exactly_one_reason(ten_days: Bars) -> None:
    bars = without(ten_days, *range(3000, 3030))
    index = index_of(bars)
    rejected = {reason: count for reason, count in index.rejected.items() if not reason.startswith("week_")}
    assert len(index.starts) + sum(rejected.values()) == len(bars)
    assert rejected == {
        "too_little_history": 255,
        "too_few_bars_ahead": 360,
        "gap_in_session": 2 * 360,
        "hole_in_lookback": 255,
        "data_error": 0,
    }


def test_a_data_error_rejects_every_window_that_reads_it_and_no_other(ten_days: Bars) -> None:
    high = ten_days.high_hp.copy()
    high[4000] = ten_days.low_hp[4000] - 10
    bars = replace(ten_days, high_hp=high)
    sound, index = index_of(ten_days), index_of(bars)
    np.testing.assert_array_equal(np.setdiff1d(sound.starts, index.starts), np.arange(3640, 4256))
    assert index.rejected["data_error"] == 616


def test_the_same_rule_guards_live_lookbacks(ten_days: Bars) -> None:
    bars = without(ten_days, *range(2000, 2020))
    valid = valid_lookbacks(bars, check_quality(bars).error_mask)
    expected = np.arange(len(bars)) >= 255
    expected[2000:2255] = False
    np.testing.assert_array_equal(valid, expected)


def test_whole_weeks_are_found_and_cut_ones_are_not() -> None:
    bars = synthetic_bars("regimes", 20, 1, GBP_JPY)
    index = index_of(bars)
    # The first week has no lookback before it.
    np.testing.assert_array_equal(index.weeks, [[5 * DAY * i, 5 * DAY * (i + 1)] for i in (1, 2, 3)])
    late_start = without(bars, *range(5 * DAY, 5 * DAY + 30))
    early_end = without(bars, *range(10 * DAY - 30, 10 * DAY))
    for cut in (late_start, early_end):
        assert index_of(cut).rejected["week_not_whole"] == 1
    assert len(index_of(late_start).weeks) == 2
    # An evening missing on Friday is a hole in Sunday's lookback too.
    assert len(index_of(early_end).weeks) == 1
    holed = without(bars, *range(7 * DAY + 100, 7 * DAY + 130))
    assert index_of(holed).rejected["week_hole"] == 1
    assert len(index_of(holed).weeks) == 2


def test_a_report_of_other_bars_is_refused(ten_days: Bars) -> None:
    other = synthetic_bars("regimes", 10, 2, GBP_JPY)
    with pytest.raises(DataError, match="other bars"):
        build_session_index(ten_days, check_quality(other))


def rows_read(index: SessionIndex, splits: Splits) -> list[tuple[int, int]]:
    """First and last row that each split's sessions and weeks may read."""
    spans = []
    for split in (splits.train, splits.validation, splits.test):
        lows = np.r_[split.starts, split.weeks[:, 0]] - index.lookback + 1
        highs = np.r_[split.starts + index.session_bars, split.weeks[:, 1] - 1]
        spans.append((int(lows.min()), int(highs.max())))
    return spans


@settings(max_examples=25, deadline=None)
@given(train=st.floats(0.3, 0.75), validation=st.floats(0.1, 0.2), purge=st.integers(616, 3000))
def test_no_row_is_read_by_two_splits_and_the_purge_lies_between(
    train: float, validation: float, purge: int
) -> None:
    bars = _hypothesis_bars()
    index = _hypothesis_index()
    splits = split_index(index, bars, train, validation, purge)
    spans = rows_read(index, splits)
    for before, after in pairwise(spans):
        assert after[0] - before[1] - 1 >= purge
    for split, (low, high) in zip((splits.train, splits.validation, splits.test), spans, strict=True):
        assert split.start_s <= bars.time_s[low]
        assert bars.time_s[high] < split.end_s


@cache
def _hypothesis_bars() -> Bars:
    return synthetic_bars("realistic", 100, 1, GBP_JPY)


@cache
def _hypothesis_index() -> SessionIndex:
    return index_of(_hypothesis_bars())


def test_splits_fill_their_spans_and_lose_no_more_than_the_purge(long_bars: Bars) -> None:
    index = index_of(long_bars)
    splits = split_index(index, long_bars, 0.7, 0.15, 616)
    kept = sum(len(split.starts) for split in (splits.train, splits.validation, splits.test))
    # At each boundary the purge, a session and a lookback of starts are lost at most.
    assert len(index.starts) - kept <= 2 * (616 + 616)
    weeks = sum(len(split.weeks) for split in (splits.train, splits.validation, splits.test))
    assert weeks >= len(index.weeks) - 2


def test_frozen_boundaries_do_not_move_when_data_is_appended(long_bars: Bars) -> None:
    part = long_bars.rows(slice(0, 100_000))
    before = split_index(index_of(part), part, 0.7, 0.15, 616)
    after = split_at(index_of(long_bars), long_bars, before.boundaries_s, 616)
    np.testing.assert_array_equal(after.train.starts, before.train.starts)
    np.testing.assert_array_equal(after.validation.starts, before.validation.starts)
    assert len(after.test.starts) > len(before.test.starts)


def test_too_short_a_purge_or_too_few_bars_are_refused(long_bars: Bars, ten_days: Bars) -> None:
    with pytest.raises(DataError, match=r"purge of 600 bars"):
        split_index(index_of(long_bars), long_bars, 0.7, 0.15, 600)
    day = ten_days.rows(slice(0, 1200))
    with pytest.raises(DataError, match=r"the \w+ split holds no session"):
        split_index(index_of(day), day, 0.7, 0.15, 616)


def test_real_bars_keep_brexit_night(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_M1_2016.parquet", GBP_JPY, 4.0)
    index = index_of(bars)
    brexit = np.searchsorted(bars.time_s, [1_466_715_600, 1_466_748_000])  # 21:00 to 06:00 UTC
    # Only the sessions that the daily break, the weekend or the file's end would cut are missing.
    assert np.isin(np.arange(brexit[0], brexit[1]), index.starts).all()
    assert len(index.starts) == 61_544
    assert len(index.weeks) == 8
