"""Moves an installation's state and checkpoints to this version, or to another place.

Every state file carries ``schema_version``, the journal a layout number, every checkpoint the hash that its
manifest vouches for. A file that is newer than this version is refused: nothing is guessed. The original
stays until everything new lies there whole.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from swt_core.checkpoints import CheckpointStore
from swt_core.errors import ConfigError, StateError
from swt_core.state import StateDirectory, sync_directory, write_bytes
from swt_core.workspace import Workspace
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.journal_schema import MIGRATIONS

# Version of the records in state files; `UPGRADES` leads from each older one to the next.
STATE_SCHEMA: Final = 1
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
UPGRADES: Final[Mapping[int, Upgrade]] = {}
DIRECTORIES: Final = ("checkpoints", "training_state", "validation_state", "live_state", "practice_state")

Action = Literal["keep", "upgrade", "refuse"]


@dataclass(frozen=True)
class Item:
    """One file and what becomes of it."""

    path: str
    found: int
    wanted: int
    action: Action
    why: str = ""


@dataclass(frozen=True)
class Moved:
    """What was found, and what was done.

    Attributes:
        backup: archive of everything as it was; None: nothing was changed in place.
        root: where the state lies now.
    """

    items: tuple[Item, ...]
    root: Path
    backup: Path | None = None
    checkpoints: int = 0


def survey(root: Path, schema: int = STATE_SCHEMA) -> list[Item]:
    """Every versioned file below ``root`` and what has to be done with it; nothing is changed.

    Raises:
        ConfigError: there is no state in ``root``.
    """
    if not any((root / name).is_dir() for name in DIRECTORIES):
        raise ConfigError(f"{root} holds no state of an installation", remedy="name the root, as ./state")
    items = [_item(root, path, version, schema) for path, version in _versions(root)]
    journal = root / "live_state" / JOURNAL_FILE
    if journal.exists():
        items.append(_item(root, journal, _layout(journal), len(MIGRATIONS)))
    return items


def migrate_state(
    source: Path,
    target: Path | None,
    *,
    backup: Path | None = None,
    upgrades: Mapping[int, Upgrade] = UPGRADES,
    schema: int = STATE_SCHEMA,
) -> Moved:
    """Bring the state in ``source`` to this version: in place after a backup, or as a copy in ``target``.

    In place every file is replaced atomically, so that an interrupted run is only run again. A copy becomes
    ``target`` in one step, and ``source`` stays as it is.

    Args:
        backup: the archive to write before a change in place; it must not be there yet.

    Raises:
        StateError: a file is broken or newer than this version, a daemon still runs, or a disk is full.
        CorruptCheckpointError: a checkpoint is not what its manifest vouches for.
        ConfigError: ``target`` or ``backup`` is there already, or neither is given.
    """
    items = survey(source, schema)
    refused = [item for item in items if item.action == "refuse"]
    if refused:
        first = refused[0]
        raise StateError(f"{source / first.path}: {first.why}", remedy="run the version that wrote it")
    with _all_writers(source):
        if target is not None:
            return _copy(source, target, items, upgrades, schema)
        if backup is None:
            raise ConfigError("a migration in place takes a backup", remedy="name the archive to write")
        checked = _verify(source)
        _archive(source, backup)
        _upgrade(source, items, upgrades, schema)
        return Moved(tuple(items), source, backup, checked)


def _copy(
    source: Path, target: Path, items: Sequence[Item], upgrades: Mapping[int, Upgrade], schema: int
) -> Moved:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is not empty", remedy="name a directory that is not there yet")
    if target.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{target} lies inside {source}", remedy="name a directory beside it")
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        for name in DIRECTORIES:
            if (source / name).is_dir():
                shutil.copytree(
                    source / name, part / name, ignore=shutil.ignore_patterns(".*.tmp", ".writer.lock")
                )
        checked = _verify(part)
        _upgrade(part, items, upgrades, schema)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        sync_directory(target.parent)
    except OSError as error:
        raise StateError(f"cannot copy to {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Moved(tuple(items), target, None, checked)


def _upgrade(root: Path, items: Sequence[Item], upgrades: Mapping[int, Upgrade], schema: int) -> None:
    for item in items:
        if item.action != "upgrade":
            continue
        path = root / item.path
        if path.name == JOURNAL_FILE:
            Journal(path).close()
            continue
        record = json.loads(path.read_bytes())
        for version in range(item.found, schema):
            record = {**upgrades[version](record), "schema_version": version + 1}
        write_bytes(path, (json.dumps(record, indent=2) + "\n").encode())


def _verify(root: Path) -> int:
    """Every checkpoint is what its manifest vouches for; returns how many there are."""
    store = CheckpointStore(root / "checkpoints")
    found = store.list()
    for ref in found:
        store.load(ref)
    return len(found)


def _archive(source: Path, backup: Path) -> None:
    if backup.exists():
        raise ConfigError(f"{backup} is there already", remedy="name another archive")
    part = backup.with_name(f".{backup.name}.part")
    try:
        backup.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(part, "w:gz") as archive:
            for name in DIRECTORIES:
                if (source / name).is_dir():
                    archive.add(source / name, arcname=name)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, backup)
        sync_directory(backup.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StateError(f"cannot write the backup {backup}: {error.strerror or error}") from error


def _all_writers(root: Path) -> ExitStack:
    """Be the one writer of every directory: no daemon runs meanwhile."""
    with ExitStack() as stack:
        for name in DIRECTORIES[1:]:
            if (root / name).is_dir():
                stack.enter_context(StateDirectory(root / name).writer())
        return stack.pop_all()


def _versions(root: Path) -> Iterator[tuple[Path, int]]:
    workspace = Workspace(root)
    places = (
        workspace.checkpoints,
        workspace.training_state,
        workspace.validation_state,
        workspace.live_state,
        workspace.practice_state,
    )
    for place in places:
        for path in sorted(place.rglob("*.json")):
            try:
                record = json.loads(path.read_bytes())
            except ValueError as error:
                raise StateError(
                    f"{path} is not JSON: {error}", remedy="restore it, or move it away"
                ) from error
            if isinstance(record, dict) and isinstance(record.get("schema_version"), int):
                yield path, record["schema_version"]


def _layout(journal: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return int(database.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise StateError(f"{journal} cannot be read: {error}", remedy="restore it from a backup") from error


def _item(root: Path, path: Path, found: int, wanted: int) -> Item:
    name = str(path.relative_to(root))
    if found > wanted:
        why = f"it has version {found}, this version of SWT knows {wanted}"
        return Item(name, found, wanted, "refuse", why)
    return Item(name, found, wanted, "keep" if found == wanted else "upgrade")
