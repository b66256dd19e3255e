"""A token bucket that keeps requests below the broker's limit of 120 a second."""

from __future__ import annotations

import asyncio


class RateLimit:
    """At most ``per_second`` requests a second, short bursts of as many allowed; callers wait in order.

    Time is the event loop's, so a simulation with a virtual loop is limited in virtual time.
    """

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1.0 / per_second
        self._burst_s = 1.0
        self._next_s = float("-inf")

    async def acquire(self) -> None:
        """Wait for the right to send one request."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._next_s = max(self._next_s, now_s - self._burst_s) + self._interval_s
        if self._next_s > now_s:
            await asyncio.sleep(self._next_s - now_s)
