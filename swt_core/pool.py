"""Worker pool: one interface for actors and validation, with workers here or on many machines.

`swt_core.local_pool` spawns processes on this machine, `swt_core.ray_pool` uses a Ray cluster, `SerialPool`
works in this process; `open_pool` chooses. A worker that dies, hangs or is poisoned is replaced, counted,
and its task given to another; a task that fails with several workers is given up with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from swt_core.clock import Clock
from swt_core.config.models import PoolConfig
from swt_core.cores import available_cores
from swt_core.errors import SWTError
from swt_core.shared_arrays import Arrays, HeldArrays, SharedArrays

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

# A new worker imports its libraries before it says anything.
START_S: Final = 120.0


class WorkerError(SWTError):
    """A task failed with several workers, or no worker can be had."""


@dataclass(frozen=True)
class PoolCounts:
    """What has happened to a pool's workers since it was opened.

    Attributes:
        done: results handed back.
        retried: tasks that were given to another worker.
        dead: workers that ended by themselves, or with their machine.
        hung: workers that took too long for a task.
        silent: workers that stopped their heartbeat.
        poisoned: workers that raised, or whose result was refused.
    """

    done: int = 0
    retried: int = 0
    dead: int = 0
    hung: int = 0
    silent: int = 0
    poisoned: int = 0

    @property
    def replaced(self) -> int:
        """Workers that were replaced, for whatever reason."""
        return self.dead + self.hung + self.silent + self.poisoned


class WorkerPool(Protocol):
    """Runs a function over tasks on several workers."""

    @property
    def workers(self) -> int:
        """How many tasks may run at once."""
        ...

    @property
    def counts(self) -> PoolCounts:
        """What has happened so far; may be read from another thread."""
        ...

    def map(
        self,
        function: Callable[[TaskT], ResultT],
        tasks: Iterable[TaskT],
        *,
        ordered: bool = True,
        accept: Callable[[ResultT], bool] | None = None,
    ) -> Iterator[ResultT]:
        """Results in the order of the tasks, or as they come when not ``ordered``.

        Args:
            accept: judges each result, in this process; a refused one poisons its worker.

        Raises:
            WorkerError: a task failed with several workers.
        """
        ...

    def share(self, arrays: Arrays) -> SharedArrays:
        """Arrays for tasks to name instead of carrying them; good until the next but one call."""
        ...

    def close(self) -> None:
        """End all workers and forget what was shared."""
        ...


def default_workers(cores: int | None = None) -> int:
    """85 % of the cores (by default those that this process may use), at least one."""
    return max(1, int(0.85 * (cores or available_cores())))


def open_pool(
    config: PoolConfig, workers: int = 0, *, clock: Clock | None = None, at_once: bool = True
) -> WorkerPool:
    """The configured pool.

    Args:
        workers: how many; 0: 85 % of the cores, of this machine or of the Ray cluster.
        clock: injected time.
        at_once: start local workers now rather than with the first task.

    Raises:
        ConfigError: Ray is not installed, or the cluster does not answer.
    """
    from swt_core.local_pool import LocalPool
    from swt_core.ray_pool import RayPool

    if config.kind == "ray":
        return RayPool(
            workers or None,
            address=config.ray_address,
            heartbeat_s=config.heartbeat_seconds,
            silence_s=config.silence_seconds,
            task_timeout_s=config.task_timeout_seconds,
            clock=clock,
        )
    return LocalPool(
        workers or None,
        heartbeat_s=config.heartbeat_seconds,
        silence_s=config.silence_seconds,
        task_timeout_s=config.task_timeout_seconds,
        clock=clock,
        at_once=at_once,
    )


class SerialPool:
    """Runs tasks one by one in this process: for tests, debugging, and where one core is all there is."""

    workers = 1

    def __init__(self) -> None:
        self.counts = PoolCounts()

    def map(
        self,
        function: Callable[[TaskT], ResultT],
        tasks: Iterable[TaskT],
        *,
        ordered: bool = True,
        accept: Callable[[ResultT], bool] | None = None,
    ) -> Iterator[ResultT]:
        del ordered
        for index, task in enumerate(tasks):
            result = function(task)
            if accept is not None and not accept(result):
                raise WorkerError(f"the result of task {index} was refused")
            self.counts = PoolCounts(done=self.counts.done + 1)
            yield result

    def share(self, arrays: Arrays) -> SharedArrays:
        return HeldArrays(dict(arrays))

    def close(self) -> None:
        pass
