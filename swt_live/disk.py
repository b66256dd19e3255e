"""Room for the journal: how much is free, and whether a broken journal can be written again."""

from __future__ import annotations

import shutil
from pathlib import Path

from swt_live.journal import Journal, JournalBroken

_BYTES_PER_MB = 1_000_000


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
