"""A pool's worker process: how it is started, and its life."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

from swt_core.numba_cache import configure_numba_cache

ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)

BEAT: Final = "beat"
READY: Final = "ready"

_PR_SET_PDEATHSIG: Final = 1


@contextmanager
def one_thread_environment() -> Iterator[None]:
    """Processes started inside compute with one thread: the libraries read this when they are loaded."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process, even a stopped one, as soon as ``parent`` ends (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it was gone before this was said


def work(
    pipe: Connection,
    number: int,
    initializer: Callable[[int], object] | None,
    heartbeat_s: float,
    parent: int,
) -> None:
    """The life of a worker: tasks in, results out, a heartbeat in between; it ends with its parent."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pool
    lock = threading.Lock()

    def send(message: object) -> None:
        with lock:
            pipe.send(message)

    def beat() -> None:
        silence = threading.Event()
        while not silence.wait(heartbeat_s):
            try:
                send(BEAT)
            except OSError:
                os._exit(1)  # the parent is gone: do not finish what nobody waits for

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    configure_numba_cache()
    failure = None
    try:
        if initializer is not None:
            initializer(number)
    except Exception:  # noqa: BLE001 — told to the parent with the first task
        failure = traceback.format_exc()
    with suppress(EOFError, OSError):
        send(READY)
        while True:
            function, task = pipe.recv()
            message: tuple[bool, Any]
            try:
                message = (False, failure) if failure else (True, function(task))
            except Exception:  # noqa: BLE001 — told to the parent
                message = (False, traceback.format_exc())
            send(message)
