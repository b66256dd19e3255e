"""Room for the journal: how much is free, and whether a broken journal can be written again."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from swt_core.errors import StateError
from swt_core.state import StateDirectory, write_bytes
from swt_live.journal import Journal, JournalBroken

_BYTES_PER_MB = 1_000_000
_PROBE = ".probe"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(path: Path) -> int | None:
    """Free space where ``path`` lies; None when nobody can tell."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def too_little(free: int | None, minimum_mb: float) -> bool:
    """Whether less than ``minimum_mb`` is free; what is unknown is not well either."""
    return free is None or free < minimum_mb * _BYTES_PER_MB


def journal_fault(path: Path) -> str | None:
    """Why the journal cannot be used; None when it can be opened and written."""
    try:
        journal = Journal(path)
    except JournalBroken as error:
        return error.message
    try:
        return None if journal.writable() else f"{path} cannot be written"
    finally:
        journal.close()


def disk_full(state: StateDirectory) -> str | None:
    """Why nothing can be written to the state directory, if that is for want of room; else None."""
    try:
        write_bytes(state.file(_PROBE), b"room\n")
    except StateError as error:
        cause = error.__cause__
        return error.message if isinstance(cause, OSError) and cause.errno in _FULL else None
    state.file(_PROBE).unlink(missing_ok=True)
    return None
