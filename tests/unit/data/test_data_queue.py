"""The live window: filled in order, emptied by a hole, silent when stale, corrected in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swt_core.calendar import GapKind
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.quality import check_quality
from swt_data.queue import BarQueue, bar_at, bars_of
from swt_data.sessions import valid_lookbacks
from swt_data.synthetic import synthetic_bars

GBP_JPY = instrument("GBP_JPY")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return synthetic_bars("realistic", 7, 1, GBP_JPY)


def closed_s(bars: Bars, row: int) -> int:
    return int(bars.time_s[row]) + 60


def test_the_window_is_the_last_bars_and_ready_only_when_full(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY)
    for row in range(3000):
        queue.append(bar_at(bars, row))
        assert queue.ready(closed_s(bars, row) + 1).ok == (row >= 255)
    assert queue.as_bars().sha256 == bars.rows(slice(2744, 3000)).sha256
    assert len(queue) == 256


def test_the_copy_handed_out_does_not_change_later(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY)
    queue.fill(bars.rows(slice(0, 256)))
    window = queue.as_bars()
    before = window.close_hp.copy()
    queue.correct(replace(bar_at(bars, 100), close_hp=bar_at(bars, 100).high_hp))
    np.testing.assert_array_equal(window.close_hp, before)


@settings(max_examples=8, deadline=None)
@given(holes=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 30)), max_size=4))
def test_the_live_window_and_the_session_index_agree_on_every_row(holes: list[tuple[int, int]]) -> None:
    whole = synthetic_bars("realistic", 2, 1, GBP_JPY)
    missing = np.concatenate([np.arange(start, start + length) for start, length in holes] or [[]])
    bars = whole.rows(np.setdiff1d(np.arange(len(whole)), missing))
    valid = valid_lookbacks(bars, check_quality(bars).error_mask)
    queue = BarQueue(GBP_JPY)
    for row in range(len(bars)):
        queue.append(bar_at(bars, row))
        assert queue.ready(closed_s(bars, row)).ok == valid[row]


def test_closures_are_spanned_and_a_hole_empties_the_window(bars: Bars) -> None:
    weekend = int(np.flatnonzero(np.diff(bars.time_s) > 40 * 3600)[0]) + 1
    queue = BarQueue(GBP_JPY)
    queue.fill(bars.rows(slice(0, weekend)))
    assert queue.append(bar_at(bars, weekend)) == GapKind.SCHEDULED
    assert queue.ready(closed_s(bars, weekend))
    assert queue.append(bar_at(bars, weekend + 60)) == GapKind.HOLE
    assert len(queue) == 1
    readiness = queue.ready(closed_s(bars, weekend + 60))
    assert not readiness
    assert "1 of 256 bars since the hole" in readiness.reason
    queue.fill(bars.rows(slice(weekend + 40, weekend + 400)))
    assert queue.ready(closed_s(bars, weekend + 399))


def test_filling_resumes_where_the_window_ended_and_jumps_over_what_it_cannot_hold(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY)
    queue.fill(bars.rows(slice(0, 300)))
    queue.fill(bars.rows(slice(0, 310)))
    assert queue.as_bars().sha256 == bars.rows(slice(54, 310)).sha256
    queue.fill(bars.rows(slice(0, 2000)))
    assert queue.as_bars().sha256 == bars.rows(slice(1744, 2000)).sha256


def test_a_stale_window_is_not_decided_on(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY, stale_after_s=15)
    queue.fill(bars.rows(slice(0, 300)))
    assert queue.ready(closed_s(bars, 299) + 15)
    assert queue.ready(closed_s(bars, 299) + 16).reason == "the last bar closed 16 s ago"
    assert queue.ready(closed_s(bars, 299) - 5).reason == "the last bar closes in 5 s"


def test_a_feed_that_repeats_one_price_is_not_decided_on(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY)
    queue.fill(bars.rows(slice(0, 300)))
    last = bar_at(bars, 299)
    price = last.close_hp
    for minute in range(1, 11):
        assert queue.ready(last.time_s + 60 * minute)
        queue.append(
            replace(
                last,
                time_s=last.time_s + 60 * minute,
                open_hp=price,
                high_hp=price,
                low_hp=price,
                close_hp=price,
            )
        )
    assert "repeated one price" in queue.ready(last.time_s + 660).reason


def test_the_same_bar_twice_is_one_and_a_different_one_is_refused(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY)
    queue.fill(bars.rows(slice(0, 10)))
    last = bar_at(bars, 9)
    assert queue.append(last) == GapKind.NONE
    assert len(queue) == 10
    with pytest.raises(DataError, match="two different bars"):
        queue.append(replace(last, volume=last.volume + 1))
    with pytest.raises(DataError, match="comes after"):
        queue.append(bar_at(bars, 8))


def test_a_correction_replaces_a_bar_or_fills_in_a_missing_minute(bars: Bars) -> None:
    queue = BarQueue(GBP_JPY)
    queue.fill(bars.rows(np.delete(np.arange(300), 280)))
    changed = replace(bar_at(bars, 290), close_hp=bar_at(bars, 290).low_hp)
    assert queue.correct(changed)
    assert not queue.correct(changed)
    assert queue.correct(bar_at(bars, 280))
    assert queue.correct(bar_at(bars, 290))
    assert queue.as_bars().sha256 == bars.rows(slice(44, 300)).sha256
    assert not queue.correct(bar_at(bars, 10))
    with pytest.raises(DataError, match="to correct"):
        queue.correct(bar_at(bars, 301))


def test_impossible_bars_never_enter(bars: Bars) -> None:
    queue, bar = BarQueue(GBP_JPY), bar_at(bars, 0)
    for impossible in (
        replace(bar, high_hp=bar.low_hp - 1),
        replace(bar, low_hp=bar.high_hp + 1),
        replace(bar, time_s=bar.time_s + 5),
    ):
        with pytest.raises(DataError, match=r"feed|whole minute"):
            queue.append(impossible)
    assert len(queue) == 0
    assert queue.last_time_s is None


def test_single_bars_and_bars_are_the_same_thing(bars: Bars) -> None:
    some = bars.rows(slice(5, 25))
    assert bars_of(GBP_JPY, [bar_at(bars, row) for row in range(5, 25)]).sha256 == some.sha256
