"""Counts requests on their way, so that a shared clock can wait for their answers."""

from __future__ import annotations

import asyncio

# Turns of the event loop in which a task that got its answer may send its next request.
_TURNS = 8


class InFlight:
    """An async context manager around each request."""

    def __init__(self) -> None:
        self._count = 0
        self._begun = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> None:
        self._count += 1
        self._begun += 1
        self._idle.clear()

    async def __aexit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Return when nothing is in flight, and no answer has just led to a further request."""
        while True:
            await self._idle.wait()
            begun = self._begun
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if self._begun == begun and not self._count:
                return
