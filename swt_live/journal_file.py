"""The journal's file: SQLite in WAL mode, its transactions, its audit trail and its small records."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from swt_core.errors import StateError
from swt_live.journal_schema import MIGRATIONS

RecordT = TypeVar("RecordT", bound=BaseModel)


class JournalBroken(StateError):
    """The journal cannot be read or written: disk full, file corrupt. Nothing may be sent without it."""


class JournalFile:
    """The file; one writer, one process.

    Raises:
        JournalBroken: the file cannot be opened.
        StateError: it belongs to a newer build.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.path = Path(path)
        try:
            if read_only:
                self._db = sqlite3.connect(f"{self.path.resolve().as_uri()}?{self._reading()}", uri=True)
                self._db.row_factory = sqlite3.Row
                self._require_layout()
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise JournalBroken(
                f"cannot open the journal {self.path}: {error}",
                remedy="without its journal the trader does not trade: repair or move the file away",
            ) from error

    def _reading(self) -> str:
        """How to open it for reading.

        A file in WAL mode needs its companions even to be read. Where the trader is gone they are gone too,
        and on a read-only mount they cannot be made: then, without a writer, the file alone is everything.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        alone = not log.exists() or log.stat().st_size == 0
        return "immutable=1" if alone and not os.access(self.path.parent, os.W_OK) else "mode=ro"

    def _migrate(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise StateError(
                f"{self.path} has layout {version}, this build knows {len(MIGRATIONS)}",
                remedy="run the newer build",
            )
        for number in range(version, len(MIGRATIONS)):
            with self.transaction():
                for statement in MIGRATIONS[number]:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={number + 1}")

    def _require_layout(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version != len(MIGRATIONS):
            raise StateError(
                f"{self.path} has layout {version}, this build reads {len(MIGRATIONS)}",
                remedy="start the trader of this build once: it brings the journal up to date",
            )

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """All or nothing; nested uses join the outer one. Never ``await`` inside.

        Every commit survives the death of the process; a ``durable`` one, and all before it, a power cut.
        What such a cut takes back otherwise is read from the broker's log again, cursor and fills as one.
        """
        if self._db.in_transaction:
            yield
            return
        if durable:
            self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite may have rolled back by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            if durable:
                self._db.execute("PRAGMA synchronous=NORMAL")

    def _insert(self, table: str, row: Mapping[str, Any]) -> int:
        columns, holes = ", ".join(row), ", ".join("?" * len(row))
        cursor = self._db.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({holes})",  # noqa: S608 - names are ours
            tuple(row.values()),
        )
        return int(cursor.lastrowid or 0)

    def insert_new(self, table: str, row: Mapping[str, Any]) -> bool:
        """Add a row; False when its key is there already."""
        columns, holes = ", ".join(row), ", ".join("?" * len(row))
        cursor = self._db.execute(
            f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({holes})",  # noqa: S608 - names are ours
            tuple(row.values()),
        )
        return cursor.rowcount == 1

    def rows(self, query: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
        """What a query finds; rows are read by column name."""
        return list(self._db.execute(query, values))

    def audit(
        self, time_s: float, event: str, detail: str = "", *, action: str = "", duration_ms: float = 0.0
    ) -> None:
        """Add a line to the audit trail."""
        row = {
            "time_s": time_s,
            "event": event,
            "detail": detail,
            "action": action,
            "duration_ms": duration_ms,
        }
        self._insert("audit", row)

    def audits(self, event: str | None = None) -> list[tuple[float, str, str, str]]:
        """``(time_s, event, detail, action)`` of the audit trail, oldest first."""
        rows = self._db.execute(
            "SELECT time_s, event, detail, action FROM audit WHERE ?1 IS NULL OR event = ?1 ORDER BY id",
            (event,),
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def save(self, key: str, record: BaseModel) -> None:
        """Keep a small record under ``key``."""
        self._db.execute(
            "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, record.model_dump_json()),
        )

    def load(self, key: str, record: type[RecordT]) -> RecordT | None:
        """The record under ``key``; None when there is none yet.

        Raises:
            StateError: it is there but is not a ``record``.
        """
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            return record.model_validate_json(row[0])
        except ValidationError as error:
            raise StateError(f"{self.path}: state {key!r} is not a {record.__name__}: {error}") from error

    def writable(self) -> bool:
        """Whether the journal still takes writes: the disk has room and the file is sound."""
        try:
            self._db.execute(
                "INSERT INTO state VALUES ('alive', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
            )
        except sqlite3.Error:
            return False
        return True
