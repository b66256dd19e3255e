"""The entry mask: spread guard, Friday cut-off, and which actions are legal."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swt_core.position import ACTIONS, HOLD, legal_nb
from swt_core.trading_rules import EntryRules, action_mask, entry_allowed, must_be_flat

RULES = EntryRules(
    max_entry_spread_pips=8.0, no_entry_minutes_before_week_close=60, flat_minutes_before_week_close=10
)


def bar(text: str) -> int:
    """The bar that opens at this New York time; its decision falls a minute later."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp())


@pytest.mark.parametrize(
    ("time", "allowed"),
    [
        ("2025-06-11 16:30", True),  # the evening of a Wednesday is no week's end
        ("2025-06-13 15:58", True),
        ("2025-06-13 15:59", False),  # decided at 16:00: 60 minutes are left
        ("2025-06-13 16:57", False),
        ("2025-06-14 12:00", False),
        ("2025-06-15 17:03", True),
        ("2025-03-07 15:58", True),
        ("2025-03-07 15:59", False),
    ],
)
def test_no_entry_in_the_last_hour_of_the_week(time: str, allowed: bool) -> None:
    assert bool(entry_allowed(bar(time), 2.0, RULES)) is allowed


def test_a_wide_spread_closes_the_door_at_any_time() -> None:
    noon = bar("2025-06-11 12:00")
    spreads = np.array([0.0, 2.5, 8.0, 8.1, 15.0])
    assert entry_allowed(np.full(5, noon), spreads, RULES).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("time", "flat"),
    [
        ("2025-06-13 16:48", False),
        ("2025-06-13 16:49", True),  # decided at 16:50: 10 minutes are left
        ("2025-06-14 12:00", True),
        ("2025-06-11 16:55", False),
    ],
)
def test_positions_end_before_the_week_does(time: str, flat: bool) -> None:
    assert bool(must_be_flat(bar(time), RULES)) is flat


def test_the_minutes_are_configurable_down_to_none() -> None:
    rules = EntryRules(
        max_entry_spread_pips=8.0, no_entry_minutes_before_week_close=0, flat_minutes_before_week_close=0
    )
    assert entry_allowed(bar("2025-06-13 16:57"), 2.0, rules)
    assert not must_be_flat(bar("2025-06-13 16:57"), rules)


@given(st.integers(0, 7 * 1440), st.integers(0, 500), st.integers(0, 500))
def test_nothing_is_opened_that_has_to_be_closed_at_once(minute: int, no_entry: int, flat: int) -> None:
    rules = EntryRules(
        max_entry_spread_pips=8.0,
        no_entry_minutes_before_week_close=no_entry,
        flat_minutes_before_week_close=flat,
    )
    time_s = bar("2025-06-08 17:00") + 60 * minute
    assert not (entry_allowed(time_s, 1.0, rules) and must_be_flat(time_s, rules))


@pytest.mark.parametrize(
    ("side", "may_enter", "flat_required", "legal"),
    [
        (0, True, False, [1, 1, 1, 0]),
        (0, False, False, [1, 0, 0, 0]),
        (0, False, True, [1, 0, 0, 0]),
        (1, True, False, [1, 0, 0, 1]),
        (-1, False, False, [1, 0, 0, 1]),
        (1, False, True, [0, 0, 0, 1]),
        (-1, True, True, [0, 0, 0, 1]),
    ],
)
def test_legal_actions_as_a_table(side: int, may_enter: bool, flat_required: bool, legal: list[int]) -> None:
    assert action_mask(side, may_enter, flat_required).astype(int).tolist() == legal


def test_a_batch_of_masks_has_one_row_a_position() -> None:
    mask = action_mask(np.array([0, 1, -1]), np.array([True, True, False]), False)
    assert mask.astype(int).tolist() == [[1, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1]]


@given(st.sampled_from([0, 1, -1]), st.booleans(), st.booleans())
def test_the_mask_never_offers_what_the_kernel_refuses_and_never_nothing(
    side: int, may_enter: bool, flat_required: bool
) -> None:
    mask = action_mask(side, may_enter, flat_required)
    assert mask.any()
    assert all(legal_nb(float(side), action) for action in range(ACTIONS) if mask[action])
    assert mask[HOLD] or side != 0
