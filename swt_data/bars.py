"""One-minute bars as integer arrays: the form in which every other part reads the market."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swt_core.instruments import Instrument

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Bars:
    """Bars sorted by time, one row a minute that had a tick.

    Attributes:
        instrument: the pair, which fixes pip and point.
        time_s: ``[n]`` UTC epoch seconds of each bar's open; bar t covers ``[t, t + 60)``.
        open_hp, high_hp, low_hp, close_hp: ``[n]`` mid prices in half-points (``bid + ask`` in points).
        spread_open, spread_close: ``[n]`` spread in points at open and close, of the mids' parity.
        volume: ``[n]`` ticks.
        spread_recorded: whether the spreads were in the data (else they are an assumption).
    """

    instrument: Instrument
    time_s: Int64
    open_hp: Int64
    high_hp: Int64
    low_hp: Int64
    close_hp: Int64
    spread_open: Int64
    spread_close: Int64
    volume: Int64
    spread_recorded: bool = False

    def __len__(self) -> int:
        return len(self.time_s)

    @cached_property
    def bid_open(self) -> Int64:
        return (self.open_hp - self.spread_open) // 2

    @cached_property
    def ask_open(self) -> Int64:
        return (self.open_hp + self.spread_open) // 2

    @cached_property
    def bid_close(self) -> Int64:
        return (self.close_hp - self.spread_close) // 2

    @cached_property
    def ask_close(self) -> Int64:
        return (self.close_hp + self.spread_close) // 2

    @property
    def spread_close_pips(self) -> NDArray[np.float64]:
        return self.spread_close / self.instrument.points_per_pip

    @property
    def range_pips(self) -> NDArray[np.float64]:
        return (self.high_hp - self.low_hp) / self.instrument.half_points_per_pip

    @cached_property
    def sha256(self) -> str:
        """Hash of every number that training or trading can see."""
        digest = hashlib.sha256(self.instrument.name.encode())
        for column in (
            self.time_s,
            self.open_hp,
            self.high_hp,
            self.low_hp,
            self.close_hp,
            self.spread_open,
            self.spread_close,
        ):
            digest.update(np.ascontiguousarray(column, np.int64).tobytes())
        return digest.hexdigest()

    def rows(self, selection: slice | Int64) -> Bars:
        """The bars of a slice or of an index array."""
        return replace(
            self,
            time_s=self.time_s[selection],
            open_hp=self.open_hp[selection],
            high_hp=self.high_hp[selection],
            low_hp=self.low_hp[selection],
            close_hp=self.close_hp[selection],
            spread_open=self.spread_open[selection],
            spread_close=self.spread_close[selection],
            volume=self.volume[selection],
        )

    def between(self, start_s: float, end_s: float) -> Bars:
        """The bars that open in ``[start_s, end_s)``."""
        low, high = np.searchsorted(self.time_s, [start_s, end_s])
        return self.rows(slice(int(low), int(high)))


def bars_from_mids(
    instrument: Instrument,
    time_s: Int64,
    mids_hp: NDArray[np.int64],
    spread_points: Int64 | int,
    volume: Int64 | None = None,
) -> Bars:
    """Bars from mid prices in half-points and an assumed spread.

    Args:
        mids_hp: ``[n, 4]`` open, high, low, close, even half-points (whole points).
        spread_points: even number of points, a scalar or ``[n]``.
    """
    spread = np.broadcast_to(np.asarray(spread_points, np.int64), time_s.shape).copy()
    return Bars(
        instrument=instrument,
        time_s=np.ascontiguousarray(time_s, np.int64),
        open_hp=np.ascontiguousarray(mids_hp[:, 0], np.int64),
        high_hp=np.ascontiguousarray(mids_hp[:, 1], np.int64),
        low_hp=np.ascontiguousarray(mids_hp[:, 2], np.int64),
        close_hp=np.ascontiguousarray(mids_hp[:, 3], np.int64),
        spread_open=spread,
        spread_close=spread.copy(),
        volume=np.ones(len(time_s), np.int64) if volume is None else volume.astype(np.int64),
    )


def concatenate(pieces: Sequence[Bars]) -> Bars:
    """Bars one after the other, as given; at least one piece, all of one pair."""
    names = ("time_s", "open_hp", "high_hp", "low_hp", "close_hp", "spread_open", "spread_close", "volume")
    columns: dict[str, Int64] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names
    }
    return Bars(instrument=pieces[0].instrument, spread_recorded=pieces[0].spread_recorded, **columns)
