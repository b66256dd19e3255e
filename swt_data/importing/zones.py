"""Which clock wrote these stamps? Settled by when the market is known to be closed.

A candidate zone is judged by the minutes it cannot explain: bars stamped while the market is closed for
the weekend or a holiday, and open-market minutes missing in the long gaps. The right zone leaves almost
none; one that is an hour off leaves about two hours at each weekend. Publishers' own words are not
evidence: HistData's "EST without daylight saving" is New York time in 2018 and London − 5 h from 2019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.errors import DataError

Int64 = NDArray[np.int64]

_HOUR_S = 3600
_GAP_MINUTES = 5
_CAP_MINUTES = 240
# One edge an hour off costs 60 minutes or more; a settled zone must win by nearly that.
_DECISIVE_MINUTES = 50
_TOLERATED_MINUTES_PER_EDGE = 25
# HistData lacks an hour at the clock change of spring.
_TOLERATED_MINUTES = 60
_HOPELESS_MINUTES = 1000


@dataclass(frozen=True)
class StampZone:
    """A clock: the wall time of ``key`` plus ``shift_s`` (``UTC`` plus a shift is a fixed offset)."""

    key: str
    shift_s: int = 0

    @property
    def name(self) -> str:
        if not self.shift_s:
            return self.key
        sign, minutes = ("+" if self.shift_s > 0 else "-"), abs(self.shift_s) // 60
        if self.key == "UTC":
            return f"UTC{sign}{minutes // 60:02d}:{minutes % 60:02d}"
        return f"{self.key}{sign}{minutes // 60}h"

    def to_utc_s(self, local_s: Int64) -> Int64:
        """Wall-clock seconds as UTC seconds; in a repeated hour the later offset holds."""
        wall = local_s - self.shift_s
        if self.key == "UTC":
            return wall
        instants, offsets = _transitions(self.key)
        # Each offset rules from its instant on; looked up by wall time under the new offset.
        return wall - offsets[np.searchsorted(instants[1:] + offsets[1:], wall, side="right")]


UTC_ZONE = StampZone("UTC")
CANDIDATES = (
    UTC_ZONE,
    StampZone("America/New_York"),
    StampZone("Europe/London"),
    StampZone("Europe/London", -5 * _HOUR_S),
    StampZone("America/New_York", 7 * _HOUR_S),
    StampZone("Europe/Helsinki"),
    StampZone("Europe/Berlin"),
    *(StampZone("UTC", hours * _HOUR_S) for hours in range(-12, 15) if hours),
)


@dataclass(frozen=True)
class SettledZone:
    """The zone chosen and why."""

    zone: StampZone
    evidence: str


def parse_zone(text: str) -> StampZone:
    """``UTC``, ``UTC+3``, ``UTC-05:00``, an IANA name, or one with a shift: ``Europe/London-5h``.

    Raises:
        DataError: no such zone.
    """
    match = re.fullmatch(r"([A-Za-z_/]+?)(?:([+-])(\d{1,2})(?::?(\d{2}))?h?)?", text.strip())
    if match:
        key, sign, hours, minutes = match.groups()
        shift_s = (int(hours) * _HOUR_S + int(minutes or 0) * 60) * (-1 if sign == "-" else 1) if hours else 0
        key = "UTC" if key.upper() in {"UTC", "GMT", "Z"} else key
        try:
            ZoneInfo(key)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            match = None
        else:
            return StampZone(key, shift_s)
    raise DataError(
        f"unknown time zone {text!r}",
        remedy="for example UTC, UTC+3, America/New_York, Europe/London-5h",
    )


def settle_zone(local_minutes_s: Int64, what: str, stated: StampZone | None = None) -> SettledZone:
    """The zone that explains best when the market of these stamps was closed.

    Args:
        local_minutes_s: sorted, unique wall-clock stamps of bars, seconds, whole minutes.
        what: the file, for the message.
        stated: what the file's header says, believed where the evidence cannot tell zones apart.

    Raises:
        DataError: no zone explains the stamps, or several do and none is stated.
    """
    edges = _edges(local_minutes_s)
    ranked = _ranked(local_minutes_s)
    best, zones = ranked[0]
    rivals = [group for group in ranked[1:] if group[0] - best < _DECISIVE_MINUTES]
    if not rivals and best <= _TOLERATED_MINUTES_PER_EDGE * edges + _TOLERATED_MINUTES:
        return SettledZone(
            zones[0],
            f"{edges} closures; {best} unexplained minutes, next best {ranked[1][0]} "
            f"({ranked[1][1][0].name})",
        )
    fitting = [zone for cost, group in ranked if cost - best < _DECISIVE_MINUTES for zone in group]
    if stated is not None and stated in fitting:
        return SettledZone(stated, f"stated by the file and not contradicted by its {edges} closures")
    named = ", ".join(zone.name for zone in fitting[:6]) + (", …" if len(fitting) > 6 else "")
    problem = (
        f"its stamps fit {named} equally well"
        if rivals
        else f"no time zone explains its stamps (best: {zones[0].name}, {best} unexplained minutes)"
    )
    raise DataError(
        f"{what}: {problem}",
        remedy="say --timezone, or import it together with files that span a weekend",
    )


def _ranked(local: Int64) -> list[tuple[int, list[StampZone]]]:
    """Unexplained minutes of each zone, zones that give the same UTC together, best first."""
    groups: dict[bytes, list[StampZone]] = {}
    for zone in CANDIDATES:
        groups.setdefault(zone.to_utc_s(local).tobytes(), []).append(zone)
    stamps = [np.frombuffer(key, np.int64) for key in groups]
    outside = [_minutes_while_closed(utc) for utc in stamps]
    costs: list[int] = []
    order = np.argsort(outside, kind="stable")
    for i in order:
        # Bars while closed alone are a lower bound: a hopeless zone needs no closer look.
        hopeless = bool(costs) and outside[i] > min(costs) + _HOPELESS_MINUTES
        costs.append(outside[i] if hopeless else outside[i] + _missing_minutes(stamps[i], local))
    members = list(groups.values())
    ranked = [(cost, members[i]) for cost, i in zip(costs, order, strict=True)]
    return sorted(ranked, key=lambda group: group[0])


def _minutes_while_closed(utc: Int64) -> int:
    # The market closes and opens on whole hours, and zones differ by whole hours: one look an hour is enough.
    first = np.flatnonzero(np.diff(utc // _HOUR_S, prepend=-1))
    bars = np.diff(np.append(first, len(utc)))
    hours = utc[first]
    closed = (calendar.seconds_to_week_close(hours) == 0) | calendar.is_holiday(hours)
    return int(bars[closed].sum())


def _missing_minutes(utc: Int64, local: Int64) -> int:
    """Minutes of open market without a bar, in long gaps and before a first bar that is an opening."""
    gaps = np.flatnonzero(np.diff(utc) > _GAP_MINUTES * calendar.MINUTE_S)
    missing = calendar.open_minutes_between(utc[gaps] + calendar.MINUTE_S, utc[gaps + 1])
    total = int(np.minimum(missing, _CAP_MINUTES).sum())
    if _starts_at_an_opening(local):
        before = int(utc[0]) - _CAP_MINUTES * calendar.MINUTE_S
        total += int(calendar.open_minutes_between(before, int(utc[0])))
    return total


def _edges(local: Int64) -> int:
    return int(np.count_nonzero(np.diff(local) > calendar.DAY_S)) + int(_starts_at_an_opening(local))


def _starts_at_an_opening(local: Int64) -> bool:
    """Whether the first stamp is of a Sunday, or of a holiday, on which trading begins in the evening."""
    day = datetime.fromtimestamp(int(local[0]), UTC)
    return day.weekday() == 6 or (day.month, day.day) in {(1, 1), (12, 25)}


@lru_cache(maxsize=32)
def _transitions(key: str) -> tuple[Int64, Int64]:
    """UTC instants at which the zone's offset changes, 1990 to 2060, and the offset from each on."""
    zone = ZoneInfo(key)

    def offset_s(instant_s: int) -> int:
        shift = datetime.fromtimestamp(instant_s, UTC).astimezone(zone).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    start = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
    instants, offsets = [0], [offset_s(start)]
    for day in range(start, start + 70 * 366 * calendar.DAY_S, 7 * calendar.DAY_S):
        if offset_s(day) != offsets[-1]:
            low, high = day - 7 * calendar.DAY_S, day
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_s(middle) == offsets[-1] else (low, middle)
            instants.append(high)
            offsets.append(offset_s(high))
    return np.array(instants, np.int64), np.array(offsets, np.int64)
