"""The installation itself: may its state be written, is there data, is the data fresh."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from swt_core.calendar import MINUTE_S, open_minutes_between
from swt_core.clock import iso_utc
from swt_core.config import DataConfig
from swt_core.errors import DataError, StateError
from swt_core.instruments import instrument
from swt_core.workspace import Workspace
from swt_data.files import read_bars
from swt_data.store import BarStore
from swt_ops.findings import Finding, fail, ok, warn

# A trading day of bars missing is worth a look, a week means that nobody keeps them current.
_LATE_MINUTES: Final = 1440
_OLD_MINUTES: Final = 5 * 1440


def check_state_directories(workspace: Workspace) -> list[Finding]:
    """One line a directory; a missing one is judged by where it would be made."""
    places = (
        workspace.checkpoints,
        workspace.training_state,
        workspace.validation_state,
        workspace.live_state,
        workspace.practice_state,
    )
    return [_writable(place) for place in places]


def _writable(directory: Path) -> Finding:
    name = f"write {directory.name}"
    absolute = directory.absolute()
    place = next(path for path in (absolute, *absolute.parents) if path.exists())
    text = str(absolute) if place == absolute else f"{absolute} can be made"
    try:
        with tempfile.TemporaryFile(dir=place):
            return ok(name, text)
    except OSError as error:
        reason = error.strerror or str(error)
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return warn(
            name, f"{place} is mounted read-only", "right where another container writes it, else mount it rw"
        )
    return fail(name, f"{place}: {reason}", f"give this user (uid {os.getuid()}) write permission")


def check_data(data: DataConfig, now_s: float) -> Finding:
    """The newest configured bar, by its age in minutes of open market."""
    if data.bars_file is None:
        return ok("data", f"synthetic market {data.market!r}: nothing there ages")
    path, pair = Path(data.bars_file), instrument(data.instrument)
    try:
        last_s = _newest_in_store(path, data) if path.is_dir() else None
        if last_s is None:
            last_s = int(read_bars(path, pair, data.spread_pips).time_s[-1])
    except (DataError, StateError) as error:
        return fail("data", error.message, error.remedy or "check data.bars_file; `swt data check` says more")
    late = int(open_minutes_between(last_s + MINUTE_S, int(now_s)))
    text = f"{path}: newest bar {iso_utc(last_s)}, {late} minutes of open market ago"
    remedy = "`swt data update --every 60` keeps a store current" if path.is_dir() else "import newer bars"
    if late > _OLD_MINUTES:
        return warn("data", f"{text}: old", remedy)
    return warn("data", text, remedy) if late > _LATE_MINUTES else ok("data", text)


def _newest_in_store(path: Path, data: DataConfig) -> int:
    pair = instrument(data.instrument)
    inside = path.name == pair.name and (path / "current.json").exists()
    manifest = BarStore(path.parent if inside else path, pair).manifest()
    if manifest is None or not manifest.parts:
        raise DataError(f"{path} holds no bars of {pair.name}", remedy="run `swt data download`")
    return max(part.last_s for part in manifest.parts)
