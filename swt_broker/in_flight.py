"""Counts requests on their way, so that a shared clock can wait for their answers."""

from __future__ import annotations

import asyncio


class InFlight:
    """An async context manager around each request; `wait_idle` returns when none is inside."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> None:
        self._count += 1
        self._idle.clear()

    async def __aexit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Return when nothing is in flight."""
        await self._idle.wait()
