"""One call of a pool's `map`: what waits, what came back out of turn, and what a lost worker leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from swt_core.pool import WorkerError

# Why a worker is replaced; the names of `PoolCounts`.
Fault = Literal["dead", "hung", "silent", "poisoned"]


@dataclass
class Job:
    """A task on its way through a pool."""

    run: int
    index: int
    function: Callable[[Any], Any]
    task: Any
    failures: list[str] = field(default_factory=list)


@dataclass
class PoolRun:
    """The jobs of one call.

    Attributes:
        number: of the call; a worker may still be busy with an earlier one that was abandoned.
        accept: judges each result; None: all are well.
        waiting: jobs that no worker has.
        results: those that came before their turn, by index.
    """

    number: int
    accept: Callable[[Any], bool] | None
    waiting: deque[Job] = field(default_factory=deque)
    results: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        number: int,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        accept: Callable[[Any], bool] | None,
    ) -> Self:
        jobs = deque(Job(number, index, function, task) for index, task in enumerate(tasks))
        return cls(number, accept, jobs)

    def collected(self, work: Callable[[Self], None], *, ordered: bool) -> Iterator[Any]:
        """All results, in the order of the tasks or as they come.

        Args:
            work: hands out jobs and listens to the workers, once.
        """
        total, given = len(self.waiting), 0
        while given < total:
            work(self)
            while self.results:
                key = given if ordered else next(iter(self.results))
                if key not in self.results:
                    break
                given += 1
                yield self.results.pop(key)

    def refuses(self, value: Any) -> bool:
        """Whether a result is not to be used."""
        return self.accept is not None and not self.accept(value)

    def try_again(self, job: Job | None, why: str, attempts: int) -> bool:
        """Put a lost worker's job in front of the others; False if it had none of this run.

        Raises:
            WorkerError: it was one failure too many.
        """
        if job is None or job.run != self.number:
            return False
        job.failures.append(why)
        if len(job.failures) >= attempts:
            raise WorkerError(
                f"task {job.index} was given up after {attempts} workers: the last one {why}",
                remedy="look for a crash or too little memory; run it with one worker to see it fail",
            )
        self.waiting.appendleft(job)
        return True
