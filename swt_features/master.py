"""The master database: every bar with its lags, wavelet features, time, quality flags and provenance.

A build works on a copy and publishes it under a name of its own; `current.json` names the newest, so
readers hold an immutable file and never meet the writer's lock. Each trading day carries a fingerprint of
everything its rows are made of. A build recomputes the days whose fingerprint has changed, hence appending
a day touches that day, and the result is what a rebuild would give.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from pydantic import Field

from swt_core import state
from swt_core.clock import Clock
from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError
from swt_core.state import StateRecord
from swt_data.bars import Bars
from swt_data.manifest import Provenance
from swt_data.quality import check_quality
from swt_features.master_rows import MasterRows
from swt_features.master_schema import create_statements, insert_statement
from swt_features.processor import LOOKBACK

BLOCK_ROWS: Final = 65_536
CURRENT: Final = "current.json"
MEMORY_LIMIT: Final = "512MB"


class MasterManifest(StateRecord):
    """Which snapshot is the current one."""

    file: str = Field(description="the database, in this directory")
    previous_file: str | None = Field(None, description="the one before, kept for readers that hold it")
    feature_version: str = Field(description="hash of what defines the wavelet columns")
    bars_sha256: str = Field(description="hash of the bars")
    bars: int = Field(ge=1, description="rows")
    built_s: float = Field(description="when, UTC epoch seconds")


@dataclass(frozen=True)
class Built:
    """What a build did; no days written: everything was there already."""

    path: Path
    bars: int
    days_written: int
    days_removed: int
    feature_version: str
    bars_sha256: str


def build_master(
    directory: Path,
    bars: Bars,
    features: FeaturesConfig,
    sources: Sequence[Provenance],
    clock: Clock,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """Bring the master database in ``directory`` to the state of ``bars``; only changed days are computed.

    A link ``master.duckdb`` beside ``directory`` leads to the newest snapshot.

    Args:
        progress: called with rows done and rows to do.

    Raises:
        DataError: the quality report refuses the bars.
        StateError: another process is building here.
    """
    quality = check_quality(bars)
    quality.require_accepted()
    source = MasterRows(bars, features, quality.defects)
    with state.StateDirectory(directory).writer():
        return _build(directory, source, sources, clock, progress)


def read_manifest(directory: Path) -> MasterManifest | None:
    """Which snapshot is current; None when none was built yet.

    Raises:
        StateError: the manifest is broken.
    """
    return state.read_json(directory / CURRENT, MasterManifest)


def open_master(directory: Path) -> duckdb.DuckDBPyConnection:
    """The current snapshot, read-only; it stays what it is while later builds publish others.

    Raises:
        DataError: nothing was built yet.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        raise DataError(f"{directory} holds no master database", remedy="run `swt data build`")
    return duckdb.connect(directory / manifest.file, read_only=True)


def _build(
    directory: Path,
    source: MasterRows,
    sources: Sequence[Provenance],
    clock: Clock,
    progress: Callable[[int, int], None] | None,
) -> Built:
    manifest = read_manifest(directory)
    days = source.days()
    prints = {day: source.fingerprint(rows) for day, rows in days.items()}
    name = _snapshot_name(source, prints, sources)
    if manifest is not None and manifest.file == name and (directory / name).is_file():
        return Built(directory / name, manifest.bars, 0, 0, source.version, source.bars.sha256)
    part = directory / ".master.part"
    for leftover in directory.glob(f"{part.name}*"):
        leftover.unlink()
    known = _copy_of_current(directory, manifest, part, source.version)
    changed = [day for day in days if known.get(day) != prints[day]]
    gone = [day for day in known if day not in days]
    total = sum(days[day].stop - days[day].start for day in changed)
    # No transaction around it: what fails here is a copy that nobody has seen.
    with duckdb.connect(part, config={"memory_limit": MEMORY_LIMIT}) as connection:
        if manifest is None or not known:
            for statement in create_statements():
                connection.execute(statement)
        for table in ("bars", "days"):
            connection.execute(
                f"DELETE FROM {table} WHERE trading_day IN "  # noqa: S608
                "(SELECT DATE '1970-01-01' + unnest(?::INTEGER[]))",
                [[day for day in (*changed, *gone) if day in known]],
            )
        done = 0
        for rows in _blocks([days[day] for day in changed]):
            connection.register("block", source.block(rows))
            connection.execute(insert_statement(rows.start >= LOOKBACK - 1))
            connection.unregister("block")
            done += rows.stop - rows.start
            if progress is not None:
                progress(done, total)
        for day in changed:
            connection.execute(
                "INSERT INTO days VALUES (DATE '1970-01-01' + ?::INTEGER, ?, ?)",
                [day, days[day].stop - days[day].start, prints[day]],
            )
        _write_provenance(connection, source, sources)
        connection.execute("CHECKPOINT")
    _publish(directory, part, name, manifest, source, clock)
    return Built(
        directory / name, len(source.bars), len(changed), len(gone), source.version, source.bars.sha256
    )


