"""A managed process: signals, hard limits, counters that outlive a restart, heartbeats.

The main loop owns it::

    with ManagedProcess("trainer", limits, state, clock) as process:
        while process.should_run():
            process.count(episodes=play())
            process.beat("training")

A loop that does not ask `should_run` cannot pass a limit either: `count` raises then, also at the second
count after the hours, memory or CPU ran out. A run that met a limit stays at it over restarts. Nobody can
subclass it to have other rules.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, NoReturn, Self, final

from swt_core.clock import Clock
from swt_core.config.models import ProcessLimitsConfig
from swt_core.emergency import DUMP_FILE, write_emergency_dump
from swt_core.errors import LimitReached, StateError
from swt_core.limits import ProcessCounters, lasting_limit, limits_used, resource_limit
from swt_core.logs import get_logger
from swt_core.process_counters import COUNTERS_FILE, CounterFile
from swt_core.resources import ProcessTreeProbe, ResourceProbe
from swt_core.signals import SignalWatch
from swt_core.state import StateDirectory

__all__ = [
    "COUNTERS_FILE",
    "DUMP_FILE",
    "RESOURCE_STOPS",
    "STOP_TIMEOUT_EXIT_CODE",
    "ManagedProcess",
    "ProcessCounters",
]

STOP_TIMEOUT_EXIT_CODE: Final = 75
# A restart clears what leaked; one that meets memory or CPU again and again would never end.
RESOURCE_STOPS: Final = 3

_log = get_logger(__name__)


def _exit_now(code: int) -> NoReturn:
    os._exit(code)


@final
class ManagedProcess:
    """Stop event, limits, counters and heartbeat of one daemon; see the module's example.

    Args:
        name: the daemon's name, for logs.
        limits: hard limits and intervals.
        state: the daemon's state directory; holds counters and heartbeat.
        clock: injected time.
        probe: measures memory and CPU.
        exit_now: ends the process when a graceful stop takes longer than ``limits.stop_seconds``.
    """

    def __init__(
        self,
        name: str,
        limits: ProcessLimitsConfig,
        state: StateDirectory,
        clock: Clock,
        *,
        probe: ResourceProbe | None = None,
        exit_now: Callable[[int], None] = _exit_now,
    ) -> None:
        self.name = name
        self.stop_event = threading.Event()
        self._limits = limits
        self._state = state
        self._clock = clock
        self._probe = probe or ProcessTreeProbe(clock)
        self._exit_now = exit_now
        self._file = CounterFile(name, state, clock)
        self._last_beat_s = self._last_check_s = clock.monotonic_s()
        self._status = "starting"
        self._extra: dict[str, float] = {}
        self._limit: str | None = None
        self._limit_lasts = False
        self._stop_reason: str | None = None
        self._on_stop: list[Callable[[], None]] = []
        self._asked_to_stop = threading.Event()
        self._asked_s: float | None = None
        self._counted = self._counted_late = False
        self._finished = threading.Event()
        self._signals: SignalWatch | None = None

    def __init_subclass__(cls, **_: Any) -> None:
        raise TypeError("ManagedProcess has no subclasses: its limits hold for everybody")

    @property
    def counters(self) -> ProcessCounters:
        """What the run has used up, this start included."""
        return self._file.current

    @property
    def limit_reached(self) -> str | None:
        """Which limit the run has met, in words; None while there is none."""
        return self._limit

    @property
    def limit_lasts(self) -> bool:
        """Whether a restart meets the same limit again (episodes, checkpoints, hours): then idle.

        Memory and CPU start afresh: then end, and let the supervisor restart; after three such stops in a
        row they last too.
        """
        return self._limit_lasts

    @property
    def stop_reason(self) -> str | None:
        """Why the process is to stop: a signal's name, a limit, or what `request_stop` said."""
        return self._stop_reason

    @property
    def remaining_episodes(self) -> int:
        """Episodes that may still be played."""
        return max(0, self._limits.maximum_episodes - self.counters.episodes)

    @property
    def remaining_checkpoints(self) -> int:
        """Checkpoints that may still be written."""
        return max(0, self._limits.maximum_checkpoints - self.counters.checkpoints)

    @property
    def heartbeat_seconds(self) -> float:
        """Time between heartbeats, s."""
        return self._limits.heartbeat_seconds

    @property
    def stop_seconds(self) -> float:
        """Time for a graceful stop, s."""
        return self._limits.stop_seconds

    def limits_used(self) -> dict[str, float]:
        """Share of each lasting limit that is used up; 1 is at the limit."""
        return limits_used(self.counters, self._limits)

    def resume_at(self, episodes: int, hours: float) -> None:
        """Go on from a saved state: what was counted after it was lost with a kill and is done again.

        It is the run that is limited, so it ends at the same episode as one that nobody killed; hours, also
        those of lost work, are never given back, so that a run killed again and again ends too.

        Raises:
            RuntimeError: episodes were counted since this start already.
        """
        if self._counted:
            raise RuntimeError("a run resumes before it counts")
        counted = self.counters
        if (lost := counted.episodes - episodes) > 0:
            _log.warning("episodes that were lost are played again", episodes=lost)
            self._file.change(episodes=episodes, repeated_episodes=counted.repeated_episodes + lost)
            self._forget_limit()
        self.at_least(episodes=episodes, hours=hours)

    def at_least(self, *, episodes: int = 0, checkpoints: int = 0, hours: float = 0.0) -> None:
        """Take over what the run's own state knows: a lost counter file gives nobody a fresh budget."""
        counted = self.counters
        behind = {
            name: known
            for name, known in (("episodes", episodes), ("checkpoints", checkpoints), ("hours", hours))
            if known > getattr(counted, name)
        }
        if behind:
            _log.warning("counters were behind the run", counted=counted.model_dump(), run=behind)
            self._file.change(**behind)
            self._check_limits()

    def should_run(self) -> bool:
        """Whether the loop goes on; looks at resources when that is due."""
        self._check_limits()
        return not self.stop_event.is_set()

    def count(self, *, episodes: int = 0, checkpoints: int = 0) -> None:
        """Add to the counters, on disk before this returns; the last one allowed asks the loop to stop.

        A full disk is logged and does not end the run: the counters then live in memory until it is well.

        Episodes that were under way when hours, memory or CPU ran out may still be counted, once.

        Raises:
            LimitReached: more than was left, or a limit had been reached before these episodes began. What
                was left is used up, and nothing more may be done.
        """
        counters = self.counters
        passed = episodes > self.remaining_episodes or checkpoints > self.remaining_checkpoints
        if episodes and self._limit is not None:
            passed |= self._counted_late
            self._counted_late = True
        self._counted |= episodes > 0
        self._file.change(
            episodes=counters.episodes + min(episodes, self.remaining_episodes),
            checkpoints=counters.checkpoints + min(checkpoints, self.remaining_checkpoints),
        )
        self._check_limits()
        if passed:
            raise LimitReached(f"{self.name}: {self._limit}", remedy="raise the limit in process_limits.yaml")

    def beat(self, status: str, counters: Mapping[str, float] | None = None) -> None:
        """Say what the daemon does; written when the status changes or a heartbeat is due."""
        now_s = self._clock.monotonic_s()
        changed, self._status = status != self._status, status
        self._extra = dict(counters or {})
        if changed or now_s - self._last_beat_s >= self._limits.heartbeat_seconds:
            self._write_heartbeat()

    def keep_alive(self) -> None:
        """While the loop waits: look at limits, and write a heartbeat that is due, as it was."""
        self._check_limits()
        self.beat(self._status, self._extra)

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal or `request_stop` asked, not just a limit."""
        return self._asked_to_stop.is_set()

    @property
    def disk_well(self) -> bool:
        """Whether the counters could be written last time."""
        return self._file.well

    @property
    def out_of_patience(self) -> bool:
        """Whether half of the time for a graceful stop has passed since one was first asked for."""
        asked_s = self._asked_s
        return asked_s is not None and self._clock.monotonic_s() - asked_s >= self.stop_seconds / 2

    def request_stop(self, reason: str) -> None:
        """Ask the loop to end; the first reason is the one that counts."""
        if self._asked_s is None:
            self._asked_s = self._clock.monotonic_s()
        self._asked_to_stop.set()
        self._stop(reason)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, when a stop is asked for; after a signal that is in another thread."""
        self._on_stop.append(callback)

    def idle_at_limit(self) -> None:
        """Stay alive and healthy at the limit that was reached, until somebody asks for a stop.

        A process that ended here would be restarted past its limit by whatever supervises it.
        """
        self._file.end()
        while not self._asked_to_stop.is_set():
            self.beat(f"idle: {self._limit or 'nothing to do'}", self._extra)
            self._asked_to_stop.wait(self._limits.heartbeat_seconds)

    def raise_for_restart(self) -> None:
        """After the loop: a limit that a restart clears (memory, CPU) is an error, so that one follows.

        Raises:
            LimitReached: naming the limit.
        """
        if self._limit is not None and not self._limit_lasts:
            raise LimitReached(
                f"{self.name}: {self._limit}",
                remedy="start it again, or raise the limit in process_limits.yaml",
            )

    def __enter__(self) -> Self:
        self._file.begin()
        if threading.current_thread() is threading.main_thread():
            self._signals = SignalWatch(self._signalled)
        self._check_limits()
        self._write_heartbeat()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        if self._signals is not None:
            self._signals.close()
        if error is not None and not isinstance(error, LimitReached):
            self._status = f"failed: {type(error).__name__}"
            self._dump(f"{self.name} failed: {type(error).__name__}", error)
        else:
            self._status = f"stopped: {self._stop_reason or 'done'}"
        self._file.end()
        self._write_heartbeat()

    def _forget_limit(self) -> None:
        """The lasting limit that was seen as the process began is met no more."""
        if self._limit_lasts and lasting_limit(self.counters, self._limits) is None:
            self._limit, self._limit_lasts, self._stop_reason = None, False, None
            self.stop_event.clear()
            if self.asked_to_stop:  # by a signal, whose thread may be at it this very moment
                self._stop("asked to stop")

    def _stop(self, reason: str) -> None:
        if self._stop_reason is None:
            self._stop_reason = reason
            self.stop_event.set()
            for callback in self._on_stop:
                callback()

    def _signalled(self, name: str) -> None:
        self.request_stop(name)
        if not self._finished.wait(self._limits.stop_seconds):
            self._dump(f"{self.name} did not stop within {self._limits.stop_seconds} s")
            self._exit_now(STOP_TIMEOUT_EXIT_CODE)

    def _dump(self, reason: str, error: BaseException | None = None) -> None:
        state = {
            "status": self._status,
            "stop_reason": self._stop_reason,
            "limit": self._limit,
            "counters": self.counters.model_dump(),
            "progress": self._extra,
            "limits": self._limits.model_dump(),
            "time_s": self._clock.time_s(),
            "pid": os.getpid(),
        }
        write_emergency_dump(self._state.file(DUMP_FILE), reason, state, error)

    def _check_limits(self) -> None:
        if self._limit is not None:
            return
        limits, reached = self._limits, lasting_limit(self.counters, self._limits)
        self._limit_lasts = reached is not None
        if (
            reached is None
            and self._clock.monotonic_s() - self._last_check_s >= limits.resource_check_seconds
        ):
            self._last_check_s = self._clock.monotonic_s()
            reached = self._check_resources()
            self._limit_lasts = reached is not None and self.counters.resource_stops >= RESOURCE_STOPS
        if reached is not None:
            self._limit = reached
            _log.warning("limit reached", process=self.name, limit=reached)
            self._stop(reached)

    def _check_resources(self) -> str | None:
        reached = resource_limit(self._probe(), self._limits)
        self._file.change(resource_stops=0 if reached is None else self.counters.resource_stops + 1)
        if reached is not None:
            self._dump(f"{self.name}: {reached}")
        return reached

    def _write_heartbeat(self) -> None:
        self._last_beat_s = self._clock.monotonic_s()
        counters = self.counters
        used = {
            "episodes": float(counters.episodes),
            "checkpoints": float(counters.checkpoints),
            "hours": counters.hours,
            "starts": float(counters.starts),
            "maximum_episodes": float(self._limits.maximum_episodes),
            "maximum_checkpoints": float(self._limits.maximum_checkpoints),
            "maximum_hours": self._limits.maximum_hours,
            "at_limit": float(self._limit is not None),
        }
        try:
            self._state.beat(self._clock, self._status, {**used, **self._extra})
        except StateError as error:
            _log.error("heartbeat not written", process=self.name, error=str(error))
