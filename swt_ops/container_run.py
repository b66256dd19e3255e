"""Runs a container's role: waits, takes the steps, stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final, NoReturn

from swt_core.clock import Clock
from swt_core.errors import StateError
from swt_core.logs import get_logger
from swt_core.state import StateDirectory, read_heartbeat
from swt_ops.container import RolePlan, plan
from swt_ops.container_health import WAITING_MARKER

_log = get_logger(__name__)
_IDLE_BEAT_S: Final = 30.0
_LOOK_S: Final = 5.0
# What the data service counts once its store is filled.
_FILLED: Final = "complete_until_s"


def run_role(role: str, environ: MutableMapping[str, str], clock: Clock, stop: Event) -> int:
    """Do what the container of ``role`` is for; the last step replaces this process.

    Returns:
        an exit code: of a step that failed, or 0 when asked to stop.

    Raises:
        ConfigError: as `plan`.
    """
    found = plan(role, environ, datetime.fromtimestamp(clock.time_s(), UTC).date())
    if found.idle is not None:
        _idle(found, clock, stop)
        return 0
    if found.needs_bars is not None and not wait_for_bars(found.needs_bars, stop):
        return 0
    *before, last = found.steps
    for step in before:
        if code := _take(step, stop):
            return code
        if stop.is_set():
            return 0
    return _become(last)


def wait_for_bars(
    store: Path, stop: Event, marker: Path = WAITING_MARKER, wait: Callable[[float], object] | None = None
) -> bool:
    """Wait until the data service has filled ``store`` once; False when asked to stop.

    Args:
        marker: a file that is there meanwhile, for the health check.
    """
    try:
        while not bars_ready(store):
            if not marker.exists():
                _log.info("waiting for the data service to fill the bar store", store=str(store))
                marker.touch()
            (wait or stop.wait)(_LOOK_S)
            if stop.is_set():
                return False
        return True
    finally:
        marker.unlink(missing_ok=True)


def bars_ready(store: Path) -> bool:
    """Whether the data service has been up to date once."""
    try:
        heartbeat = read_heartbeat(store)
    except StateError:
        return False
    return heartbeat is not None and _FILLED in heartbeat.counters


def _become(step: Sequence[str]) -> NoReturn:
    os.execv(sys.executable, _command(step))  # noqa: S606 - our own command


def _take(step: Sequence[str], stop: Event) -> int:
    with subprocess.Popen(_command(step)) as process:  # noqa: S603 - our own command
        while True:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.terminate()
                    process.wait()
                    return 0


def _idle(found: RolePlan, clock: Clock, stop: Event) -> None:
    assert found.heartbeat is not None
    assert found.idle is not None
    directory = StateDirectory(found.heartbeat)
    _log.info(found.idle)
    with directory.writer():
        while not stop.is_set():
            directory.beat(clock, found.idle)
            stop.wait(_IDLE_BEAT_S)
        directory.beat(clock, "stopped")


def _command(step: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "swt_cli.main", *step]