def _snapshot_name(source: MasterRows, prints: dict[int, str], sources: Sequence[Provenance]) -> str:
    """A name of its own for each content."""
    digest = hashlib.sha256(source.version.encode())
    for day in sorted(prints):
        digest.update(prints[day].encode())
    for entry in sources:
        digest.update(entry.model_dump_json().encode())
    return f"master_{digest.hexdigest()[:12]}.duckdb"


def _copy_of_current(
    directory: Path, manifest: MasterManifest | None, part: Path, version: str
) -> dict[int, str]:
    """Copy the current snapshot to work on; the fingerprints of its days, none when it cannot be built on."""
    if manifest is None or manifest.feature_version != version or not (directory / manifest.file).is_file():
        return {}
    shutil.copyfile(directory / manifest.file, part)
    with duckdb.connect(part, read_only=True) as connection:
        rows = connection.execute("SELECT trading_day - DATE '1970-01-01', sha256 FROM days").fetchall()
    return {int(day): str(sha256) for day, sha256 in rows}


def _blocks(days: Sequence[slice]) -> Iterator[slice]:
    """Consecutive days together, cut where whole windows begin and every so many rows."""
    runs: list[slice] = []
    for day in days:
        if runs and runs[-1].stop == day.start:
            runs.append(slice(runs.pop().start, day.stop))
        else:
            runs.append(day)
    for run in runs:
        at = run.start
        while at < run.stop:
            limit = LOOKBACK - 1 if at < LOOKBACK - 1 else at + BLOCK_ROWS
            end = min(run.stop, limit)
            yield slice(at, end)
            at = end


def _write_provenance(
    connection: duckdb.DuckDBPyConnection, source: MasterRows, sources: Sequence[Provenance]
) -> None:
    connection.execute("DELETE FROM provenance")
    connection.execute("DELETE FROM sources")
    bars = source.bars
    for name, value in {
        "instrument": bars.instrument.name,
        "bars_sha256": bars.sha256,
        "feature_version": source.version,
        "spreads": "recorded" if bars.spread_recorded else "assumed",
    }.items():
        connection.execute("INSERT INTO provenance VALUES (?, ?)", [name, value])
    for entry in sources:
        connection.execute(
            "INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                entry.source,
                entry.format,
                entry.timezone,
                entry.timezone_evidence,
                entry.sha256,
                entry.bars,
                entry.first_s,
                entry.last_s,
            ],
        )


def _publish(
    directory: Path, part: Path, name: str, manifest: MasterManifest | None, source: MasterRows, clock: Clock
) -> None:
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(directory / name)
    previous = manifest.file if manifest is not None and manifest.file != name else None
    state.write_json(
        directory / CURRENT,
        MasterManifest(
            schema_version=1,
            file=name,
            previous_file=previous,
            feature_version=source.version,
            bars_sha256=source.bars.sha256,
            bars=len(source.bars),
            built_s=clock.time_s(),
        ),
    )
    link = directory.parent / "master.duckdb"
    fresh = directory / ".master.link"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Path(directory.name) / name)
    os.replace(fresh, link)
    for path in directory.glob("master_*.duckdb"):
        if path.name not in {name, previous}:
            path.unlink()
