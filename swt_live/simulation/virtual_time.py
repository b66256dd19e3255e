"""An event loop whose time jumps to the next timer as soon as nothing can run: no sleeping, no race."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits, and no timer is set: in real time this would wait for ever."""


class _JumpingSelector(selectors.BaseSelector):
    """Waits for nothing: it moves the loop's time instead."""

    def __init__(self) -> None:
        self.jump: Callable[[], None] = lambda: None
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        if timeout > 0:
            self.jump()
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its ``time()`` is UTC epoch seconds of the simulated market, from ``start_s`` on."""

    def __init__(self, start_s: float) -> None:
        self.now_s = start_s
        selector = _JumpingSelector()
        super().__init__(selector)
        self._clock_resolution = 1e-6
        selector.jump = self._jump

    def time(self) -> float:
        return self.now_s

    def _jump(self) -> None:
        self.now_s = max(self.now_s, self._scheduled[0]._when)  # type: ignore[attr-defined]

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""


class LoopClock:
    """An `AsyncClock` on the running loop's own time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def time_s(self) -> float:
        return self._loop.time()

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep_until(self, time_s: float) -> None:
        if time_s <= self._loop.time():
            await asyncio.sleep(0)
            return
        due: asyncio.Future[None] = self._loop.create_future()
        handle = self._loop.call_at(time_s, _settle, due)
        try:
            await due
        finally:
            handle.cancel()


def _settle(due: asyncio.Future[None]) -> None:
    if not due.done():
        due.set_result(None)


def run_virtual(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]], start_s: float) -> T:
    """Run ``main(loop)`` from ``start_s`` on, then cancel whatever is left."""
    loop = VirtualLoop(start_s)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(loop))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
