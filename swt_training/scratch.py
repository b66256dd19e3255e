"""A run's scratch directory for actors' weights: in memory where the system offers it, gone with its owner.

A killed trainer cannot tidy up, and what it left would fill the machine's memory. So each directory holds
a lock that dies with its process, and the next trainer removes those whose lock is free.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from swt_core.clock import Clock
from swt_core.logs import get_logger

PREFIX: Final = "swt-actors-"
_LOCK: Final = ".owner.lock"
# A directory is made, then locked: younger ones may be in between.
_SETTLED_S: Final = 60.0
# Nobody knows who owns one without a lock; after a day nobody does.
_ABANDONED_S: Final = 86_400.0

_log = get_logger(__name__)


class ScratchDirectory:
    """A new directory that lives as long as this object, or its process."""

    def __init__(self, parent: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent or ram_disk()))
        self._descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def cleanup(self) -> None:
        """Remove it; safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()


def sweep_scratch(clock: Clock, parent: Path | None = None) -> list[Path]:
    """Remove directories of this user whose owner is dead; returns them."""
    removed = []
    for path in sorted((parent or ram_disk()).glob(f"{PREFIX}*")):
        with suppress(OSError):
            found = path.lstat()
            if found.st_uid == os.getuid() and path.is_dir() and not path.is_symlink():
                age_s = clock.time_s() - found.st_mtime
                if age_s >= _SETTLED_S and _ownerless(path, age_s):
                    shutil.rmtree(path)
                    removed.append(path)
    if removed:
        _log.info("scratch of dead trainers removed", directories=len(removed))
    return removed


def ram_disk() -> Path:
    """Memory where the system offers it, else the usual place for temporary files."""
    shared = Path("/dev/shm")  # noqa: S108  (directories of its own are made inside)
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def _ownerless(path: Path, age_s: float) -> bool:
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return age_s >= _ABANDONED_S
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
