"""What a process and its children use of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import psutil

from swt_core.clock import Clock
from swt_core.cores import available_cores

_GB: Final = 1e9


@dataclass(frozen=True)
class Resources:
    """What a process and its children use right now."""

    memory_gb: float
    cpu_percent: float  # share of all cores it may use, since the last look


class ResourceProbe(Protocol):
    """Measures the resources of this process."""

    def __call__(self) -> Resources: ...


class ProcessTreeProbe:
    """Resources of this process and all its children, by psutil; memory that they share counts once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._last_s = clock.monotonic_s()
        self._last_cpu_s = self._measure()[1]

    def __call__(self) -> Resources:
        memory, cpu_s = self._measure()
        now_s = self._clock.monotonic_s()
        # A child that ended takes its CPU time along: never less than nothing.
        used_s, elapsed_s = max(0.0, cpu_s - self._last_cpu_s), now_s - self._last_s
        self._last_s, self._last_cpu_s = now_s, cpu_s
        share = used_s / elapsed_s / available_cores() if elapsed_s > 0 else 0.0
        return Resources(memory / _GB, 100.0 * share)

    def _measure(self) -> tuple[int, float]:
        memory, cpu_s = 0, 0.0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                memory += _memory_bytes(process)
                cpu_s += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        return memory, cpu_s


def _memory_bytes(process: psutil.Process) -> int:
    """Its share of resident memory (PSS), so that bars mapped by every actor are not counted by each."""
    try:
        found: int = process.memory_full_info().pss
    except (AttributeError, psutil.AccessDenied):  # not on this system, or not of this process
        found = process.memory_info().rss
    return found
