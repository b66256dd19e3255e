"""The watchdog: ends a daemon whose heartbeat is stale, and no other process.

A hung process cannot notice that it hangs. So another one looks at its heartbeat, and where that is too
old asks it to stop (SIGTERM), waits, and then ends it (SIGKILL) with its children. A heartbeat only holds
a number; numbers are given again. What is signalled must therefore be the process that holds the lock of
that very state directory, and have begun before its heartbeat, or so long ago that it should have beaten
since: by clocks that nobody sets, as the time of day may have been.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil
from pydantic import Field

from swt_core.clock import Clock
from swt_core.errors import StateError
from swt_core.logs import get_logger
from swt_core.staleness import FUTURE_S, STALE_AFTER_S, STARTING_S, longest_silence_s
from swt_core.state import Heartbeat, StateRecord, read_heartbeat
from swt_core.workspace import Workspace
from swt_ops.status import heartbeat_directory

_log = get_logger(__name__)

WATCHED: Final = ("trainer", "validator", "live")
# process_limits.stop_seconds, and a little for what comes after.
GRACE_S: Final = 35.0
_LOCK_FILE: Final = ".writer.lock"
# Boot time and process start are known to a hundredth of a second, and clocks get corrected.
_SLACK_S: Final = 5.0
# With less than this nobody can write a heartbeat, well or not.
_ROOM_BYTES: Final = 1_000_000


class Finding(StrEnum):
    """What one look at one daemon came to."""

    ABSENT = "no heartbeat yet"
    ENDED = "ended by itself"
    WELL = "well"
    STALE = "stale, not yet for long enough"
    FUTURE = "stamped in the future: the clock was set back"
    GONE = "stale, but no such process runs"
    FOREIGN = "stale, but the number belongs to another process"
    NO_ROOM = "stale, but its disk is full: nothing could be written"
    UNREADABLE = "heartbeat cannot be read"
    STOPPED = "stale: stopped on request"
    KILLED = "stale: killed"
    FAILED = "stale: cannot be ended"


ACTED: Final = frozenset({Finding.STOPPED, Finding.KILLED, Finding.FAILED})


class WatchReport(StateRecord):
    """One look at one daemon."""

    time_s: float
    daemon: str
    finding: Finding
    pid: int | None = None
    age_s: float | None = Field(None, description="age of the heartbeat, or how long it was watched, s")
    status: str = Field("", description="what the heartbeat said")


@dataclass(frozen=True)
class WatchPolicy:
    """When a heartbeat is stale, and how its process is ended.

    Attributes:
        stale_after_s: age at which a heartbeat is stale; also how long this watchdog may see one and the
            same, whatever the time of day says.
        starting_s: the same while the daemon says that it is starting.
        confirm_s: how long this watchdog itself must have seen one and the same stale heartbeat; a clock
            that was set, or a machine that slept, makes a heartbeat old without its process being hung.
        grace_s: between SIGTERM and SIGKILL.
        future_is_stale: whether a heartbeat of the future is stale at once, for one who has watched it long
            enough already. At one look nobody knows: the next one may be due within the minute.
    """

    stale_after_s: float = STALE_AFTER_S
    starting_s: float = STARTING_S
    confirm_s: float = 60.0
    grace_s: float = GRACE_S
    future_is_stale: bool = False

    def limit_s(self, heartbeat: Heartbeat) -> float:
        """Age at which this heartbeat is stale."""
        return longest_silence_s(heartbeat.status, self.stale_after_s, self.starting_s)

    @property
    def longest_s(self) -> float:
        """After so long any daemon has beaten, whatever it does."""
        return max(self.stale_after_s, self.starting_s)


@dataclass
class _Watched:
    """One heartbeat as this watchdog has seen it, by the clock that nobody sets."""

    heartbeat: Heartbeat
    since_s: float
    stale_since_s: float | None = None


class Watchdog:
    """Looks at daemons and ends those that are hung.

    Args:
        workspace: whose daemons.
        policy: when and how.
        clock: injected time.
        daemons: which of them.
        owner: tells whether a process holds a file; by default from the system's table of open files.
        end: ends a process, given the age of its heartbeat in seconds, and says whether it is to be ended
            there; by default it is ended here. A parent must not wait for its own child with this: it
            would take its exit code.
    """

    def __init__(
        self,
        workspace: Workspace,
        policy: WatchPolicy,
        clock: Clock,
        daemons: Sequence[str] = WATCHED,
        owner: Callable[[psutil.Process, Path], bool] | None = None,
        end: Callable[[psutil.Process, float], bool] | None = None,
    ) -> None:
        self._workspace, self._policy, self._clock = workspace, policy, clock
        self._daemons = tuple(daemons)
        self._owner = owner or holds_file
        self._end = end
        self._watched: dict[str, _Watched] = {}

    def look(self) -> list[WatchReport]:
        """One look at every daemon; ends what is hung."""
        return [self._look(name) for name in self._daemons]

    def _look(self, name: str) -> WatchReport:
        directory, now_s = heartbeat_directory(self._workspace, name), self._clock.time_s()
        try:
            heartbeat = read_heartbeat(directory)
        except StateError as error:
            return WatchReport(time_s=now_s, daemon=name, finding=Finding.UNREADABLE, status=error.message)
        if heartbeat is None:
            return WatchReport(time_s=now_s, daemon=name, finding=Finding.ABSENT)
        watched = self._watched.get(name)
        if watched is None or watched.heartbeat != heartbeat:
            watched = self._watched[name] = _Watched(heartbeat, self._clock.monotonic_s())
        # Young by a clock that was set back: it is at least as old as it has been watched.
        age_s = max(heartbeat.age_s(self._clock), self._clock.monotonic_s() - watched.since_s)
        finding = self._judge(watched, age_s, directory)
        report = WatchReport(
            time_s=now_s,
            daemon=name,
            finding=finding,
            pid=heartbeat.pid,
            age_s=age_s,
            status=heartbeat.status,
        )
        if finding in ACTED:
            _log.error("watchdog", daemon=name, finding=finding.value, pid=heartbeat.pid, age_s=report.age_s)
        return report

    def _judge(self, watched: _Watched, age_s: float, directory: Path) -> Finding:
        heartbeat = watched.heartbeat
        if heartbeat.status.startswith(("stopped", "failed")):
            return Finding.ENDED
        future = heartbeat.ahead_s(self._clock) > FUTURE_S
        if age_s <= self._policy.limit_s(heartbeat) and not (future and self._policy.future_is_stale):
            watched.stale_since_s = None
            return Finding.FUTURE if future else Finding.WELL
        now_s = self._clock.monotonic_s()
        if watched.stale_since_s is None:
            watched.stale_since_s = now_s
        if now_s - watched.stale_since_s < self._policy.confirm_s:
            return Finding.STALE
        if shutil.disk_usage(directory).free < _ROOM_BYTES:
            return Finding.NO_ROOM
        try:
            process = psutil.Process(heartbeat.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return Finding.GONE
            if not (self._is_its_writer(process, heartbeat) and self._owner(process, directory / _LOCK_FILE)):
                return Finding.FOREIGN
        except psutil.NoSuchProcess:
            return Finding.GONE
        except psutil.AccessDenied:
            return Finding.FOREIGN
        # It may have woken up while we looked: a fresh heartbeat spares it.
        if self._beats_again(directory, heartbeat):
            return Finding.WELL
        if self._end is not None:
            return Finding.STOPPED if self._end(process, age_s) else Finding.FOREIGN
        return end_process(process, self._policy.grace_s)

    def _is_its_writer(self, process: psutil.Process, heartbeat: Heartbeat) -> bool:
        """Whether this is the heartbeat's writer, or one with its number that should have beaten since.

        A successor that was given the same number (in a container it always is) has not beaten yet when it
        takes the lock. Both times move with the clock, so a process's age is its own whatever was set, while
        after a step forward it seems to have begun after a heartbeat of its own.
        """
        began_s = process.create_time()
        grown_up = self._clock.time_s() - began_s > self._policy.longest_s
        return began_s <= heartbeat.time_s + _SLACK_S or grown_up

    def _beats_again(self, directory: Path, heartbeat: Heartbeat) -> bool:
        try:
            return read_heartbeat(directory) != heartbeat
        except StateError:
            return False


def end_process(process: psutil.Process, grace_s: float) -> Finding:
    """SIGTERM, ``grace_s`` to obey, then SIGKILL for it and its children.

    psutil knows a process by number and start: a number given again is never signalled.
    """
    try:
        children = process.children(recursive=True)
        process.terminate()
        process.wait(timeout=grace_s)
    except psutil.TimeoutExpired:
        pass
    except psutil.NoSuchProcess:
        return Finding.STOPPED
    except psutil.AccessDenied:
        return Finding.FAILED
    else:
        return Finding.STOPPED
    for each in (process, *children):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    gone, _ = psutil.wait_procs([process], timeout=grace_s)
    return Finding.KILLED if gone else Finding.FAILED


def holds_file(process: psutil.Process, path: Path) -> bool:
    """Whether ``process`` has ``path`` open, by the identity of the file."""
    try:
        wanted = path.stat()
    except OSError:
        return False
    for descriptor in Path(f"/proc/{process.pid}/fd").glob("*"):
        with suppress(OSError):
            found = descriptor.stat()
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False
