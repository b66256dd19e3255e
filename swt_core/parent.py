"""No orphans: a supervised process ends when its supervisor does, even one that was killed.

The supervisor holds the write end of the process's standard input and writes nothing. When it is gone,
however it went, the kernel closes that end and the read returns: no polling, no signal that a thread could
miss, the same on every POSIX system.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from typing import Final

SUPERVISED_VARIABLE: Final = "SWT_SUPERVISED"
ORPHANED_EXIT_CODE: Final = 76
# A graceful stop has its own limit (process_limits.stop_seconds); this is for what even that does not end.
DEFAULT_GRACE_S: Final = 60.0


def supervised(environ: Mapping[str, str]) -> bool:
    """Whether a supervisor started this process."""
    return bool(environ.get(SUPERVISED_VARIABLE))


def end_with_parent(descriptor: int = 0, grace_s: float = DEFAULT_GRACE_S) -> threading.Thread:
    """Watch ``descriptor``; at its end, SIGTERM to this process, and its hard end ``grace_s`` later.

    Args:
        descriptor: read end of a pipe whose write end only the supervisor holds.
        grace_s: how long a graceful stop may take, s.
    """

    def watch() -> None:
        while _read(descriptor):
            pass
        # Nothing is logged: whoever read this process's output is gone too, and writing would fail.
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(grace_s)
        os._exit(ORPHANED_EXIT_CODE)

    thread = threading.Thread(target=watch, name="parent", daemon=True)
    thread.start()
    return thread


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
