"""The worker pool on a Ray cluster: the same tasks, on as many machines as there are.

Workers are Ray actors of one CPU each. A task goes only to a worker that has answered, so a machine that
is gone costs its running tasks, which others repeat, and no more; workers that find no room wait for it.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from swt_core.clock import Clock, SystemClock
from swt_core.logs import get_logger
from swt_core.numba_cache import configure_numba_cache
from swt_core.pool import START_S, PoolCounts, ResultT, TaskT, WorkerError, default_workers
from swt_core.pool_run import Fault, Job, PoolRun
from swt_core.ray_connection import connect, first_line, import_ray
from swt_core.ray_worker import RayArrays, RayWorker
from swt_core.shared_arrays import KEPT, Arrays, SharedArrays
from swt_core.worker import ONE_THREAD

_log = get_logger(__name__)


@dataclass
class _Worker:
    handle: Any
    beat: Any
    heard_s: float
    ready: bool = False
    process: tuple[str, int] = ("", 0)
    job: Job | None = None
    result: Any = None
    started_s: float = 0.0


class RayPool:
    """Workers on a Ray cluster; see `swt_core.local_pool.LocalPool` for what the arguments mean.

    Args:
        workers: how many; by default 85 % of the cluster's CPUs.
        address: of the cluster, ``auto`` for one that runs on this machine; None: ``$RAY_ADDRESS``, else a
            cluster of this machine alone that ends with this process.
        start_s: how long there may be no worker at all before that is an error.

    Raises:
        ConfigError: Ray is not installed, or the cluster does not answer.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str | None = None,
        heartbeat_s: float = 1.0,
        silence_s: float = 60.0,
        task_timeout_s: float | None = None,
        attempts: int = 3,
        start_s: float = START_S,
        clock: Clock | None = None,
    ) -> None:
        if (workers is not None and workers < 1) or attempts < 1:
            raise ValueError("a pool needs at least one worker and one attempt")
        self._ray = import_ray()
        self._mine = not self._ray.is_initialized()
        if self._mine:
            connect(self._ray, address)
        self.counts = PoolCounts()
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        self._task_timeout_s = task_timeout_s
        self._attempts = attempts
        self._start_s = start_s
        self._clock = clock or SystemClock()
        self._runs = 0
        self._closed = False
        self._shared: deque[Any] = deque(maxlen=KEPT)
        self._node = self._ray.get_runtime_context().get_node_id()
        configure_numba_cache()
        self._class = self._ray.remote(
            num_cpus=1,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            concurrency_groups={"beat": 1, "work": 1},
            runtime_env={"env_vars": dict.fromkeys(ONE_THREAD, "1")},
        )(RayWorker)
        cpus = int(self._ray.cluster_resources().get("CPU", 1))
        self.workers = workers or default_workers(cpus)
        self._team = [self._hire() for _ in range(self.workers)]
        self._last_seen_s = self._clock.monotonic_s()

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
        self._runs += 1
        run = PoolRun.of(self._runs, function, tasks, accept)
        self._last_seen_s = self._clock.monotonic_s()
        return run.collected(self._work, ordered=ordered)

    def share(self, arrays: Arrays) -> SharedArrays:
        """See `WorkerPool.share`: in Ray's object store, from where each machine takes one copy."""
        self._shared.append(self._ray.put(dict(arrays)))
        return RayArrays(self._shared[-1])

    def close(self) -> None:
        """End all workers; a cluster that this pool started ends too. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for worker in self._team:
            self._end(worker)
        self._team.clear()
        self._shared.clear()
        if self._mine:
            self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, run: PoolRun) -> None:
        try:
            if not self._closed:
                self._hand_out(run)
                self._listen(run)
        except Exception:  # Ray that was shut down fails in many classes, and only then is it no matter
            if not self._closed:
                raise
        # Another thread may close the pool at any moment: workers and connection are gone then.
        if self._closed:
            raise WorkerError("the pool was closed while it worked")

    def _hand_out(self, run: PoolRun) -> None:
        for worker in self._team:
            if worker.ready and worker.job is None and run.waiting:
                job = run.waiting.popleft()
                worker.job, worker.started_s = job, self._clock.monotonic_s()
                worker.result = _call(worker.handle.run, "work").remote(job.function, job.task)

    def _listen(self, run: PoolRun) -> None:
        pending = [worker.result for worker in self._team if worker.result is not None]
        pending += [worker.beat for worker in self._team if not worker.ready]
        if pending:
            self._ray.wait(pending, num_returns=1, timeout=self._heartbeat_s)
        for number, worker in enumerate(self._team):
            fault = self._heartbeat(worker) or self._result(worker, run) or self._overdue(worker)
            if fault is not None:
                self._replace(number, run, *fault)
        now_s = self._clock.monotonic_s()
        if any(worker.ready for worker in self._team):
            self._last_seen_s = now_s
        elif now_s - self._last_seen_s > self._start_s:
            raise WorkerError(
                f"the Ray cluster has had no worker for {self._start_s:g} s",
                remedy="look at `ray status`: a worker needs one free CPU on a machine with SWT installed",
            )

    def _heartbeat(self, worker: _Worker) -> tuple[Fault, str] | None:
        if not self._done(worker.beat):
            return None
        try:
            worker.process = self._ray.get(worker.beat)
        except self._ray.exceptions.RayActorError as error:
            return "dead", f"died: {first_line(error)}"
        now_s = self._clock.monotonic_s()
        if not worker.ready:
            worker.ready = True
            worker.heard_s = now_s
        elif now_s - worker.heard_s < self._heartbeat_s:
            return None
        worker.heard_s = now_s
        worker.beat = _call(worker.handle.beat, "beat").remote()
        return None

    def _result(self, worker: _Worker, run: PoolRun) -> tuple[Fault, str] | None:
        if worker.result is None or worker.job is None or not self._done(worker.result):
            return None
        try:
            value = self._ray.get(worker.result)
        except self._ray.exceptions.RayActorError as error:
            return "dead", f"died: {first_line(error)}"
        except self._ray.exceptions.ObjectLostError:
            return "dead", "died, and its result with it"
        except Exception as error:  # noqa: BLE001 — whatever the task raised, in this process's hands
            if worker.job.run != run.number:
                worker.job = worker.result = None
                return None
            return "poisoned", f"failed:\n{error}"
        job, worker.job, worker.result = worker.job, None, None
        if job.run != run.number:
            return None  # from a run that was abandoned
        if run.refuses(value):
            worker.job = job
            return "poisoned", "gave a result that was refused"
        run.results[job.index] = value
        self.counts = replace(self.counts, done=self.counts.done + 1)
        return None

    def _overdue(self, worker: _Worker) -> tuple[Fault, str] | None:
        if not worker.ready:
            return None  # it waits for room in the cluster
        now_s = self._clock.monotonic_s()
        if now_s - worker.heard_s > self._silence_s:
            return "silent", "stopped its heartbeat"
        limit_s = self._task_timeout_s
        if worker.job is not None and limit_s is not None and now_s - worker.started_s > limit_s:
            return "hung", f"took longer than {limit_s:g} s for a task"
        return None

    def _done(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])

    def _replace(self, number: int, run: PoolRun, fault: Fault, why: str) -> None:
        worker = self._team[number]
        self._end(worker)
        # A record of its own each time: other threads read it.
        self.counts = replace(self.counts, **{fault: getattr(self.counts, fault) + 1})
        if self._closed:
            return
        _log.warning("worker replaced", worker=number, why=why, node=worker.process[0][:12])
        self._team[number] = self._hire()
        if run.try_again(worker.job, why, self._attempts):
            self.counts = replace(self.counts, retried=self.counts.retried + 1)

    def _end(self, worker: _Worker) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(worker.handle)
        node, pid = worker.process
        if node == self._node:
            # Ray asks a worker to end itself, which a stopped one never does.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _hire(self) -> _Worker:
        handle = self._class.remote()
        return _Worker(handle, _call(handle.beat, "beat").remote(), self._clock.monotonic_s())


def _call(method: Any, thread: str) -> Any:
    return method.options(concurrency_group=thread)
