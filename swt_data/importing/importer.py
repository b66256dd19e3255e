"""From published files to one series of bars: read, settle the zone, aggregate, join."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swt_core import calendar
from swt_core.clock import Clock
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars
from swt_data.importing.documents import is_lean_zip, only_table_in, read_bi5, read_json, read_lean_zip
from swt_data.importing.minutes import distinct, in_sequence, join_sides, minute_bars, traded
from swt_data.importing.series import Int64, Progress, RawSeries, Side, no_progress
from swt_data.importing.tables import read_table, recognise_table
from swt_data.importing.zones import SettledZone, StampZone, settle_zone
from swt_data.manifest import Provenance

_US = 1_000_000
# The share of an import that reading takes; the rest makes minutes.
_READING = 0.8


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
    progress: Progress = no_progress,
) -> Imported:
    """Read files of any known format and join them to one series of bars.

    Files of both sides (bid and ask) are joined minute by minute; a side alone is taken as the mid with
    an assumed spread. The same bar in two files is one.

    Args:
        spread_pips: assumed where no bid and ask are recorded.
        timezone: of stamps that carry none; None: settled by evidence, file by file, and by all files of
            the same format together where one alone does not tell.
        progress: called with what is being done, and the share of all bytes that lies behind.

    Raises:
        DataError: a file is of no known format or broken, its zone cannot be settled, its bars are
            coarser than a minute, or two files contradict each other. Nothing is returned then.
    """
    shares = _Shares(paths, progress)
    series = []
    for i, path in enumerate(paths):
        series.append(read_series(path, instrument, column_map, shares.of_file(i, 0.0, _READING)))
        _refuse_coarse(series[-1])
    shares.of_file(0, _READING, _READING)("settling the time zone", 0.0)
    zones = _settle(series, timezone)
    sides: dict[Side, list[Bars]] = {}
    sources = []
    for i, (raw, settled) in enumerate(zip(series, zones, strict=True)):
        shares.of_file(i, _READING, 1.0)("making minutes", 0.0)
        bars = minute_bars(raw, settled.zone, instrument, spread_pips)
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
    progress("joining", 1.0)
    joined = {side: in_sequence(pieces) for side, pieces in sides.items()}
    if "bid" in joined and "ask" in joined:
        quotes = join_sides(joined.pop("bid"), joined.pop("ask"))
        joined["both"] = in_sequence([joined["both"], quotes]) if "both" in joined else quotes
    if len(joined) > 1:
        raise DataError(
            f"the files mix prices of {' and '.join(joined)}", remedy="import the two kinds separately"
        )
    return Imported(next(iter(joined.values())), tuple(sources))


class _Shares:
    """Progress within one file as progress of all: reading every file comes first, then making minutes."""

    def __init__(self, paths: Sequence[Path], progress: Progress) -> None:
        sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
        self._names = [path.name for path in paths]
        self._edges = np.concatenate(([0.0], np.cumsum(sizes) / max(sum(sizes), 1)))
        self._progress = progress

    def of_file(self, i: int, begin: float, end: float) -> Progress:
        """Watches file ``i``, whose part of the phase from ``begin`` to ``end`` of all this is."""

        def tell(what: str, share: float) -> None:
            within = self._edges[i] + share * (self._edges[i + 1] - self._edges[i])
            self._progress(f"{self._names[i]}: {what}", float(begin + within * (end - begin)))

        return tell


def read_series(
    path: Path,
    instrument: Instrument,
    column_map: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> RawSeries:
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
            return replace(read_table(table, recognise_table(table, column_map), progress), path=path)
    return read_table(path, recognise_table(path, column_map), progress)


def _refuse_coarse(raw: RawSeries) -> None:
    steps_us = np.diff(distinct(raw.stamp_us))
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
    minutes = [raw.stamp_us[traded(raw)] // (_US * calendar.MINUTE_S) for raw in series]
    return distinct(np.concatenate(minutes)) * calendar.MINUTE_S
