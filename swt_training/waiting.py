"""Waiting for actors without falling silent, without missing a limit, and without outstaying a stop."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Final, TypeVar

from swt_core.clock import Clock
from swt_core.process import ManagedProcess

ResultT = TypeVar("ResultT")
_LOOK_S: Final = 0.5


class RoundAbandoned(Exception):
    """A stop was asked for and the round would outlast it: nothing of it is kept."""


def wait_for(
    future: Future[ResultT],
    process: ManagedProcess,
    clock: Clock,
    longest_s: float,
    *,
    look_s: float = _LOOK_S,
) -> ResultT:
    """The future's result, with heartbeats and limit checks meanwhile.

    Args:
        longest_s: after so long nothing is beaten any more, so that a watchdog sees the hang.
        look_s: how often to look, s.

    Raises:
        RoundAbandoned: a stop was asked for, and half of its time has passed.
    """
    began_s, asked_s = clock.monotonic_s(), None
    while not wait([future], timeout=look_s).done:
        now_s = clock.monotonic_s()
        if now_s - began_s <= longest_s:
            process.keep_alive()
        if process.asked_to_stop:
            asked_s = now_s if asked_s is None else asked_s
            if now_s - asked_s >= process.stop_seconds / 2:
                raise RoundAbandoned(process.stop_reason or "stop")
    return future.result()
