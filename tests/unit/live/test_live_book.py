"""The position: fills, marks, corrections, and the kernel's row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_fakes import GBP_JPY, NOON_S, configured

from swt_core.position import (
    BARS,
    BUY,
    CARRY,
    CLOSE,
    HOLD,
    POSITION_FIELDS,
    REALISED,
    SIDE,
    STEP_FIELDS,
    advance_one_nb,
)
from swt_live.book import Mark, PositionBook

TRADING = configured(trading={"financing_long_pips_per_day": -2.0}).trading


def book() -> PositionBook:
    return PositionBook(GBP_JPY, TRADING)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, -1]),
    st.lists(st.tuples(st.integers(-80, 80), st.integers(2, 40)), min_size=1, max_size=30),
    st.integers(0, 29),
)
def test_the_row_is_the_kernels_whatever_is_corrected_on_the_way(
    side: int, moves: list[tuple[int, int]], corrected: int
) -> None:
    ours, mid = book(), 186_000
    bid_open, ask_open = mid - 12, mid + 12
    fill, opposite = (ask_open, bid_open) if side > 0 else (bid_open, ask_open)
    ours.apply_fill(side, fill, opposite, NOON_S + 2.0)
    row, step = np.zeros(POSITION_FIELDS), np.zeros(STEP_FIELDS)
    for i, (move, spread) in enumerate(moves):
        mid += move
        bid, ask = mid - spread, mid + spread
        action = (1 if side > 0 else 2) if i == 0 else HOLD
        advance_one_nb(row, action, bid_open, ask_open, bid, ask, 0.0, 10.0, step)
        wrong = 7 if i == corrected else 0
        ours.mark(Mark(NOON_S + 60 * i, bid + wrong, ask + wrong))
        if wrong:
            ours.correct(NOON_S + 60 * i, bid, ask)
    assert ours.row.tobytes() == row.tobytes()
    exit_points = mid - 3 if side > 0 else mid + 3
    [closed] = ours.apply_fill(-side, exit_points, mid, NOON_S + 9999.0)
    advance_one_nb(row, CLOSE, mid - 3, mid + 3, mid, mid, 0.0, 10.0, step)
    assert closed.result.pnl_pips == step[3]
    assert ours.units == 0
    assert not ours.row.any()


def test_a_bar_that_closed_before_the_fill_does_not_mark_it() -> None:
    ours = book()
    ours.mark(Mark(NOON_S, 1, 2))
    ours.apply_fill(1, 186_012, 185_988, NOON_S + 62.0)
    ours.mark(Mark(NOON_S, 185_000, 185_024))
    assert ours.row[BARS] == 0
    ours.mark(Mark(NOON_S + 60, 185_000, 185_024))
    assert ours.row[BARS] == 1


# 17:00 New York in January is 22:00 UTC, ten hours after noon.
ROLLOVER_S = NOON_S + 10 * 3600
WEEKEND_S = ROLLOVER_S + 4 * 86_400


@pytest.mark.parametrize(("rollover_s", "next_open_s", "days"), [
    (ROLLOVER_S, ROLLOVER_S + 240, 1),
    (WEEKEND_S, WEEKEND_S + 2 * 86_400 + 240, 3),
])  # fmt: skip
@pytest.mark.parametrize("exit_after_bars", [1, 2, 3, 4])
@pytest.mark.parametrize("entry_after_bars", [0, 1, 2, 3])
def test_financing_is_the_kernels_wherever_the_rollover_falls(
    rollover_s: int, next_open_s: int, days: int, exit_after_bars: int, entry_after_bars: int
) -> None:
    """Bars: two before 17:00 New York, then from the next open on; the fills are at opens."""
    times_s = [rollover_s - 120, rollover_s - 60, *(next_open_s + 60 * i for i in range(6))]
    exit_at = entry_after_bars + exit_after_bars
    ours, row, step = book(), np.zeros(POSITION_FIELDS), np.zeros(STEP_FIELDS)
    for i, time_s in enumerate(times_s[: exit_at + 1]):
        held = row[SIDE] != 0.0
        action = BUY if i == entry_after_bars else CLOSE if i == exit_at else HOLD
        carry = -2.0 * days if i == 2 else 0.0
        advance_one_nb(row, action, 186_000, 186_024, 186_010, 186_034, carry, 10.0, step)
        if action == BUY:
            assert not held
            ours.apply_fill(1, 186_024, 186_000, time_s + 2.0)
        if action == CLOSE:
            [closed] = ours.apply_fill(-1, 186_000, 186_024, time_s + 2.0)
            assert closed.result.pnl_pips == step[REALISED]
        ours.mark(Mark(time_s, 186_010, 186_034))
        assert ours.row.tobytes() == row.tobytes()


def test_financing_survives_a_restart_and_a_bar_that_turns_up_late() -> None:
    ours, again = book(), book()
    ours.apply_fill(1, 186_024, 186_000, ROLLOVER_S - 118.0)
    late = Mark(ROLLOVER_S + 240, 186_010, 186_034)
    marks = [Mark(ROLLOVER_S - 120, 1, 2), Mark(ROLLOVER_S - 60, 1, 2), Mark(ROLLOVER_S + 300, 1, 2)]
    for mark in marks:
        ours.mark(mark)
    assert ours.row[CARRY] == -2.0
    ours.mark(late)
    assert ours.row[CARRY] == -2.0
    again.restore(ours.state(), sorted([*marks, late], key=lambda mark: mark.time_s))
    assert again.row.tobytes() == ours.row.tobytes()


def test_fills_of_one_direction_add_up_at_their_average() -> None:
    ours = book()
    ours.apply_fill(1, 100, 90, float(NOON_S), origin="a")
    assert ours.apply_fill(3, 120, 110, NOON_S + 100.0, origin="b") == []
    holding = ours.holding
    assert holding is not None
    assert (holding.units, holding.entry_points, holding.origin) == (4, 115, "a")


def test_a_part_is_closed_and_the_rest_goes_on() -> None:
    ours = book()
    ours.apply_fill(-66, 1000, 1024, float(NOON_S))
    ours.mark(Mark(NOON_S, 976, 1000))
    [closed] = ours.apply_fill(65, 990, 980, NOON_S + 70.0)
    assert (closed.units, closed.result.pnl_pips, closed.result.side) == (-65, 1.0, -1)
    assert ours.units == -1
    assert ours.row[BARS] == 1


def test_the_broker_is_believed() -> None:
    ours = book()
    ours.adopt(-2, 1000, 1020, float(NOON_S), "adopted")
    assert (ours.units, ours.side, ours.equity_pips) == (-2, -1, -2.0)
    ours.adopt(-1, 1111, 1020, float(NOON_S), "adopted")
    holding = ours.holding
    assert holding is not None
    assert (holding.units, holding.entry_points) == (-1, 1000)
    ours.adopt(1, 1111, 1100, float(NOON_S), "adopted")
    assert ours.units == 1
    ours.adopt(0, 0, 0, float(NOON_S), "adopted")
    assert ours.holding is None
