"""Injected time. No other module reads the system clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What business code may know about time. Seconds are UTC epoch seconds."""

    def time_s(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """A clock that never goes back; only differences mean anything."""
        ...


class AsyncClock(Clock, Protocol):
    """A clock one can wait on; the live trader knows no other way to sleep."""

    async def sleep_until(self, time_s: float) -> None:
        """Return once ``time_s()`` has reached ``time_s``."""
        ...


class SystemClock:
    """The wall clock."""

    def time_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep_until(self, time_s: float) -> None:
        while (delay := time_s - time.time()) > 0:
            await asyncio.sleep(min(delay, 60.0))


class ManualClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, time_s: float = 0.0) -> None:
        self._now_s = time_s

    def time_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now_s += seconds

    async def sleep_until(self, time_s: float) -> None:
        self._now_s = max(self._now_s, time_s)
        await asyncio.sleep(0)


def utc_datetime(time_s: float) -> datetime:
    """Epoch seconds as an aware UTC datetime."""
    return datetime.fromtimestamp(time_s, UTC)


def iso_utc(time_s: float) -> str:
    """Epoch seconds as ``2025-01-31T12:00:00Z``."""
    return utc_datetime(time_s).strftime("%Y-%m-%dT%H:%M:%SZ")
