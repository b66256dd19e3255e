"""Which episodes a checkpoint may be judged on: its own `test` range, purged, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.checkpoints import CheckpointData
from swt_core.clock import iso_utc
from swt_core.config import DataConfig
from swt_core.errors import DataError
from swt_data.bars import Bars
from swt_data.quality import QualityReport, check_quality
from swt_data.sessions import build_session_index
from swt_features.processor import LOOKBACK
from swt_validation.evaluation import EpisodeMode

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Episodes:
    """Independent stretches of decisions.

    Attributes:
        first_rows, last_rows: ``[E]`` first and last decision row; the last one fills a row later.
    """

    mode: EpisodeMode
    first_rows: Int64
    last_rows: Int64

    def __len__(self) -> int:
        return len(self.first_rows)

    def select(self, which: Int64) -> Episodes:
        """Those at the given places, in that order."""
        return Episodes(self.mode, self.first_rows[which], self.last_rows[which])

    def thinned(self, count: int | None, rng: np.random.Generator) -> Episodes:
        """At most ``count`` of them, drawn without replacement, in order of time."""
        if count is None or count >= len(self):
            return self
        return self.select(np.sort(rng.choice(len(self), count, replace=False)))


@dataclass(frozen=True)
class HeldOut:
    """The test range as rows.

    Attributes:
        low_row: first row that may be read (lookback included).
        high_row: one past the last row that may be read.
    """

    low_row: int
    high_row: int
    weeks: Episodes
    sessions: Episodes


def require_trained_on(bars: Bars, data: CheckpointData) -> None:
    """Refuse bars that are not the ones the checkpoint was trained on (more may have been appended).

    Raises:
        DataError: the bars up to the end of the test range have another hash.
    """
    known = bars.rows(slice(0, int(np.searchsorted(bars.time_s, data.test_end_s))))
    if data.sha256 not in (known.sha256, bars.sha256):
        raise DataError(
            f"these are not the bars the checkpoint was trained on: their hash is {known.sha256[:12]}…, the "
            f"checkpoint names {data.sha256[:12]}… ({data.source})",
            remedy="use the same bars and spreads, or judge it on bars of another time with --elsewhere",
        )


def held_out_elsewhere(
    bars: Bars, quality: QualityReport, data: CheckpointData, config: DataConfig
) -> HeldOut:
    """All weeks and sessions of bars from another time than the trainer's.

    Raises:
        DataError: another pair, or the bars overlap the range that was trained or selected on.
    """
    _require_pair(bars, data)
    start_s, end_s = int(bars.time_s[0]), int(bars.time_s[-1])
    for name, low_s, high_s in (
        ("train", data.train_start_s, data.train_end_s),
        ("validation", data.validation_start_s, data.validation_end_s),
    ):
        if start_s < high_s and low_s <= end_s:
            raise DataError(
                f"the bars ({iso_utc(start_s)} – {iso_utc(end_s)}) overlap the checkpoint's {name} range "
                f"({iso_utc(low_s)} – {iso_utc(high_s)})",
                remedy="judge it on bars of another time",
            )
    index = build_session_index(bars, quality, config.session_bars, LOOKBACK, config.maximum_gap_minutes)
    starts = _apart(index.starts, config.session_bars)
    return HeldOut(
        low_row=0,
        high_row=len(bars),
        weeks=Episodes("weeks", index.weeks[:, 0].copy(), index.weeks[:, 1] - 2),
        sessions=Episodes("sessions", starts, starts + config.session_bars - 1),
    )


def training_weeks(
    bars: Bars, data: CheckpointData, config: DataConfig, count: int
) -> tuple[Bars, Episodes] | None:
    """The last ``count`` whole weeks of the training range, with its bars: for in-sample figures alone.

    None where the bars hold no whole week of it (bars of another time).
    """
    low, high = (int(row) for row in np.searchsorted(bars.time_s, [data.train_start_s, data.train_end_s]))
    inside = bars.rows(slice(low, high))
    if len(inside) <= LOOKBACK:
        return None
    weeks = build_session_index(inside, check_quality(inside), config.session_bars, LOOKBACK).weeks[-count:]
    return (inside, Episodes("weeks", weeks[:, 0].copy(), weeks[:, 1] - 2)) if len(weeks) else None


def _require_pair(bars: Bars, data: CheckpointData) -> None:
    if bars.instrument.name != data.instrument:
        raise DataError(
            f"the bars are {bars.instrument.name}, the checkpoint was trained on {data.instrument}",
            remedy="set data.instrument and data.bars_file to the checkpoint's",
        )


def _check_order(data: CheckpointData) -> None:
    ranges = (
        ("train", data.train_start_s, data.train_end_s),
        ("validation", data.validation_start_s, data.validation_end_s),
        ("test", data.test_start_s, data.test_end_s),
    )
    for name, start_s, end_s in ranges:
        if end_s <= start_s:
            raise DataError(
                f"the checkpoint's {name} range is empty ({iso_utc(start_s)} – {iso_utc(end_s)})",
                remedy="train it again: a verdict needs a held-out range",
            )
    for name, start_s, end_s in ranges[:2]:
        if start_s < data.test_end_s and data.test_start_s < end_s:
            raise DataError(
                f"the checkpoint's {name} range ({iso_utc(start_s)} – {iso_utc(end_s)}) overlaps its test "
                f"range ({iso_utc(data.test_start_s)} – {iso_utc(data.test_end_s)})",
                remedy="train it again with separate ranges: what was seen cannot be judged",
            )


def held_out(bars: Bars, quality: QualityReport, data: CheckpointData, config: DataConfig) -> HeldOut:
    """The whole weeks and the non-overlapping sessions of the checkpoint's test range.

    Every row that they read, lookbacks included, lies behind the purge that follows the last bar the
    trainer read. Lookbacks may reach up to 255 rows before the range as long as that holds.

    Args:
        bars: the bars the checkpoint was trained on, or the same ones with more appended.
        quality: their quality report.
        data: the checkpoint's own word on its ranges.
        config: session length and purge.

    Raises:
        DataError: ranges overlap, the purge is too short, or the bars do not cover the range.
    """
    _check_order(data)
    _require_pair(bars, data)
    first, high = (int(row) for row in np.searchsorted(bars.time_s, [data.test_start_s, data.test_end_s]))
    seen_until = max(data.train_end_s, data.validation_end_s)
    if first >= len(bars) or int(bars.time_s[0]) > data.test_start_s or high - first <= LOOKBACK:
        raise DataError(
            f"the bars ({iso_utc(int(bars.time_s[0]))} – {iso_utc(int(bars.time_s[-1]))}) do not cover the "
            f"checkpoint's test range ({iso_utc(data.test_start_s)} – {iso_utc(data.test_end_s)})",
            remedy="use the bars that it was trained on",
        )
    if seen_until <= data.test_start_s:
        purged_from = int(np.searchsorted(bars.time_s, seen_until)) + config.purge_bars
        low = max(first - (LOOKBACK - 1), purged_from)
        if low > first:
            raise DataError(
                f"only {config.purge_bars - (low - first)} bars lie between what the trainer read and the "
                f"test range; {config.purge_bars} are needed",
                remedy="train it again with data.purge_bars kept between the ranges",
            )
    else:  # the test range lies before the others
        low = max(first - (LOOKBACK - 1), 0)
        seen_from = min(data.train_start_s, data.validation_start_s)
        gap = int(np.searchsorted(bars.time_s, seen_from)) - high
        if gap < config.purge_bars:
            raise DataError(
                f"only {gap} bars lie between the test range and what the trainer read; "
                f"{config.purge_bars} are needed",
                remedy="train it again with data.purge_bars kept between the ranges",
            )
    index = build_session_index(bars, quality, config.session_bars, LOOKBACK, config.maximum_gap_minutes)
    history = LOOKBACK - 1
    weeks = index.weeks[
        (index.weeks[:, 0] - history >= low) & (index.weeks[:, 0] >= first) & (index.weeks[:, 1] <= high)
    ]
    starts = index.starts[
        (index.starts - history >= low)
        & (index.starts >= first)
        & (index.starts + config.session_bars < high)
    ]
    starts = _apart(starts, config.session_bars)
    return HeldOut(
        low_row=low,
        high_row=high,
        weeks=Episodes("weeks", weeks[:, 0].copy(), weeks[:, 1] - 2),
        sessions=Episodes("sessions", starts, starts + config.session_bars - 1),
    )


def _apart(starts: Int64, length: int) -> Int64:
    """The earliest starts that lie at least ``length`` + 1 rows apart, so that no bar is traded twice."""
    chosen = []
    place = 0
    while place < len(starts):
        chosen.append(int(starts[place]))
        place = int(np.searchsorted(starts, starts[place] + length + 1))
    return np.array(chosen, np.int64)
