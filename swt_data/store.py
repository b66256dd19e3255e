"""The bar store: immutable monthly Parquet parts, named by one manifest.

`current.json` names the parts that make up the series; writing puts new parts beside the old ones and
then replaces the manifest, so a reader sees the series before or after a write, never between. Appending
a day writes that day's month again and nothing else. Parts of the manifest before are kept for readers
that still hold it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swt_core import state
from swt_core.clock import Clock, iso_utc
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars, Int64, concatenate
from swt_data.files import read_bars, write_bars
from swt_data.manifest import Manifest, Part, Provenance, Span, continued, with_span

OnConflict = Literal["refuse", "keep", "replace"]


@dataclass(frozen=True)
class Added:
    """What `BarStore.add` did."""

    new: int
    unchanged: int
    replaced: int
    months: tuple[str, ...]


class BarStore:
    """Bars of one pair in ``directory/<instrument>/``; one writer, many readers."""

    def __init__(self, directory: Path, instrument: Instrument) -> None:
        self.directory = directory / instrument.name
        self.instrument = instrument
        self._current = self.directory / "current.json"

    def manifest(self) -> Manifest | None:
        """What the store holds; None when nothing was ever added.

        Raises:
            StateError: the manifest is broken.
        """
        return state.read_json(self._current, Manifest)

    def read(self, spread_pips: float, start_s: float | None = None, end_s: float | None = None) -> Bars:
        """The bars that open in ``[start_s, end_s)``, every part checked against its hash.

        Args:
            spread_pips: assumed where none were recorded.

        Raises:
            DataError: the store is empty in this span, or a part is absent or not what the manifest says.
        """
        manifest = self.manifest()
        try:
            return self._read(manifest, spread_pips, start_s, end_s)
        except DataError:
            # A writer may have moved on twice since, and swept parts that this manifest names.
            if (newer := self.manifest()) == manifest:
                raise
            return self._read(newer, spread_pips, start_s, end_s)

    def _read(
        self, manifest: Manifest | None, spread_pips: float, start_s: float | None, end_s: float | None
    ) -> Bars:
        low, high = float("-inf") if start_s is None else start_s, float("inf") if end_s is None else end_s
        parts = [p for p in (manifest.parts if manifest else ()) if p.last_s >= low and p.first_s < high]
        bars = [self._read_part(part, spread_pips).between(low, high) for part in parts]
        if not any(len(piece) for piece in bars):
            raise DataError(
                f"{self.directory} holds no bars of this span",
                remedy="add some with `swt data import` or `swt data download`",
            )
        return concatenate(bars)

    def add(
        self,
        bars: Bars,
        provenance: Provenance | Sequence[Provenance],
        on_conflict: OnConflict = "refuse",
        downloaded: Span | None = None,
    ) -> Added:
        """Merge ``bars`` into the series; the same bar twice is one.

        Args:
            on_conflict: what to do where a different bar of the same minute is stored already.
            downloaded: minutes that these bars answer in full: noted together with the bars, by the same
                atomic write. Then there may be no bars at all.

        Raises:
            DataError: bars are of another pair, unsorted or duplicated, mix recorded with assumed spreads,
                or differ from stored ones under ``refuse``. Nothing is stored then.
            StateError: another process is writing here.
        """
        given = (provenance,) if isinstance(provenance, Provenance) else tuple(provenance)
        with state.StateDirectory(self.directory).writer():
            return self._add(bars, given, on_conflict, downloaded)

    def _add(
        self, bars: Bars, given: tuple[Provenance, ...], on_conflict: OnConflict, downloaded: Span | None
    ) -> Added:
        manifest = self.manifest()
        self._require_compatible(bars, manifest, may_be_empty=downloaded is not None)
        known = {part.month: part for part in (manifest.parts if manifest else ())}
        fresh: dict[str, Bars] = {}
        new = unchanged = replaced = 0
        for month, piece in _by_month(bars):
            stored = self._read_part(known[month], _ASSUMED_PIPS) if month in known else None
            merged, same, differing = _merge(stored, piece, on_conflict, self.directory)
            new += len(merged) - (0 if stored is None else len(stored))
            unchanged += same
            replaced += differing if on_conflict == "replace" else 0
            if stored is None or len(merged) > len(stored) or (differing and on_conflict == "replace"):
                fresh[month] = merged
        parts = dict(known)
        for month, merged in fresh.items():
            parts[month] = self._write_part(month, merged)
        sources, spans = (manifest.sources, manifest.downloaded) if manifest else ((), ())
        if downloaded is not None:
            spans = with_span(spans, downloaded)
            sources = continued(sources, given) if len(bars) else sources
        else:
            sources = (*sources, *given)
        state.write_json(
            self._current,
            Manifest(
                schema_version=1,
                instrument=self.instrument.name,
                spread_recorded=bars.spread_recorded,
                parts=tuple(parts[month] for month in sorted(parts)),
                previous_files=tuple(part.file for part in known.values()),
                sources=sources,
                downloaded=spans,
            ),
        )
        self._sweep()
        return Added(new, unchanged, replaced, tuple(sorted(fresh)))

    def _require_compatible(self, bars: Bars, manifest: Manifest | None, *, may_be_empty: bool) -> None:
        if bars.instrument.name != self.instrument.name:
            raise DataError(
                f"bars of {bars.instrument.name} do not belong into the store of {self.instrument.name}",
                remedy="open the store of their own pair",
            )
        if not (len(bars) or may_be_empty) or np.any(np.diff(bars.time_s) <= 0):
            raise DataError(
                "bars to store must be present, sorted and without duplicates",
                remedy="see `swt data check` on the file",
            )
        if manifest is not None and manifest.parts and manifest.spread_recorded != bars.spread_recorded:
            have, got = ("recorded", "assumed") if manifest.spread_recorded else ("assumed", "recorded")
            raise DataError(
                f"{self.directory} holds bars with {have} spreads, these have {got} ones",
                remedy="keep the two kinds in separate data directories",
            )

    def _read_part(self, part: Part, spread_pips: float) -> Bars:
        path = self.directory / part.file
        if not path.is_file():
            raise DataError(f"{path} is named in current.json but absent", remedy="import the month again")
        if _file_sha256(path) != part.sha256:
            raise DataError(
                f"{path} is not what current.json says it is", remedy="restore it, or import the month again"
            )
        return read_bars(path, self.instrument, spread_pips)

    def _write_part(self, month: str, bars: Bars) -> Part:
        name = f"{month}_{bars.sha256[:12]}.parquet"
        write_bars(bars, self.directory / name)
        return Part(
            file=name,
            month=month,
            sha256=_file_sha256(self.directory / name),
            bars=len(bars),
            first_s=int(bars.time_s[0]),
            last_s=int(bars.time_s[-1]),
        )

    def _sweep(self) -> None:
        """Remove parts that neither this manifest nor the one before names."""
        manifest = self.manifest()
        assert manifest is not None
        named = {part.file for part in manifest.parts} | set(manifest.previous_files)
        for path in [*self.directory.glob("*.parquet"), *self.directory.glob(".*.part")]:
            if path.name not in named:
                path.unlink(missing_ok=True)


def file_provenance(path: Path, layout: str, bars: Bars, clock: Clock) -> Provenance:
    """Provenance of bars that were read from one file of SWT's own columns."""
    return Provenance(
        source=path.name,
        format=layout,
        timezone="UTC",
        timezone_evidence="",
        sha256=_file_sha256(path),
        bars=len(bars),
        first_s=int(bars.time_s[0]),
        last_s=int(bars.time_s[-1]),
        added_s=clock.time_s(),
    )


