"""Which rows may be trained and judged on: session starts, whole weeks, and their split in time.

A session start ``s`` needs rows ``s − 255 … s + 360``: the lookback of its first decision, its 360
decisions, and the bar after the last, where the last fill is. Its lookback may span closures but no hole;
the session itself no gap over 10 minutes at all; and nowhere in these rows may a bar carry a data error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.calendar import GapKind
from swt_core.clock import iso_utc
from swt_core.errors import DataError
from swt_data.bars import Bars, Int64
from swt_data.quality import QualityReport

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class SessionIndex:
    """Valid starts and weeks of a series of bars.

    Attributes:
        starts: ``[k]`` rows at which a session may start, ascending.
        weeks: ``[w, 2]`` rows ``[a, b)`` of whole trading weeks with a valid lookback before row a.
        rejected: rows that start no session, each counted once under the first reason that applies, and
            under ``week_…`` the weeks left out.
    """

    starts: Int64
    weeks: Int64
    rejected: Mapping[str, int]
    session_bars: int
    lookback: int


@dataclass(frozen=True)
class Split:
    """The part of an index that lies in one span of time.

    Attributes:
        start_s, end_s: every row that a session or week of this split reads opens in ``[start_s, end_s)``.
    """

    starts: Int64
    weeks: Int64
    start_s: int
    end_s: int


@dataclass(frozen=True)
class Splits:
    """Train, then validation, then test, with purged bars between them.

    Attributes:
        boundaries_s: the two instants at which validation and test begin; frozen for a run, so that
            appended data moves nothing.
    """

    train: Split
    validation: Split
    test: Split
    boundaries_s: tuple[int, int]


def valid_lookbacks(bars: Bars, errors: BoolArray, lookback: int = 256) -> BoolArray:
    """``[n]`` whether rows ``t − lookback + 1 … t`` exist, span no hole and hold no data error."""
    holes = calendar.gap_kinds(bars.time_s) == GapKind.HOLE
    rows = np.arange(len(bars))
    return (
        (rows >= lookback - 1)
        & ~_any_within(holes, rows - lookback + 2, rows + 1)
        & ~_any_within(errors, rows - lookback + 1, rows + 1)
    )


def build_session_index(
    bars: Bars,
    quality: QualityReport,
    session_bars: int = 360,
    lookback: int = 256,
    maximum_gap_minutes: int = calendar.MAX_GAP_MINUTES,
) -> SessionIndex:
    """All valid session starts and whole trading weeks of ``bars``, in one vectorised pass.

    Raises:
        DataError: ``quality`` is a report of other bars.
    """
    if len(quality.defects) != len(bars) or quality.bars_sha256 != bars.sha256:
        raise DataError("the quality report is of other bars", remedy="check the bars that are indexed")
    n = len(bars)
    rows = np.arange(n)
    errors = quality.error_mask
    holes = calendar.gap_kinds(bars.time_s) == GapKind.HOLE
    gaps = np.zeros(n, np.bool_)
    gaps[1:] = np.diff(bars.time_s) > (maximum_gap_minutes + 1) * calendar.MINUTE_S
    first, last = rows - lookback + 1, rows + session_bars
    rejected: dict[str, int] = {}
    valid = np.ones(n, np.bool_)
    for reason, wrong in (
        ("too_little_history", first < 0),
        ("too_few_bars_ahead", last >= n),
        ("gap_in_session", _any_within(gaps, rows + 1, last + 1)),
        ("hole_in_lookback", _any_within(holes, first + 1, rows + 1)),
        ("data_error", _any_within(errors, first, last + 1)),
    ):
        rejected[reason] = int(np.count_nonzero(valid & wrong))
        valid &= ~wrong
    weeks, rejected_weeks = _whole_weeks(bars, errors, holes, lookback)
    return SessionIndex(
        starts=np.flatnonzero(valid),
        weeks=weeks,
        rejected=MappingProxyType(rejected | rejected_weeks),
        session_bars=session_bars,
        lookback=lookback,
    )


def split_index(
    index: SessionIndex, bars: Bars, train_share: float, validation_share: float, purge_bars: int
) -> Splits:
    """Split by time: shares of the span from first to last bar, boundaries on week opens where possible.

    Raises:
        DataError: a split would hold no session, or the purge is shorter than a session with its lookback.
    """
    first_s, span_s = int(bars.time_s[0]), int(bars.time_s[-1] - bars.time_s[0])
    boundaries = [first_s + round(share * span_s) for share in (train_share, train_share + validation_share)]
    # A boundary inside a week would cost both its sides a whole week of the verdict.
    opens = bars.time_s[_first_of_week(bars)]
    for i, boundary in enumerate(boundaries):
        nearest = int(opens[np.argmin(np.abs(opens - boundary))])
        if abs(nearest - boundary) < 0.05 * span_s:
            boundaries[i] = nearest
    return split_at(index, bars, boundaries, purge_bars)


def split_at(
    index: SessionIndex, bars: Bars, boundaries_s: Sequence[int], purge_bars: int | None = None
) -> Splits:
    """Split at frozen instants: validation starts at the first, test at the second.

    A split's decisions start at its boundary, its lookback reaches up to 255 rows before; the purge comes
    off the *end* of the split before, so the first whole week after a boundary is kept.

    Args:
        purge_bars: rows between splits that neither side reads; default: a session with its lookback.

    Raises:
        DataError: a split would hold no session, or the purge is shorter than a session with its lookback.
    """
    reach = index.session_bars + index.lookback
    purge_bars = reach if purge_bars is None else purge_bars
    if purge_bars < reach:
        raise DataError(
            f"a purge of {purge_bars} bars is shorter than a session with its lookback ({reach})",
            remedy=f"set data.purge_bars to {reach} or more",
        )
    first, second = (int(np.searchsorted(bars.time_s, boundary)) for boundary in boundaries_s)
    history = index.lookback - 1
    spans = (
        (0, first - history - purge_bars),
        (first - history, second - history - purge_bars),
        (second - history, len(bars)),
    )
    splits = [_split(index, bars, low, high) for low, high in spans]
    for name, split in zip(("train", "validation", "test"), splits, strict=True):
        if not len(split.starts):
            raise DataError(
                f"the {name} split holds no session "
                f"({iso_utc(int(bars.time_s[0]))} to {iso_utc(int(bars.time_s[-1]))}, {len(bars)} bars)",
                remedy="give more bars, or change data.train_share and data.validation_share",
            )
    return Splits(splits[0], splits[1], splits[2], (int(boundaries_s[0]), int(boundaries_s[1])))


def _split(index: SessionIndex, bars: Bars, low: int, high: int) -> Split:
    """Sessions and weeks whose every row, lookback included, lies in rows ``[low, high)``."""
    starts, weeks = index.starts, index.weeks
    inside = (starts - index.lookback + 1 >= low) & (starts + index.session_bars < high)
    weeks_inside = (weeks[:, 0] - index.lookback + 1 >= low) & (weeks[:, 1] <= high)
    low, last = (min(max(row, 0), len(bars) - 1) for row in (low, high - 1))
    return Split(
        starts=starts[inside],
        weeks=weeks[weeks_inside],
        start_s=int(bars.time_s[low]),
        end_s=int(bars.time_s[last]) + calendar.MINUTE_S,
    )


def _whole_weeks(
    bars: Bars, errors: BoolArray, holes: BoolArray, lookback: int
) -> tuple[Int64, dict[str, int]]:
    """``[w, 2]`` rows of whole weeks, and how many were left out for which reason."""
    a = _first_of_week(bars)
    b = np.append(a[1:], len(bars))
    first, last = a - lookback + 1, b - 1
    open_s = bars.time_s[a] - calendar.seconds_since_week_open(bars.time_s[a])
    end_s = bars.time_s[last] + calendar.MINUTE_S
    close_s = end_s + calendar.seconds_to_week_close(bars.time_s[last]) - calendar.MINUTE_S
    missing = calendar.open_minutes_between(open_s, bars.time_s[a]) + calendar.open_minutes_between(
        np.minimum(end_s, close_s), close_s
    )
    rejected: dict[str, int] = {}
    valid = np.ones(len(a), np.bool_)
    for reason, wrong in (
        ("week_too_little_history", first < 0),
        ("week_not_whole", missing > 2 * calendar.MAX_GAP_MINUTES),
        ("week_hole", _any_within(holes, first + 1, b)),
        ("week_data_error", _any_within(errors, first, b)),
    ):
        rejected[reason] = int(np.count_nonzero(valid & wrong))
        valid &= ~wrong
    return np.stack([a[valid], b[valid]], axis=1).astype(np.int64), rejected


def _first_of_week(bars: Bars) -> Int64:
    return np.flatnonzero(np.diff(calendar.week_number(bars.time_s), prepend=-1)).astype(np.int64)


def _any_within(marks: BoolArray, low: Int64, high: Int64) -> BoolArray:
    """Whether any of ``marks[low:high]`` is set, for many ranges; rows beyond the ends count as unset."""
    total = np.concatenate(([0], np.cumsum(marks)))
    n = len(marks)
    found: BoolArray = total[np.clip(high, 0, n)] > total[np.clip(low, 0, n)]
    return found
