"""Published rows become one-minute bars in UTC, and pieces of one kind become one series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.clock import iso_utc
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars, bars_from_mids, concatenate
from swt_data.importing.series import Int64, RawSeries
from swt_data.importing.zones import StampZone

_US = 1_000_000


def minute_bars(raw: RawSeries, zone: StampZone, instrument: Instrument, spread_pips: float) -> Bars:
    """One-minute bars of one file; a single side or mid takes the assumed spread."""
    rows = np.flatnonzero(traded(raw))
    order = rows[np.argsort(raw.stamp_us[rows], kind="stable")]
    stamp_us = raw.stamp_us[order]
    if not raw.ticks:
        order, stamp_us = _without_repeats(raw, order, stamp_us)
    whole_s, fraction_us = np.divmod(stamp_us, _US)
    minute_s = zone.to_utc_s(whole_s) // calendar.MINUTE_S * calendar.MINUTE_S
    if np.any(np.diff(minute_s) < 0):
        resorted = np.lexsort((fraction_us, zone.to_utc_s(whole_s)))
        order, minute_s = order[resorted], minute_s[resorted]
    first = np.flatnonzero(np.diff(minute_s, prepend=-1))
    last = np.append(first[1:], len(minute_s)) - 1
    scale = 10**instrument.display_precision
    price = np.rint(raw.price[order] * scale).astype(np.int64)
    # Half-points: the sum of bid and ask, or twice the one price there is.
    ask = price if raw.ask is None else np.rint(raw.ask[order] * scale).astype(np.int64)
    mids = price + ask
    ohlc = np.stack(
        [
            mids[first, 0],
            np.maximum.reduceat(mids[:, 1], first),
            np.minimum.reduceat(mids[:, 2], first),
            mids[last, 3],
        ],
        axis=1,
    )
    ticks = np.add.reduceat(np.where(raw.volume[order] > 0, raw.volume[order], 0.0), first)
    volume = last - first + 1 if raw.ticks or not ticks.any() else np.rint(ticks).astype(np.int64)
    bars = bars_from_mids(instrument, minute_s[first], ohlc, instrument.spread_points(spread_pips), volume)
    if raw.ask is None:
        return bars
    return replace(
        bars,
        spread_open=ask[first, 0] - price[first, 0],
        spread_close=ask[last, 3] - price[last, 3],
        spread_recorded=True,
    )


def in_sequence(pieces: Sequence[Bars]) -> Bars:
    """Pieces of one kind as one series; an equal bar in two pieces is one.

    Raises:
        DataError: two pieces hold different bars of one minute.
    """
    together = concatenate(pieces)
    together = together.rows(np.argsort(together.time_s, kind="stable"))
    again = np.flatnonzero(np.diff(together.time_s) == 0) + 1
    names = ("open_hp", "high_hp", "low_hp", "close_hp", "spread_open", "spread_close")
    differs = np.zeros(len(again), np.bool_)
    for name in names:
        column = getattr(together, name)
        differs |= column[again] != column[again - 1]
    if differs.any():
        moment = int(together.time_s[again[np.flatnonzero(differs)[0]]])
        raise DataError(
            f"{int(differs.sum())} minutes differ between the files, the first {iso_utc(moment)}",
            remedy="import the files one by one with --on-conflict keep or replace",
        )
    keep = np.ones(len(together), np.bool_)
    keep[again] = False
    return together.rows(np.flatnonzero(keep))


def join_sides(bid: Bars, ask: Bars) -> Bars:
    """Bid bars and ask bars of the same minutes as quoted bars.

    Raises:
        DataError: they share no minute.
    """
    common, b, a = np.intersect1d(bid.time_s, ask.time_s, assume_unique=True, return_indices=True)
    if not len(common):
        raise DataError("the bid and ask files share no minute", remedy="give both sides of the same days")
    bid, ask = bid.rows(b), ask.rows(a)
    return Bars(
        instrument=bid.instrument,
        time_s=common,
        open_hp=(bid.open_hp + ask.open_hp) // 2,
        high_hp=(bid.high_hp + ask.high_hp) // 2,
        low_hp=(bid.low_hp + ask.low_hp) // 2,
        close_hp=(bid.close_hp + ask.close_hp) // 2,
        # Each side was read as a mid in half-points, twice its points.
        spread_open=(ask.open_hp - bid.open_hp) // 2,
        spread_close=(ask.close_hp - bid.close_hp) // 2,
        volume=bid.volume + ask.volume,
        spread_recorded=True,
    )


def traded(raw: RawSeries) -> NDArray[np.bool_]:
    """Rows that a tick stands behind: some publishers fill closed hours with flat bars of no volume."""
    if raw.ticks or not raw.volume.any():
        return np.ones(len(raw.volume), np.bool_)
    flat = raw.price.max(axis=1) == raw.price.min(axis=1)
    keep: NDArray[np.bool_] = ~(flat & (raw.volume == 0))
    return keep


def distinct(values: Int64) -> Int64:
    """Sorted values, each once; mostly sorted input is fast, unlike in ``np.unique``."""
    ordered = np.sort(values, kind="stable")
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) > 0]


def _without_repeats(raw: RawSeries, order: Int64, stamp_us: Int64) -> tuple[Int64, Int64]:
    """One row a stamp: a repeated bar that is identical is dropped, one that differs is refused."""
    repeated = np.flatnonzero(np.diff(stamp_us) == 0) + 1
    differing = np.any(raw.price[order[repeated]] != raw.price[order[repeated - 1]], axis=1)
    if differing.any():
        row = int(order[repeated[np.flatnonzero(differing)[0]]])
        raise DataError(
            f"{raw.path}: line {raw.lines[row]}: a second, different bar of the same stamp "
            f"({int(differing.sum())} such)",
            remedy="remove one of the two; nothing was stored",
        )
    keep = np.ones(len(order), np.bool_)
    keep[repeated] = False
    return order[keep], stamp_us[keep]
