"""The worker pool with spawned processes of this machine.

Each worker computes with one BLAS thread, says regularly that it lives, and is killed by the kernel when
this process ends, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from swt_core.clock import Clock, SystemClock
from swt_core.logs import get_logger
from swt_core.numba_cache import configure_numba_cache
from swt_core.pool import START_S, PoolCounts, ResultT, TaskT, WorkerError, default_workers
from swt_core.pool_run import Fault, Job, PoolRun
from swt_core.shared_arrays import ArrayFiles, Arrays, SharedArrays
from swt_core.worker import BEAT, READY, one_thread_environment, work

_log = get_logger(__name__)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    heard_s: float
    ready: bool = False
    job: Job | None = None
    started_s: float = 0.0


class LocalPool:
    """Spawned processes on this machine.

    Args:
        workers: how many; by default 85 % of the cores.
        initializer: called once in each new worker with its number (importable, or a `functools.partial`).
        heartbeat_s: how often a worker says that it lives.
        silence_s: how long it may say nothing before it is replaced; longer than the longest kernel, which
            lets no other thread speak.
        task_timeout_s: how long one task may take before its worker counts as hung; None: for ever.
        attempts: with how many workers one task may fail before it is given up.
        clock: injected time.
        at_once: start the workers now rather than with the first task.
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
        at_once: bool = True,
    ) -> None:
        if (workers is not None and workers < 1) or attempts < 1:
            raise ValueError("a pool needs at least one worker and one attempt")
        self.workers = workers or default_workers()
        self.counts = PoolCounts()
        self._initializer = initializer
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        self._task_timeout_s = task_timeout_s
        self._attempts = attempts
        self._clock = clock or SystemClock()
        self._context = multiprocessing.get_context("spawn")
        # The kernel ends a worker with the thread that started it: that thread has to stay.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starts-workers")
        self._files: ArrayFiles | None = None
        self._runs = 0
        self._closed = False
        self._team: list[_Worker] = []
        if at_once:
            self._fill()

    def map(
        self,
        function: Callable[[TaskT], ResultT],
        tasks: Iterable[TaskT],
        *,
        ordered: bool = True,
        accept: Callable[[ResultT], bool] | None = None,
    ) -> Iterator[ResultT]:
        """See `WorkerPool.map`; one call at a time. Abandoning the iterator abandons its tasks."""
        if self._closed:
            raise WorkerError("the pool is closed")
        self._fill()
        self._runs += 1
        run = PoolRun.of(self._runs, function, tasks, accept)
        return run.collected(self._work, ordered=ordered)

    def share(self, arrays: Arrays) -> SharedArrays:
        """See `WorkerPool.share`: a file, on the RAM disk where there is one."""
        self._files = self._files or ArrayFiles()
        return self._files.share(arrays)

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
        self._starter.shutdown()
        if self._files is not None:
            self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, run: PoolRun) -> None:
        try:
            self._hand_out(run)
            self._listen(run)
        except (OSError, RuntimeError, ValueError):
            if not self._closed:
                raise
        # Another thread may close the pool at any moment: pipes and starters are gone then.
        if self._closed:
            raise WorkerError("the pool was closed while it worked")

    def _hand_out(self, run: PoolRun) -> None:
        for number, worker in enumerate(self._team):
            if worker.job is None and run.waiting:
                job = run.waiting.popleft()
                try:
                    worker.pipe.send((job.function, job.task))
                except OSError:
                    run.waiting.appendleft(job)
                    self._replace(number, run, "dead", "died while idle")
                    continue
                worker.job, worker.started_s = job, self._clock.monotonic_s()

    def _listen(self, run: PoolRun) -> None:
        pipes: dict[Any, int] = {worker.pipe: number for number, worker in enumerate(self._team)}
        for pipe in wait(list(pipes), timeout=self._heartbeat_s):
            self._receive(pipes[pipe], run)
        now_s = self._clock.monotonic_s()
        for number, worker in enumerate(self._team):
            # While one froze in mid-sentence nobody listened to the others: what they said waits in the pipe.
            if now_s - worker.heard_s > self._silence_s and not worker.pipe.poll():
                self._replace(number, run, "silent", "stopped its heartbeat")
            elif (
                worker.ready
                and worker.job is not None
                and self._task_timeout_s is not None
                and now_s - worker.started_s > self._task_timeout_s
            ):
                self._replace(number, run, "hung", f"took longer than {self._task_timeout_s:g} s for a task")

    def _receive(self, number: int, run: PoolRun) -> None:
        worker = self._team[number]
        # One that freezes in mid-sentence would be waited for without end.
        patience = threading.Timer(self._silence_s / 2.0, worker.process.kill)
        patience.daemon = True
        patience.start()
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(number, run, "dead", "died")
            return
        finally:
            patience.cancel()
        worker.heard_s = self._clock.monotonic_s()
        if message == READY:
            worker.ready, worker.started_s = True, worker.heard_s
        if message in (BEAT, READY):
            return
        job = worker.job
        succeeded, value = message
        if job is None or job.run != run.number:
            worker.job = None  # from a run that was abandoned
        elif not succeeded:
            self._replace(number, run, "poisoned", f"failed:\n{value}")
        elif run.refuses(value):
            self._replace(number, run, "poisoned", "gave a result that was refused")
        else:
            worker.job = None
            run.results[job.index] = value
            self.counts = replace(self.counts, done=self.counts.done + 1)

    def _replace(self, number: int, run: PoolRun, fault: Fault, why: str) -> None:
        worker = self._team[number]
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()
        # A record of its own each time: other threads read it.
        self.counts = replace(self.counts, **{fault: getattr(self.counts, fault) + 1})
        if self._closed:
            return
        _log.warning("worker replaced", worker=number, why=why, exit_code=worker.process.exitcode)
        self._team[number] = self._hire(number)
        if run.try_again(worker.job, why, self._attempts):
            self.counts = replace(self.counts, retried=self.counts.retried + 1)

    def _fill(self) -> None:
        if not self._team:
            configure_numba_cache()
            self._team = [self._hire(number) for number in range(self.workers)]

    def _hire(self, number: int) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=work,
            args=(there, number, self._initializer, self._heartbeat_s, os.getpid()),
            name=f"worker-{number}",
            daemon=True,
        )
        with one_thread_environment():
            self._starter.submit(process.start).result()
        there.close()
        return _Worker(process, here, self._clock.monotonic_s() + START_S)
