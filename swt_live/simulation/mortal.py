"""A process that can die at any await: no ``except``, no ``finally``, nothing of it runs any more.

Every task of the process, also those it creates itself, is driven through `_Mortal`, which counts how
often one of them was resumed. Cancelling would run clean-up code that a ``kill -9`` does not run; here the
dead tasks end without their coroutines learning of it. The coroutines are kept until `bury`, so that
collecting them does not run it either.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

_PROCESS: contextvars.ContextVar[MortalProcess | None] = contextvars.ContextVar("process", default=None)


class MortalProcess:
    """Runs ``main`` as a process that dies at its ``dies_at``-th resumption, or when it is killed.

    Attributes:
        resumed: how often any of its tasks was resumed.
        on_death: what the operating system does then: closes sockets and files.
    """

    def __init__(self, dies_at: int | None = None) -> None:
        self.dies_at = dies_at
        self.resumed = 0
        self.dead = False
        self.failure: BaseException | None = None
        self.on_death: list[Callable[[], None]] = []
        self.gone = asyncio.Event()
        self._graves: list[Any] = []

    def start(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin to live."""
        context = contextvars.copy_context()
        context.run(_PROCESS.set, self)
        return asyncio.get_running_loop().create_task(self._live(main), context=context)

    async def _live(self, main: Coroutine[Any, Any, None]) -> None:
        try:
            await main
        except Exception as error:  # noqa: BLE001 - a process ends with whatever error it had
            self.failure = error
        self.kill()

    def kill(self) -> None:
        """Nothing of it runs after this await."""
        if self.dead:
            return
        self.dead = True
        self.gone.set()
        for action in self.on_death:
            action()

    def age(self) -> None:
        """Die when it is time."""
        if self.dies_at is not None and self.resumed >= self.dies_at:
            self.kill()

    def bury(self) -> None:
        """Forget what was alive; only now, with nothing left to harm, may its clean-up code run."""
        for body in self._graves:
            _end(body)
        self._graves.clear()

    def adopt(self, body: Coroutine[Any, Any, Any]) -> _Mortal:
        mortal = _Mortal(self, body)
        self._graves.append(body)
        if len(self._graves) > 64:
            self._graves = [kept for kept in self._graves if _alive(kept)]
        return mortal


def _end(body: Any) -> None:
    """Close a coroutine from the inside out; what its clean-up code awaits is closed in turn.

    Closed from the outside, one whose clean-up awaits would be left behind, for the collector to complain.
    """
    while _alive(body):
        inner = body
        while _alive(getattr(inner, "cr_await", None)):
            inner = inner.cr_await
        with suppress(BaseException):
            inner.close()


def _alive(body: Any) -> bool:
    frame = getattr(body, "cr_frame", None)
    return frame is not None


class _Mortal(Coroutine[Any, Any, Any]):
    def __init__(self, process: MortalProcess, body: Coroutine[Any, Any, Any]) -> None:
        self._process = process
        self._body = body

    @property
    def is_dead(self) -> bool:
        return self._process.dead

    def send(self, value: Any) -> Any:
        process = self._process
        if process.dead:
            raise StopIteration
        process.resumed += 1
        result = self._body.send(value)
        process.age()
        return result

    def throw(self, *error: Any) -> Any:
        if self._process.dead:
            raise StopIteration
        self._process.resumed += 1
        result = self._body.throw(*error)
        self._process.age()
        return result

    def close(self) -> None:
        """Left to `MortalProcess.bury`."""

    def __await__(self) -> Any:
        raise RuntimeError("a task's coroutine is not awaited twice")


def mortal_tasks(
    loop: asyncio.AbstractEventLoop, body: Any, context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    """A task factory: tasks that a mortal process creates die with it."""
    process = _PROCESS.get() if context is None else context.get(_PROCESS)
    if process is None:
        return asyncio.Task(body, loop=loop, context=context)
    task: asyncio.Task[Any] = asyncio.Task(process.adopt(body), loop=loop, context=context)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


def silence_the_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler: what a dead process's task raised is nobody's any more."""
    body = context["future"].get_coro() if isinstance(context.get("future"), asyncio.Task) else None
    if not (isinstance(body, _Mortal) and body.is_dead):
        loop.default_exception_handler(context)
