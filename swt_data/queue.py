"""The rolling window of closed bars that live trading decides on.

The queue never repairs: it takes closed bars in order, drops what a hole has made unusable, and says
whether the window may be decided on. The gap rule is the calendar's, the same as the session index's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from swt_core import calendar
from swt_core.calendar import GapKind
from swt_core.clock import iso_utc
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars, Int64
from swt_data.defects import outside_week, stale_runs


@dataclass(frozen=True)
class Bar:
    """One closed bar; fields and units as in `Bars`."""

    time_s: int
    open_hp: int
    high_hp: int
    low_hp: int
    close_hp: int
    spread_open: int
    spread_close: int
    volume: int = 1


_FIELDS = tuple(field.name for field in fields(Bar))


@dataclass(frozen=True)
class Readiness:
    """Whether the window may be decided on, and if not, why."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


def bar_at(bars: Bars, row: int) -> Bar:
    """Row ``row`` of ``bars`` as one bar."""
    return Bar(*(int(getattr(bars, name)[row]) for name in _FIELDS))


def bars_of(instrument: Instrument, rows: Iterable[Bar]) -> Bars:
    """Single bars as `Bars` with recorded spreads."""
    table = np.array([_column(bar) for bar in rows], np.int64).reshape(-1, len(_FIELDS))
    return _bars(instrument, table.T)


class BarQueue:
    """The last ``lookback`` closed bars without a hole between them.

    Args:
        lookback: bars that a decision needs.
        stale_after_s: how long after its end the last bar is still one to decide on.
    """

    def __init__(self, instrument: Instrument, lookback: int = 256, stale_after_s: float = 15.0) -> None:
        self.instrument = instrument
        self.lookback = lookback
        self.stale_after_s = stale_after_s
        # One column a bar; the window slides to the right and is copied back when it meets the end.
        self._table = np.zeros((len(_FIELDS), 8 * lookback), np.int64)
        self._low = self._high = 0
        self._hole_at_s: int | None = None

    def __len__(self) -> int:
        return self._high - self._low

    @property
    def last_time_s(self) -> int | None:
        """The open of the newest bar; None when empty."""
        return int(self._table[0, self._high - 1]) if len(self) else None

    def append(self, bar: Bar) -> GapKind:
        """Take the next closed bar and say what gap came before it.

        A hole drops every bar before it: the window must fill again. Appending the same bar twice does
        nothing.

        Raises:
            DataError: the bar is older than the last, differs from the last of the same time, is not on a
                whole minute, or has prices that cannot be.
        """
        _check(bar)
        last_s = self.last_time_s
        kind = GapKind.NONE
        if last_s is not None:
            if bar.time_s == last_s and _column(bar) == self._window[:, -1].tolist():
                return kind
            if bar.time_s == last_s:
                raise DataError(
                    f"two different bars of {iso_utc(last_s)}", remedy="use correct() for a revised bar"
                )
            if bar.time_s < last_s:
                raise DataError(
                    f"bar of {iso_utc(bar.time_s)} comes after that of {iso_utc(last_s)}",
                    remedy="append bars in order of time",
                )
            if bar.time_s > last_s + calendar.MINUTE_S:
                kind = GapKind(int(calendar.gap_kinds(np.array([last_s, bar.time_s]))[1]))
        if kind == GapKind.HOLE:
            self._low = self._high
            self._hole_at_s = bar.time_s
        if self._high == self._table.shape[1]:
            self._replace_window(self._window.copy())
        self._table[:, self._high] = _column(bar)
        self._high += 1
        self._low = max(self._low, self._high - self.lookback)
        return kind

    def fill(self, bars: Bars) -> None:
        """Append the rows of ``bars`` newer than the last: how history refills the window.

        Raises:
            DataError: as `append`.
        """
        first = (
            0 if self.last_time_s is None else int(np.searchsorted(bars.time_s, self.last_time_s, "right"))
        )
        if len(bars) - first > self.lookback:
            # Older rows would only slide through the window.
            self._low = self._high
            first = len(bars) - self.lookback
        for row in range(first, len(bars)):
            self.append(bar_at(bars, row))

    def correct(self, bar: Bar) -> bool:
        """Replace the bar of the same time; returns whether anything changed.

        A bar of a minute that the window lacks is put in its place: candles may know of a tick that the
        stream did not bring. One from before the window changes nothing.

        Raises:
            DataError: the bar is newer than the last, or impossible.
        """
        _check(bar)
        if self.last_time_s is None or bar.time_s > self.last_time_s:
            raise DataError(f"no bar of {iso_utc(bar.time_s)} to correct", remedy="append a new bar instead")
        window = self._window
        place = int(np.searchsorted(window[0], bar.time_s))
        if window[0, place] == bar.time_s:
            changed = window[:, place].tolist() != _column(bar)
            window[:, place] = _column(bar)
            return changed
        if place == 0:
            return False
        self._replace_window(np.insert(window, place, _column(bar), axis=1)[:, -self.lookback :])
        return True

    def ready(self, now_s: float) -> Readiness:
        """Whether the window may be decided on at ``now_s``: full, unbroken, moving and just closed."""
        if len(self) < self.lookback:
            since = "" if self._hole_at_s is None else f" since the hole before {iso_utc(self._hole_at_s)}"
            return Readiness(False, f"{len(self)} of {self.lookback} bars{since}")
        age_s = now_s - (int(self._table[0, self._high - 1]) + calendar.MINUTE_S)
        if age_s < 0:
            return Readiness(False, f"the last bar closes in {-age_s:g} s")
        if age_s > self.stale_after_s:
            return Readiness(False, f"the last bar closed {age_s:g} s ago")
        window = self.as_bars()
        if stale_runs(window).any():
            return Readiness(False, "the feed repeated one price for minutes within the window")
        if outside_week(window).any():
            return Readiness(False, "the window holds bars stamped while the market is closed")
        return Readiness(True)

    def as_bars(self) -> Bars:
        """The window as `Bars`, oldest first, spreads recorded; a copy."""
        return _bars(self.instrument, self._window)

    @property
    def _window(self) -> Int64:
        return self._table[:, self._low : self._high]

    def _replace_window(self, window: Int64) -> None:
        self._low, self._high = 0, window.shape[1]
        self._table[:, : self._high] = window


def _bars(instrument: Instrument, table: Int64) -> Bars:
    columns = dict(zip(_FIELDS, table.copy(), strict=True))
    return Bars(instrument=instrument, spread_recorded=True, **columns)


def _column(bar: Bar) -> list[int]:
    return [getattr(bar, name) for name in _FIELDS]


def _check(bar: Bar) -> None:
    if bar.time_s % calendar.MINUTE_S:
        raise DataError(f"bar at {iso_utc(bar.time_s)} is not on a whole minute", remedy="check the feed")
    top, bottom = max(bar.open_hp, bar.close_hp), min(bar.open_hp, bar.close_hp)
    if bar.high_hp < top or bar.low_hp > bottom or bar.low_hp <= 0:
        raise DataError(
            f"bar of {iso_utc(bar.time_s)} has high {bar.high_hp} and low {bar.low_hp} around "
            f"open {bar.open_hp} and close {bar.close_hp} (half-points)",
            remedy="check the feed",
        )
