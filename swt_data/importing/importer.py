"""From published files to one series of bars: read, settle the zone, aggregate, join."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.clock import Clock, iso_utc
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars, bars_from_mids, concatenate
from swt_data.importing.documents import is_lean_zip, only_table_in, read_bi5, read_json, read_lean_zip
from swt_data.importing.series import Int64, RawSeries, Side
from swt_data.importing.tables import read_table, recognise_table
from swt_data.importing.zones import SettledZone, StampZone, settle_zone
from swt_data.manifest import Provenance

_US = 1_000_000


@dataclass(frozen=True)
class Imported:
    """One-minute bars in UTC and where each file's came from."""

    bars: Bars
    sources: tuple[Provenance, ...]


def import_files(
    paths: Sequence[Path],
    instrument: Instrument,
    spread_pips: float,
    clock: Clock,
    timezone: StampZone | None = None,
    column_map: Mapping[str, str] | None = None,
) -> Imported:
    """Read files of any known format and join them to one series of bars.

    Files of both sides (bid and ask) are joined minute by minute; a side alone is taken as the mid with
    an assumed spread. The same bar in two files is one.

    Args:
        spread_pips: assumed where no bid and ask are recorded.
        timezone: of stamps that carry none; None: settled by evidence, file by file, and by all files of
            the same format together where one alone does not tell.

    Raises:
        DataError: a file is of no known format or broken, its zone cannot be settled, its bars are
            coarser than a minute, or two files contradict each other. Nothing is returned then.
    """
    series = [read_series(path, instrument, column_map) for path in paths]
    for raw in series:
        _refuse_coarse(raw)
    zones = _settle(series, timezone)
    sides: dict[Side, list[Bars]] = {}
    sources = []
    for raw, settled in zip(series, zones, strict=True):
        bars = _minutes(raw, settled.zone, instrument, spread_pips)
        sides.setdefault(raw.side, []).append(bars)
        sources.append(
            Provenance(
                source=raw.path.name,
                format=f"{raw.format}, {raw.side}",
                timezone=settled.zone.name,
                timezone_evidence=settled.evidence,
                sha256=hashlib.sha256(raw.path.read_bytes()).hexdigest(),
                bars=len(bars),
                first_s=int(bars.time_s[0]),
                last_s=int(bars.time_s[-1]),
                added_s=clock.time_s(),
            )
        )
    joined = {side: _in_sequence(pieces) for side, pieces in sides.items()}
    if "bid" in joined and "ask" in joined:
        quotes = _join_sides(joined.pop("bid"), joined.pop("ask"))
        joined["both"] = _in_sequence([joined["both"], quotes]) if "both" in joined else quotes
    if len(joined) > 1:
        raise DataError(
            f"the files mix prices of {' and '.join(joined)}", remedy="import the two kinds separately"
        )
    return Imported(next(iter(joined.values())), tuple(sources))


def read_series(path: Path, instrument: Instrument, column_map: Mapping[str, str] | None = None) -> RawSeries:
    """One file of any known format, as published.

    Raises:
        DataError: it is absent, of no known format, or broken.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", remedy="give the path of a file")
    suffix = path.suffix.lower()
    if suffix == ".bi5":
        return read_bi5(path, instrument)
    if suffix == ".json":
        return read_json(path, instrument)
    if suffix == ".parquet":
        raise DataError(
            f"{path}: is Parquet already", remedy="use it as data.bars_file; `swt data check` reads it"
        )
    if suffix == ".zip":
        if is_lean_zip(path):
            return read_lean_zip(path)
        name, content = only_table_in(path)
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / Path(name).name
            table.write_bytes(content)
            return replace(read_table(table, recognise_table(table, column_map)), path=path)
    return read_table(path, recognise_table(path, column_map))


def _refuse_coarse(raw: RawSeries) -> None:
    steps_us = np.diff(_distinct(raw.stamp_us))
    if not raw.ticks and len(steps_us) and steps_us.min() > calendar.MINUTE_S * _US:
        minutes = int(steps_us.min()) / (_US * calendar.MINUTE_S)
        raise DataError(
            f"{raw.path}: its bars are {minutes:g} minutes apart or more",
            remedy="give one-minute bars or finer: coarse ones cannot be refined",
        )


def _settle(series: Sequence[RawSeries], timezone: StampZone | None) -> list[SettledZone]:
    """The zone of each file; those that do not tell alone are asked together with their own kind."""
    settled: dict[int, SettledZone] = {}
    undecided: dict[str, list[tuple[int, DataError]]] = {}
    for i, raw in enumerate(series):
        if raw.zone is not None:
            settled[i] = SettledZone(raw.zone, "the stamps say so")
        elif timezone is not None:
            settled[i] = SettledZone(timezone, "as told")
        else:
            try:
                settled[i] = settle_zone(_local_minutes_s([raw]), str(raw.path), raw.stated_zone)
            except DataError as error:
                undecided.setdefault(raw.format, []).append((i, error))
    for kind, members in undecided.items():
        together = [raw for raw in series if raw.format == kind and raw.zone is None]
        if len(together) == 1:
            raise members[0][1]
        names = f"{len(together)} files of {kind}, {together[0].path.name} among them"
        common = settle_zone(_local_minutes_s(together), names, together[0].stated_zone)
        for i, _ in members:
            settled[i] = replace(common, evidence=f"settled together with {names}: {common.evidence}")
    return [settled[i] for i in range(len(series))]


def _local_minutes_s(series: Sequence[RawSeries]) -> Int64:
    minutes = [raw.stamp_us[_traded(raw)] // (_US * calendar.MINUTE_S) for raw in series]
    return _distinct(np.concatenate(minutes)) * calendar.MINUTE_S


def _distinct(values: Int64) -> Int64:
    """Sorted values, each once; mostly sorted input is fast, unlike in ``np.unique``."""
    ordered = np.sort(values, kind="stable")
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) > 0]


def _traded(raw: RawSeries) -> NDArray[np.bool_]:
    """Rows that a tick stands behind: some publishers fill closed hours with flat bars of no volume."""
    if raw.ticks or not raw.volume.any():
        return np.ones(len(raw.volume), np.bool_)
    flat = raw.price.max(axis=1) == raw.price.min(axis=1)
    keep: NDArray[np.bool_] = ~(flat & (raw.volume == 0))
    return keep


def _minutes(raw: RawSeries, zone: StampZone, instrument: Instrument, spread_pips: float) -> Bars:
    """One-minute bars of one file; a single side or mid takes the assumed spread."""
    rows = np.flatnonzero(_traded(raw))
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


def _in_sequence(pieces: Sequence[Bars]) -> Bars:
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


def _join_sides(bid: Bars, ask: Bars) -> Bars:
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
