"""Worker pool: one interface, here with local spawned processes.

A worker that dies, hangs or stops its heartbeat is replaced and its task given to another; a task that
ends several workers is given up with an error. Each worker computes with one BLAS thread.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from swt_core.clock import Clock, SystemClock
from swt_core.errors import SWTError
from swt_core.logs import get_logger
from swt_core.numba_cache import configure_numba_cache
from swt_core.worker import BEAT, READY, one_thread_environment, work

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

# A new worker imports torch before it says anything.
_START_S: Final = 120.0

_log = get_logger(__name__)


class WorkerError(SWTError):
    """A task failed in a worker, or ended several workers."""


class WorkerPool(Protocol):
    """Runs a function over tasks on several workers."""

    @property
    def workers(self) -> int:
        """How many tasks run at once."""
        ...

    def map(
        self, function: Callable[[TaskT], ResultT], tasks: Iterable[TaskT], *, ordered: bool = True
    ) -> Iterator[ResultT]:
        """Results in the order of the tasks, or as they come when not ``ordered``.

        Raises:
            WorkerError: the function raised, or ended its worker repeatedly.
        """
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def default_workers() -> int:
    """85 % of the cores, at least one."""
    return max(1, int(0.85 * (os.cpu_count() or 1)))


class SerialPool:
    """Runs tasks one by one in this process: for tests, debugging, and where one core is all there is."""

    workers = 1

    def map(
        self, function: Callable[[TaskT], ResultT], tasks: Iterable[TaskT], *, ordered: bool = True
    ) -> Iterator[ResultT]:
        del ordered
        return map(function, tasks)

    def close(self) -> None:
        pass


@dataclass
class _Job:
    run: int
    index: int
    function: Callable[[Any], Any]
    task: Any
    attempts: int = 0


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    heard_s: float
    ready: bool = False
    job: _Job | None = None
    started_s: float = 0.0


@dataclass
class _Run:
    """One call of `map`: what is waiting, and what has come back out of turn."""

    number: int
    waiting: deque[_Job] = field(default_factory=deque)
    results: dict[int, Any] = field(default_factory=dict)


class LocalPool:
    """Spawned processes on this machine.

    Args:
        workers: how many; by default 85 % of the cores.
        initializer: called once in each new worker with its number (importable, or a `functools.partial`).
        heartbeat_s: how often a worker says that it lives.
        silence_s: how long it may say nothing before it is replaced; longer than the longest kernel, which
            lets no other thread speak.
        task_timeout_s: how long one task may take before its worker counts as hung; None: for ever.
        attempts: how many workers one task may end before it is given up.
        clock: injected time.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        initializer: Callable[[int], object] | None = None,
        heartbeat_s: float = 1.0,
        silence_s: float = 60.0,
        task_timeout_s: float | None = None,
        attempts: int = 2,
        clock: Clock | None = None,
    ) -> None:
        if (workers is not None and workers < 1) or attempts < 1:
            raise ValueError("a pool needs at least one worker and one attempt")
        self.replaced = 0
        self._initializer = initializer
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        self._task_timeout_s = task_timeout_s
        self._attempts = attempts
        self._clock = clock or SystemClock()
        self._context = multiprocessing.get_context("spawn")
        self._runs = 0
        self._closed = False
        configure_numba_cache()
        self._team = [self._hire(number) for number in range(workers or default_workers())]

    @property
    def workers(self) -> int:
        return len(self._team)

    def map(
        self, function: Callable[[TaskT], ResultT], tasks: Iterable[TaskT], *, ordered: bool = True
    ) -> Iterator[ResultT]:
        """See `WorkerPool.map`; one call at a time. Abandoning the iterator abandons its tasks."""
        if self._closed:
            raise WorkerError("the pool is closed")
        self._runs += 1
        run = _Run(self._runs)
        run.waiting.extend(_Job(run.number, index, function, task) for index, task in enumerate(tasks))
        return self._results(run, ordered)

    def close(self) -> None:
        """End all workers, those at work too; safe to call twice."""
        self._closed = True
        for worker in self._team:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._team:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._team.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _results(self, run: _Run, ordered: bool) -> Iterator[Any]:
        total, given = len(run.waiting), 0
        while given < total:
            self._hand_out(run)
            self._listen(run)
            while run.results:
                key = given if ordered else next(iter(run.results))
                if key not in run.results:
                    break
                given += 1
                yield run.results.pop(key)

    def _hand_out(self, run: _Run) -> None:
        for number, worker in enumerate(self._team):
            if worker.job is None and run.waiting:
                job = run.waiting.popleft()
                try:
                    worker.pipe.send((job.function, job.task))
                except OSError:
                    run.waiting.appendleft(job)
                    self._replace(number, run, "died while idle")
                    continue
                worker.job, worker.started_s = job, self._clock.monotonic_s()

    def _listen(self, run: _Run) -> None:
        pipes: dict[Any, int] = {worker.pipe: number for number, worker in enumerate(self._team)}
        for pipe in wait(list(pipes), timeout=self._heartbeat_s):
            self._receive(pipes[pipe], run)
        now_s = self._clock.monotonic_s()
        for number, worker in enumerate(self._team):
            if now_s - worker.heard_s > self._silence_s:
                self._replace(number, run, "stopped its heartbeat")
            elif (
                worker.ready
                and worker.job is not None
                and self._task_timeout_s is not None
                and now_s - worker.started_s > self._task_timeout_s
            ):
                self._replace(number, run, f"took longer than {self._task_timeout_s:g} s for a task")

    def _receive(self, number: int, run: _Run) -> None:
        worker = self._team[number]
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(number, run, "died")
            return
        worker.heard_s = self._clock.monotonic_s()
        if message == READY:
            worker.ready, worker.started_s = True, worker.heard_s
        if message in (BEAT, READY):
            return
        job, worker.job = worker.job, None
        if job is None or job.run != run.number:
            return  # from a run that was abandoned
        succeeded, value = message
        if not succeeded:
            raise WorkerError(f"a task failed in a worker:\n{value}")
        run.results[job.index] = value

    def _replace(self, number: int, run: _Run, why: str) -> None:
        worker = self._team[number]
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()
        self.replaced += 1
        _log.warning("worker replaced", worker=number, why=why, exit_code=worker.process.exitcode)
        self._team[number] = self._hire(number)
        job = worker.job
        if job is None or job.run != run.number:
            return
        job.attempts += 1
        if job.attempts >= self._attempts:
            raise WorkerError(
                f"task {job.index} was given up after {job.attempts} workers: the last one {why}",
                remedy="look for a crash or too little memory; run it with one worker to see it fail",
            )
        run.waiting.appendleft(job)

    def _hire(self, number: int) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=work,
            args=(there, number, self._initializer, self._heartbeat_s),
            name=f"worker-{number}",
            daemon=True,
        )
        with one_thread_environment():
            process.start()
        there.close()
        return _Worker(process, here, self._clock.monotonic_s() + _START_S)
