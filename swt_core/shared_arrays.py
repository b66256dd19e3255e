"""Arrays that many tasks read: named in a task, loaded where it runs.

Local workers read them from files, on a RAM disk where there is one. Each owner has a directory of its own
and holds a lock in it while it lives; what owners that were killed left behind is removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from swt_core.logs import get_logger

Arrays = Mapping[str, NDArray[Any]]

PREFIX: Final = "swt-actors-"
KEPT: Final = 2
_LOCK: Final = "owner.lock"
_RAM_DISK: Final = Path("/dev/shm")  # noqa: S108  (each owner makes a directory of its own inside)

_log = get_logger(__name__)


class SharedArrays(Protocol):
    """A name for arrays; small, and can be sent to a worker."""

    def load(self) -> dict[str, NDArray[Any]]:
        """The arrays, wherever this runs; not to be written to."""
        ...


@dataclass(frozen=True)
class HeldArrays:
    """Arrays that travel with the task."""

    arrays: dict[str, NDArray[Any]]

    def load(self) -> dict[str, NDArray[Any]]:
        return self.arrays


@dataclass(frozen=True)
class FileArrays:
    """Arrays in a safetensors file that every worker can read."""

    path: Path

    def load(self) -> dict[str, NDArray[Any]]:
        return load_file(self.path)


class ArrayFiles:
    """Writes shared arrays to files for processes of this machine; the last `KEPT` are kept.

    Args:
        directory: where the owner's directory is made; by default the RAM disk, else the usual temporary
            directory. A RAM disk that is full or cannot be written is left for the latter.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._fallback = Path(tempfile.gettempdir())
        wanted = directory or (_RAM_DISK if os.access(_RAM_DISK, os.W_OK) else self._fallback)
        sweep(wanted)
        self._number = 0
        self._files: list[Path] = []
        self._own = _OwnedDirectory(wanted)

    @property
    def path(self) -> Path:
        """The owner's directory."""
        return self._own.path

    def share(self, arrays: Arrays) -> FileArrays:
        """Write one file.

        Raises:
            OSError: nowhere is room for it.
        """
        try:
            path = self._write(arrays)
        except OSError as error:
            if self._own.path.parent == self._fallback:
                raise
            _log.warning("weights do not fit the RAM disk", path=str(self._own.path), error=str(error))
            self._own.remove()
            self._files.clear()
            self._own = _OwnedDirectory(self._fallback)
            path = self._write(arrays)
        self._files.append(path)
        while len(self._files) > KEPT:
            self._files.pop(0).unlink(missing_ok=True)
        return FileArrays(path)

    def close(self) -> None:
        """Remove everything; safe to call twice."""
        self._own.remove()

    def _write(self, arrays: Arrays) -> Path:
        self._number += 1
        path = self._own.path / f"{self._number}.safetensors"
        try:
            save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
        except Exception as error:
            path.unlink(missing_ok=True)
            # safetensors reports a full disk with an exception of its own.
            raise error if isinstance(error, OSError) else OSError(str(error)) from error
        return path


class _OwnedDirectory:
    """A directory whose owner holds a lock in it; it gets its name once it is locked."""

    def __init__(self, parent: Path) -> None:
        made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
        self._lock = os.open(made / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = made.rename(parent / made.name[1:])
        self._open = True

    def remove(self) -> None:
        if self._open:
            self._open = False
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)


def sweep(parent: Path) -> list[Path]:
    """Remove directories whose owners no longer live; those removed.

    A lock tells the living from the dead, also across containers that share ``parent``.
    """
    removed = []
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, or another process sweeps it
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
                removed.append(path)
            finally:
                os.close(lock)
    if removed:
        _log.info("weights of dead processes removed", directories=len(removed))
    return removed
