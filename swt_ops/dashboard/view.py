"""One snapshot of the state directories for the page; a broken file becomes a problem, never an error."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from swt_core.clock import Clock
from swt_core.errors import SWTError
from swt_core.staleness import STALE_AFTER_S
from swt_core.workspace import Workspace
from swt_ops.dashboard.courses import TrainingCourses
from swt_ops.dashboard.records import Course, DashboardView, Problem, Shadow, Trading, VerdictRow
from swt_ops.dashboard.trading import read_shadow, read_trading
from swt_ops.dashboard.verdicts import read_verdicts
from swt_ops.status import (
    METRICS_FILE,
    DaemonState,
    DaemonStatus,
    InstallationStatus,
    TrainingStatus,
    read_status,
)
from swt_ops.training import TrainingView, training_view

_FRESH_S: Final = 2.0
_SHADOW_FRESH_S: Final = 30.0
# Whatever bytes lie in a state file, reading them ends in one of these.
BROKEN: Final = (SWTError, OSError, ValueError, LookupError, TypeError, RecursionError, sqlite3.Error)

ReadT = TypeVar("ReadT")


class Observer:
    """Reads an installation for any number of viewers, at most every two seconds.

    Args:
        control: whether the page is told that it may steer the trader.
    """

    def __init__(
        self,
        workspace: Workspace,
        clock: Clock,
        *,
        control: bool = False,
        stale_after_s: float = STALE_AFTER_S,
    ) -> None:
        self.workspace = workspace
        self._clock, self._control, self._stale_after_s = clock, control, stale_after_s
        self._courses = TrainingCourses(workspace.training_state / METRICS_FILE)
        self._lock = threading.Lock()
        self._view: DashboardView | None = None
        self._read_s = self._shadow_s = float("-inf")
        self._shadow: Shadow | None = None

    def view(self) -> DashboardView:
        """The newest snapshot; read anew when it is older than two seconds."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._view is None or now_s - self._read_s >= _FRESH_S:
                self._view, self._read_s = self._read(), now_s
            return self._view

    def forget(self) -> None:
        """Let the next `view` read anew: something was just changed."""
        with self._lock:
            self._view = None

    def _read(self) -> DashboardView:
        problems: list[Problem] = []
        workspace, clock, stale_s = self.workspace, self._clock, self._stale_after_s

        def careful(source: str, read: Callable[[], ReadT], otherwise: ReadT) -> ReadT:
            try:
                return read()
            except BROKEN as error:
                text = error.message if isinstance(error, SWTError) else f"{type(error).__name__}: {error}"
                problems.append(Problem(schema_version=1, source=source, text=text))
                return otherwise

        no_rows: tuple[tuple[VerdictRow, ...], tuple[Problem, ...]] = ((), ())
        no_courses: tuple[Course, ...] = ()
        now_s = clock.time_s()
        status = careful(
            "status",
            lambda: read_status(workspace, clock, stale_after_s=stale_s),
            InstallationStatus(
                schema_version=1,
                root=str(workspace.root),
                time_s=now_s,
                daemons=(),
                training=TrainingStatus(schema_version=1),
            ),
        )
        absent = DaemonStatus(schema_version=1, name="trainer", state=DaemonState.UNREADABLE)
        training = careful(
            "trainer",
            lambda: training_view(workspace, clock, stale_after_s=stale_s),
            TrainingView(
                schema_version=1,
                root=str(workspace.root),
                time_s=now_s,
                daemon=absent,
                training=TrainingStatus(schema_version=1),
            ),
        )
        courses = careful("trainer", self._courses.read, no_courses)
        trading = careful("live", lambda: read_trading(workspace.live_state), Trading(schema_version=1))
        verdicts, broken = careful(
            "validator", lambda: read_verdicts(workspace.validation_state, now_s), no_rows
        )
        if self._clock.monotonic_s() - self._shadow_s >= _SHADOW_FRESH_S:
            self._shadow = careful("live", lambda: read_shadow(workspace.live_state), None)
            self._shadow_s = self._clock.monotonic_s()
        known = {alarm.text for alarm in status.alarms}
        return DashboardView(
            schema_version=1,
            time_s=now_s,
            control=self._control,
            status=status,
            training=training,
            courses=courses,
            trading=trading.model_copy(update={"shadow": self._shadow}),
            verdicts=verdicts,
            problems=tuple({p.text: p for p in (*problems, *broken) if p.text not in known}.values()),
        )