# Only mids matter while parts without recorded spreads are merged: the spread is the reader's.
_ASSUMED_PIPS = 4.0


def _by_month(bars: Bars) -> Iterator[tuple[str, Bars]]:
    if not len(bars):
        return
    months = bars.time_s.astype("datetime64[s]").astype("datetime64[M]")
    edges = np.flatnonzero(np.diff(months.astype(np.int64), prepend=-(10**9)))
    for low, high in zip(edges, np.append(edges[1:], len(bars)), strict=True):
        yield str(months[low]), bars.rows(slice(int(low), int(high)))


def _merge(stored: Bars | None, piece: Bars, on_conflict: OnConflict, where: Path) -> tuple[Bars, int, int]:
    """The merged month, how many bars were there already, and how many differ from what was there."""
    if stored is None:
        return piece, 0, 0
    place = np.searchsorted(stored.time_s, piece.time_s)
    inside = np.minimum(place, len(stored) - 1)
    known = stored.time_s[inside] == piece.time_s
    differs = known & _differs(stored.rows(inside), piece)
    if differs.any() and on_conflict == "refuse":
        first = int(np.flatnonzero(differs)[0])
        raise DataError(
            f"{int(differs.sum())} bars differ from those stored in {where}, the first of "
            f"{iso_utc(int(piece.time_s[first]))}; nothing was stored",
            remedy="keep the stored ones or replace them with --on-conflict keep|replace",
        )
    taken = piece.rows(np.flatnonzero(~known | (differs & (on_conflict == "replace"))))
    if not len(taken):
        return stored, int((known & ~differs).sum()), int(differs.sum())
    kept = stored.rows(np.flatnonzero(~np.isin(stored.time_s, taken.time_s)))
    together = concatenate([kept, taken])
    order: Int64 = np.argsort(together.time_s, kind="stable")
    return together.rows(order), int((known & ~differs).sum()), int(differs.sum())


def _differs(a: Bars, b: Bars) -> NDArray[np.bool_]:
    columns = ["open_hp", "high_hp", "low_hp", "close_hp"]
    if a.spread_recorded:
        columns += ["spread_open", "spread_close"]
    result: NDArray[np.bool_] = np.any([getattr(a, name) != getattr(b, name) for name in columns], axis=0)
    return result


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
