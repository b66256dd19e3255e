"""The quality report of a series of bars, and the verdict that refuses a corrupted one.

Two different questions: *is this series one-minute bars of this pair at all* (the verdict), and *which
bars of it are wrong* (the defects, which the session index steps around). Volatility is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.calendar import GapKind
from swt_core.clock import iso_utc
from swt_core.errors import DataError
from swt_data.bars import Bars
from swt_data.defects import Defect, find_defects

BIG_BAR_PIPS = 12.0
MAX_BIG_BAR_SHARE = 0.5
MAX_MEAN_RANGE_PIPS = 25.0
MAX_DEFECT_SHARE = 0.01
MAX_STALE_SHARE = 0.2
MAX_MISALIGNED_WEEKS = 0.02
MISALIGNED_MINUTES = 30
LOW_COVERAGE = 0.9
_EDGE_S = 4 * 3600


@dataclass(frozen=True)
class GapCount:
    """Gaps of one kind: how many, and how many minutes without a bar they hold in all."""

    count: int
    minutes: int


@dataclass(frozen=True)
class Alignment:
    """Whether weeks open and close when New York says, summer and winter apart.

    A week is misaligned when at least half an hour of bars lies beyond one of its edges: stamps that are
    late spill over Friday 17:00, early ones over Sunday 17:00.
    """

    weeks: int
    late_summer_weeks: int
    late_winter_weeks: int
    early_summer_weeks: int
    early_winter_weeks: int

    @property
    def misaligned_weeks(self) -> int:
        return (
            self.late_summer_weeks
            + self.late_winter_weeks
            + self.early_summer_weeks
            + self.early_winter_weeks
        )


@dataclass(frozen=True)
class QualityReport:
    """What is known about a series of bars.

    Attributes:
        defects: ``[n]`` bits of `Defect` for each bar.
        spread_by_hour_pips: median round-trip spread by New York hour, NaN where no bar closed; empty
            if spreads were not recorded.
        reasons: why the series is refused; empty if accepted.
        warnings: what a careful reader should know of an accepted series.
    """

    instrument: str
    bars: int
    first_s: int
    last_s: int
    bars_sha256: str
    mean_range_pips: float
    p99_range_pips: float
    max_range_pips: float
    big_bar_share: float
    coverage: float
    gaps: Mapping[str, GapCount]
    defect_counts: Mapping[str, int]
    spread_by_hour_pips: tuple[float, ...]
    alignment: Alignment
    defects: NDArray[np.uint8]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.reasons

    @property
    def error_mask(self) -> NDArray[np.bool_]:
        """``[n]`` whether a bar carries any data error."""
        return self.defects != 0

    def require_accepted(self) -> None:
        """Raise `DataError` with every reason if the series is refused."""
        if self.reasons:
            raise DataError(
                "the bars are refused: " + "; ".join(self.reasons),
                remedy="see `swt data check` for the whole report; use another source or repair this one",
            )

    def summary(self) -> dict[str, object]:
        """The report as plain JSON values, per-bar defects left out."""
        values = {name: value for name, value in vars(self).items() if name != "defects"}
        values["gaps"] = {kind: asdict(gap) for kind, gap in self.gaps.items()}
        values["defect_counts"] = dict(self.defect_counts)
        values["spread_by_hour_pips"] = [None if np.isnan(x) else x for x in self.spread_by_hour_pips]
        values["alignment"] = asdict(self.alignment)
        values["first"], values["last"] = iso_utc(self.first_s), iso_utc(self.last_s)
        values["verdict"] = "accept" if self.accepted else "refuse"
        return values


def check_quality(bars: Bars) -> QualityReport:
    """Measure ``bars``, mark defective ones and judge the whole.

    Raises:
        DataError: there are no bars.
    """
    if not len(bars):
        raise DataError("there are no bars to check", remedy="give a file with at least one bar")
    defects = find_defects(bars)
    ranges = bars.range_pips
    alignment = _alignment(bars, defects)
    report = QualityReport(
        instrument=bars.instrument.name,
        bars=len(bars),
        first_s=int(bars.time_s[0]),
        last_s=int(bars.time_s[-1]),
        bars_sha256=bars.sha256,
        mean_range_pips=float(ranges.mean()),
        p99_range_pips=float(np.percentile(ranges, 99)),
        max_range_pips=float(ranges.max()),
        big_bar_share=float(np.mean(ranges > BIG_BAR_PIPS)),
        coverage=_coverage(bars),
        gaps=MappingProxyType(_gaps(bars)),
        defect_counts=MappingProxyType(
            {str(kind.name).lower(): int(np.count_nonzero(defects & kind)) for kind in Defect}
        ),
        spread_by_hour_pips=_spread_by_hour_pips(bars),
        alignment=alignment,
        defects=defects,
        reasons=(),
        warnings=(),
    )
    return QualityReport(
        **(vars(report) | {"reasons": _reasons(bars, report), "warnings": _warnings(report)})
    )


def _reasons(bars: Bars, report: QualityReport) -> tuple[str, ...]:
    reasons = []
    steps_s = np.diff(bars.time_s)
    if np.count_nonzero(steps_s > calendar.MINUTE_S) > len(steps_s) / 2:
        reasons.append(f"bars are {np.median(steps_s) / calendar.MINUTE_S:g} minutes apart, not one")
    if report.big_bar_share > MAX_BIG_BAR_SHARE or report.mean_range_pips > MAX_MEAN_RANGE_PIPS:
        reasons.append(
            f"{report.big_bar_share:.2%} of bars are above {BIG_BAR_PIPS:g} pips and the mean range is "
            f"{report.mean_range_pips:.1f} pips: a minute of this market moves a few pips"
        )
    limits = {"stale": MAX_STALE_SHARE}
    for kind, count in report.defect_counts.items():
        if kind == "outside_week":
            continue
        if count > limits.get(kind, MAX_DEFECT_SHARE) * report.bars or (kind == "level" and count > 2):
            reasons.append(f"{count / report.bars:.2%} of bars ({count}) are {_DEFECT_WORDS[kind]}")
    alignment = report.alignment
    if alignment.misaligned_weeks > MAX_MISALIGNED_WEEKS * alignment.weeks:
        reasons.append(
            f"{alignment.misaligned_weeks} of {alignment.weeks} weeks do not lie between Sunday 17:00 and "
            f"Friday 17:00 New York (late: {alignment.late_summer_weeks} in summer, "
            f"{alignment.late_winter_weeks} in winter; early: {alignment.early_summer_weeks} in summer, "
            f"{alignment.early_winter_weeks} in winter): the time zone is wrong"
        )
    return tuple(reasons)


_DEFECT_WORDS = {
    "duplicate": "duplicates or out of order",
    "ohlc": "OHLC violations",
    "crossed": "quoted with the ask below the bid",
    "stale": "stale repeats",
    "spike": "spikes that revert at once",
    "level": "on another price level than the minute before",
    "outside_week": "stamped while the market is closed for the weekend",
}


def _warnings(report: QualityReport) -> tuple[str, ...]:
    warnings = [
        f"{count} bars are {_DEFECT_WORDS[kind]}: sessions over them are left out"
        for kind, count in report.defect_counts.items()
        if count
    ]
    if report.coverage < LOW_COVERAGE:
        warnings.append(f"only {report.coverage:.1%} of open market minutes have a bar")
    if holes := report.gaps["hole"].count:
        warnings.append(f"{holes} holes: no lookback window may span them")
    if not report.spread_by_hour_pips:
        warnings.append("no spreads are recorded: an assumed one is used")
    return tuple(warnings)


def _coverage(bars: Bars) -> float:
    """Share of open market minutes from first to last bar that have one."""
    whole = int(calendar.open_minutes_between(bars.time_s[0], bars.time_s[-1] + calendar.MINUTE_S))
    present = bars.time_s[np.diff(bars.time_s, prepend=-1) > 0]
    return float(np.count_nonzero(calendar.is_open(present)) / max(whole, 1))


def _gaps(bars: Bars) -> dict[str, GapCount]:
    """Gaps by what explains them."""
    kinds = calendar.gap_kinds(bars.time_s)
    rows = np.flatnonzero(kinds)
    before, after = bars.time_s[rows - 1] + calendar.MINUTE_S, bars.time_s[rows]
    minutes = (after - before) // calendar.MINUTE_S
    kinds = kinds[rows]
    scheduled = kinds == GapKind.SCHEDULED
    weekend = scheduled & (calendar.week_number(before - 1) != calendar.week_number(after))
    # A holiday closes a whole trading day: its noon lies in the gap.
    spanned = calendar.is_holiday(before + calendar.BREAK_AFTER_S) | calendar.is_holiday(after - 3600)
    holiday = scheduled & ~weekend & spanned & (minutes > 60)
    chosen = {
        "tickless": kinds == GapKind.TICKLESS,
        "daily_break": scheduled & ~weekend & ~holiday,
        "weekend": weekend,
        "holiday": holiday,
        "hole": kinds == GapKind.HOLE,
    }
    return {
        name: GapCount(int(np.count_nonzero(mask)), int(minutes[mask].sum())) for name, mask in chosen.items()
    }


def _spread_by_hour_pips(bars: Bars) -> tuple[float, ...]:
    if not bars.spread_recorded:
        return ()
    hour = calendar.new_york_seconds(bars.time_s) // 3600 % 24
    spread = bars.spread_open / bars.instrument.points_per_pip
    return tuple(
        float(np.median(spread[hour == h])) if np.any(hour == h) else float("nan") for h in range(24)
    )


def _alignment(bars: Bars, defects: NDArray[np.uint8]) -> Alignment:
    outside = bars.time_s[(defects & Defect.OUTSIDE_WEEK) != 0]
    since_close = calendar.seconds_since_week_open(outside) - calendar.TRADING_WEEK_S
    week = calendar.week_number(outside)
    summer = calendar.new_york_seconds(outside) - outside == -4 * 3600

    def weeks(edge: NDArray[np.bool_], season: NDArray[np.bool_]) -> int:
        _, counts = np.unique(week[edge & season], return_counts=True)
        return int(np.count_nonzero(counts >= MISALIGNED_MINUTES))

    late = since_close < _EDGE_S
    early = since_close >= 2 * calendar.DAY_S - _EDGE_S
    return Alignment(
        weeks=1 + int(np.count_nonzero(np.diff(calendar.week_number(bars.time_s)))),
        late_summer_weeks=weeks(late, summer),
        late_winter_weeks=weeks(late, ~summer),
        early_summer_weeks=weeks(early, summer),
        early_winter_weeks=weeks(early, ~summer),
    )
