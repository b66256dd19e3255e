"""What the supervisor is told about a process, and what it tells about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ProcessState(StrEnum):
    """Where a process is in its life."""

    RUNNING = "running"
    WAITING = "waiting to restart"
    FINISHED = "finished"
    GAVE_UP = "gave up"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ProcessSpec:
    """One process.

    Attributes:
        name: prefix of its lines.
        command: program and arguments.
        environ: its whole environment.
        stop_seconds: how long it may take to stop before it is killed.
        stop_stage: lower stages stop first, and completely; within a stage all stop at once.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    stop_seconds: float = 35.0
    stop_stage: int = 0


@dataclass(frozen=True)
class RestartPolicy:
    """When a crashed process is started again.

    Attributes:
        first_seconds: pause before the first restart; it doubles with each crash in a row.
        longest_seconds: longest pause.
        stable_seconds: a process that ran for so long has not crashed in a row.
        maximum_in_a_row: after so many restarts in a row it is given up.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    stable_seconds: float = 120.0
    maximum_in_a_row: int = 6

    def pause_s(self, in_a_row: int) -> float:
        """Pause before restart number ``in_a_row`` (1, 2, …)."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** (in_a_row - 1))


@dataclass(frozen=True)
class ProcessView:
    """A process as the supervisor sees it.

    Attributes:
        restart_in_s: seconds until it is started again, while it waits for that.
        exit_code: of its last end; negative: the signal that ended it.
        last_line: the last line it wrote.
        message: why it was given up, and what to do.
    """

    name: str
    state: ProcessState
    pid: int | None
    restarts: int
    restart_in_s: float | None
    exit_code: int | None
    last_line: str
    message: str | None
