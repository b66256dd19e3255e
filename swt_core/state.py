"""State directories: the only way daemons talk (`docs/contracts.md` §12).

One writer a directory; every file is versioned JSON, replaced atomically. A reader takes a missing file
as "not yet" and a broken one as a `StateError` that it reports and survives.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swt_core.clock import Clock
from swt_core.errors import StateError
from swt_core.json_text import Payload, to_json

HEARTBEAT_FILE = "heartbeat.json"
_TEMPORARY_SUFFIX = ".tmp"
_serial = itertools.count()


class StateRecord(BaseModel):
    """Base of what lies in state files: frozen, versioned, readable by older and newer builds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = Field(1, ge=1, description="version of this record's layout")


class Heartbeat(StateRecord):
    """A daemon's sign of life."""

    time_s: float = Field(description="when it was written, UTC epoch seconds")
    pid: int = Field(description="process id of the writer")
    status: str = Field(description="what the daemon is doing, in a word or two")
    counters: dict[str, float] = Field(default_factory=dict, description="progress so far")

    def age_s(self, clock: Clock) -> float:
        """Seconds since it was written; never negative."""
        return max(0.0, clock.time_s() - self.time_s)

    def ahead_s(self, clock: Clock) -> float:
        """Seconds until the time it is stamped with, where the clock was set back since; never negative."""
        return max(0.0, self.time_s - clock.time_s())


RecordT = TypeVar("RecordT", bound=BaseModel)


def sync_directory(directory: Path) -> None:
    """Make renames in ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` atomically: temporary file, fsync, rename, fsync of the directory.

    Raises:
        StateError: the directory cannot be written (full, read-only, missing permission).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}{_TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise StateError(
            f"cannot write {path}: {error.strerror or error}",
            remedy="free space, or make the directory writable",
        ) from error


def no_room(error: StateError) -> bool:
    """Whether a file could not be written because the disk, or its owner's share of it, is full."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def write_json(path: Path, payload: Payload) -> None:
    """Replace ``path`` atomically with ``payload`` as JSON.

    Raises:
        StateError: the file cannot be written.
        TypeError: the payload holds something JSON has no word for.
    """
    write_bytes(path, (to_json(payload, indent=2) + "\n").encode())


def read_json(path: Path, record: type[RecordT]) -> RecordT | None:
    """The record in ``path``; None when there is no such file yet.

    Raises:
        StateError: the file is there but is not a ``record``.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error
    return _parse(text, record, str(path))


def _parse(text: bytes, record: type[RecordT], where: str) -> RecordT:
    try:
        return record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise StateError(
            f"{where} is not a valid {record.__name__}: {field + ': ' if field else ''}{first['msg']}",
            remedy="the writer replaces it; if it stays broken, move it away",
        ) from error


def append_jsonl(path: Path, payload: Payload, *, durable: bool = True) -> None:
    """Append one line; a torn line that a crash left at the end is dropped first.

    Args:
        durable: whether the line must survive a power cut once this returns.

    Raises:
        StateError: the file cannot be written.
    """
    line = (to_json(payload) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            # What looks torn may be another process's line that is just being written.
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            _drop_torn_line(file.fileno())
            file.write(line)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except OSError as error:
        raise StateError(f"cannot append to {path}: {error.strerror or error}") from error


def _drop_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    end = size
    while end > 0:
        start = max(0, end - 65_536)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            os.ftruncate(descriptor, start + newline + 1)
            return
        end = start
    os.ftruncate(descriptor, 0)


@overload
def read_jsonl(path: Path, record: type[RecordT]) -> list[RecordT]: ...
@overload
def read_jsonl(path: Path, record: None = None) -> list[dict[str, Any]]: ...
def read_jsonl(path: Path, record: type[RecordT] | None = None) -> list[RecordT] | list[dict[str, Any]]:
    """All complete lines of ``path``, oldest first; none when there is no file.

    The last line counts only once its newline is there: a torn one was never written.

    Raises:
        StateError: an earlier line is broken; it names the line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error
    lines = content.split(b"\n")[:-1]
    if record is not None:
        return [_parse(line, record, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise StateError(f"{path}:{number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise StateError(f"{path}:{number} is not a JSON object")
        rows.append(row)
    return rows


def write_heartbeat(
    directory: Path, clock: Clock, status: str, counters: Mapping[str, float] | None = None
) -> Heartbeat:
    """Write ``heartbeat.json``: the writer is alive, and this is what it has done so far."""
    heartbeat = Heartbeat(
        time_s=clock.time_s(), pid=os.getpid(), status=status, counters=dict(counters or {})
    )
    write_json(directory / HEARTBEAT_FILE, heartbeat)
    return heartbeat


def read_heartbeat(directory: Path) -> Heartbeat | None:
    """The last heartbeat in ``directory``; None when there was none yet."""
    return read_json(directory / HEARTBEAT_FILE, Heartbeat)


def flag(path: Path) -> bool:
    """Whether a flag file (START_TRADING, EMERGENCY_STOP) is there.

    Raises:
        StateError: the directory cannot be looked at, so nobody knows.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StateError(f"cannot look for {path}: {error.strerror or error}") from error
    return True


def raise_flag(path: Path, text: str = "") -> None:
    """Create a flag file; ``text`` says who and why."""
    write_bytes(path, text.encode())


def lower_flag(path: Path) -> None:
    """Remove a flag file; one that is not there is fine."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"cannot remove {path}: {error.strerror or error}") from error


class StateDirectory:
    """A daemon's directory; relative names, the functions above."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"StateDirectory({str(self.path)!r})"

    def file(self, name: str) -> Path:
        return self.path / name

    def subdirectory(self, name: str) -> StateDirectory:
        return StateDirectory(self.path / name)

    def write(self, name: str, payload: Payload) -> None:
        write_json(self.path / name, payload)

    def read(self, name: str, record: type[RecordT]) -> RecordT | None:
        return read_json(self.path / name, record)

    def append(self, name: str, payload: Payload, *, durable: bool = True) -> None:
        append_jsonl(self.path / name, payload, durable=durable)

    def lines(self, name: str, record: type[RecordT]) -> list[RecordT]:
        return read_jsonl(self.path / name, record)

    def beat(self, clock: Clock, status: str, counters: Mapping[str, float] | None = None) -> Heartbeat:
        return write_heartbeat(self.path, clock, status, counters)

    def heartbeat(self) -> Heartbeat | None:
        return read_heartbeat(self.path)

    def flag(self, name: str) -> bool:
        return flag(self.path / name)

    def raise_flag(self, name: str, text: str = "") -> None:
        raise_flag(self.path / name, text)

    def lower_flag(self, name: str) -> None:
        lower_flag(self.path / name)

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Be the one writer of this directory; what a crashed writer left half-written is swept away.

        Raises:
            StateError: another process is writing here.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".writer.lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StateError(f"cannot write in {self.path}: {error.strerror or error}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StateError(
                    f"another process is writing in {self.path}",
                    remedy="stop it first: a state directory has one writer",
                ) from error
            for leftover in self.path.glob(f".*{_TEMPORARY_SUFFIX}"):
                leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)
