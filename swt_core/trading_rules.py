"""Which actions a bar permits: spread guard and Friday cut-off as one entry mask.

Applied alike in training, validation and live trading, because the default observation holds neither
the hour nor the spread, and the spread is 15 pips at 17:00 New York.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swt_core.calendar import MINUTE_S, seconds_to_week_close
from swt_core.position import ACTIONS, BUY, CLOSE, HOLD, SELL

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class EntryRules:
    """Limits on entries, in pips and minutes."""

    max_entry_spread_pips: float = 8.0
    no_entry_minutes_before_week_close: int = 60
    flat_minutes_before_week_close: int = 10


def entry_allowed(bar_time_s: ArrayLike, spread_pips: ArrayLike, rules: EntryRules) -> Bool:
    """Whether a decision at the close of each bar may open a position (never one to be closed at once)."""
    last_minutes = max(rules.no_entry_minutes_before_week_close, rules.flat_minutes_before_week_close)
    decided_s = np.asarray(bar_time_s, np.int64) + MINUTE_S
    left_s = seconds_to_week_close(decided_s)
    result: Bool = np.asarray(
        (left_s > last_minutes * MINUTE_S) & (np.asarray(spread_pips) <= rules.max_entry_spread_pips)
    )
    return result


def must_be_flat(bar_time_s: ArrayLike, rules: EntryRules) -> Bool:
    """Whether a position open at the close of each bar has to be closed at once (end of the week)."""
    decided_s = np.asarray(bar_time_s, np.int64) + MINUTE_S
    result: Bool = np.asarray(
        seconds_to_week_close(decided_s) <= rules.flat_minutes_before_week_close * MINUTE_S
    )
    return result


def action_mask(side: ArrayLike, may_enter: ArrayLike, flat_required: ArrayLike) -> Bool:
    """Legal actions ``[B, 4]`` for sides ``[B]``; the mask that search, priors and Gymnasium show."""
    in_position = np.asarray(side) != 0
    entry = ~in_position & np.asarray(may_enter)
    mask = np.zeros((*in_position.shape, ACTIONS), np.bool_)
    mask[..., HOLD] = ~(in_position & np.asarray(flat_required))
    mask[..., BUY] = entry
    mask[..., SELL] = entry
    mask[..., CLOSE] = in_position
    return mask
