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
    began_s = clock.monotonic_s()
    while not wait([future], timeout=look_s).done:
        if clock.monotonic_s() - began_s <= longest_s:
            process.keep_alive()
        abandon_when_due(process)
    return future.result()


def abandon_when_due(process: ManagedProcess) -> None:
    """Between two pieces of a round's work.

    Raises:
        RoundAbandoned: a stop was asked for, and half of its time has passed.
    """
    if process.out_of_patience:
        raise RoundAbandoned(process.stop_reason or "stop")
