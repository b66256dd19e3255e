"""EMERGENCY_STOP is seen while the trader sleeps or waits for an answer that does not come.

The trader looks at its flags at the start of each step. A step may hang in a request for as long as the
request's deadline, so while anything could be open a second task looks four times a second. It wakes the
sleeper; a step that has not ended a moment later is cancelled, as a crash would end it: every await is a
place where the trader may be killed and started again, so nothing is lost but the wait. An order that was
under way stays an undecided intent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType

from swt_core.clock import AsyncClock
from swt_core.errors import StateError
from swt_core.state import StateDirectory

EMERGENCY_FLAG = "EMERGENCY_STOP"
# Together the longest time from the flag to the step that serves it.
POLL_S = 0.25
GRACE_S = 0.25


class EmergencyWatch:
    """Guards steps and sleeps; with no clock it only runs them."""

    def __init__(self, directory: StateDirectory, clock: AsyncClock | None) -> None:
        self._directory = directory
        self._clock = clock
        self._at_stake = asyncio.Event()
        self._step: asyncio.Task[None] | None = None
        self._sleeper: asyncio.Future[None] | None = None
        self._seen = False
        self._interrupted = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> EmergencyWatch:
        if self._clock is not None:
            self._task = asyncio.create_task(self._run(self._clock))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def seen(self, emergency: bool) -> None:
        """The step in progress knows of the flag, or that there is none."""
        self._seen = emergency

    async def guarded(self, step: Coroutine[None, None, None]) -> None:
        """Run one step; one that was cancelled for the emergency ends quietly."""
        if self._clock is None:
            await step
            return
        self._sleeper, self._interrupted = None, False
        self._step = asyncio.ensure_future(step)
        self._at_stake.set()
        try:
            await self._step
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        finally:
            self._step = None

    def resting(self, sleeper: asyncio.Future[None] | None) -> None:
        """The trader sleeps; None: nothing is open, so its next step is early enough."""
        self._sleeper, self._interrupted = sleeper, False
        if sleeper is None:
            self._at_stake.clear()

    def woke(self) -> bool:
        """Whether it was this that ended the sleep."""
        return self._interrupted

    async def _run(self, clock: AsyncClock) -> None:
        while True:
            await self._at_stake.wait()
            await clock.sleep_until(clock.time_s() + POLL_S)
            if self._seen or not self._flagged():
                continue
            step = self._step
            if step is None:
                self._interrupt(self._sleeper)
                continue
            await clock.sleep_until(clock.time_s() + GRACE_S)
            if self._step is step and not self._seen:
                self._interrupt(step)

    def _interrupt(self, waiting: asyncio.Future[None] | None) -> None:
        if waiting is not None and not waiting.done():
            self._interrupted = True
            waiting.cancel()

    def _flagged(self) -> bool:
        """A directory that cannot be read is the trader's to report."""
        try:
            return self._directory.flag(EMERGENCY_FLAG)
        except StateError:
            return False
