"""SIGTERM and SIGINT, handed to a thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class SignalWatch:
    """Calls ``handle`` with the name of the first stop signal, in a thread of its own.

    Made in the main thread; `close` puts the former handlers back. The handler itself only writes to a
    pipe: taking a lock in it could wait for the code it interrupted.
    """

    def __init__(self, handle: Callable[[str], None]) -> None:
        self._handle = handle
        self._reader, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()
        self._previous = {number: signal.signal(number, self._note) for number in _STOP_SIGNALS}

    def close(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.write(self._writer, b"\0")
        self._thread.join()
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        os.write(self._writer, bytes([number]))

    def _watch(self) -> None:
        number = os.read(self._reader, 1)[0]
        if number:
            self._handle(signal.Signals(number).name)
