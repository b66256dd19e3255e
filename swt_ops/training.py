"""How training goes, from the trainer's state files alone: progress, figures, their recent course, alarms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import Field

from swt_core.clock import Clock
from swt_core.errors import CheckpointError, StateError
from swt_core.protected import protected_by_live, protected_by_validation
from swt_core.staleness import STALE_AFTER_S
from swt_core.state import StateRecord
from swt_core.statistics import RELIABLE_TRADES, sqn_label
from swt_core.workspace import Workspace
from swt_ops.status import (
    METRICS_FILE,
    Alarm,
    DaemonStatus,
    TrainingStatus,
    daemon_alarms,
    disk_alarms,
    read_daemon,
    read_training,
    trainer_alarms,
)
from swt_training.metric_names import undefined_in

_TAIL_BYTES: Final = 1 << 20
# What sparklines are drawn of.
COURSES: Final = (
    "Rolling/expectancy_pips",
    "Rolling/trade_ratio",
    "Performance/self_play_pips",
    "Loss/total",
    "Loss/value",
    "Loss/policy",
    "Training/episodes_per_s",
    "Selection/pips_per_session",
)


class TrainingView(StateRecord):
    """Everything `swt train status` and the dashboard show."""

    root: str
    time_s: float
    daemon: DaemonStatus
    training: TrainingStatus
    figures: dict[str, float] = Field(default_factory=dict, description="newest value of each defined figure")
    courses: dict[str, tuple[float, ...]] = Field(default_factory=dict, description="recent values")
    sqn: float | None = Field(None, description="of the rolling window's closed trades")
    sqn_class: str = ""
    sqn_reliable: bool = Field(False, description="whether there are trades enough to believe it")
    limits_used: dict[str, float] = Field(default_factory=dict, description="share of each hard limit")
    eta_s: float | None = Field(None, description="until the first of the hard limits, at this speed, s")
    eta_limit: str = Field("", description="which limit that is: episodes, checkpoints or hours")
    checkpoint_age_s: float | None = None
    protected: int = Field(0, description="checkpoints that validator or live trader still need")
    alarms: tuple[Alarm, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether somebody should look."""
        return bool(self.alarms)


def training_view(
    workspace: Workspace, clock: Clock, *, stale_after_s: float = STALE_AFTER_S, points: int = 60
) -> TrainingView:
    """Read the trainer's files once; a broken file becomes an alarm.

    Args:
        points: how many recent values of each course.
    """
    alarms: list[Alarm] = []
    daemon = read_daemon(workspace, "trainer", clock, stale_after_s)
    alarms += daemon_alarms(daemon)
    try:
        training = read_training(workspace)
    except (StateError, CheckpointError) as error:
        training = TrainingStatus()
        alarms.append(Alarm(source="trainer", text=error.message))
    try:
        alarms += trainer_alarms(workspace)
    except StateError as error:
        alarms.append(Alarm(source="trainer", text=error.message))
    # On a full disk the trainer's own alarms cannot be written.
    alarms += disk_alarms(workspace.root)
    rows = recent_rows(workspace.training_state / METRICS_FILE)
    figures: dict[str, float] = {}
    for row in rows:
        figures |= row
        for name in undefined_in(row, tuple(figures)):
            del figures[name]
    courses = {name: tuple(row[name] for row in rows if name in row)[-points:] for name in COURSES}
    sqn = figures.get("Rolling/sqn")
    eta_limit, eta_s = _first_limit(daemon.counters, figures)
    newest = training.newest
    return TrainingView(
        schema_version=1,
        root=str(workspace.root),
        time_s=clock.time_s(),
        daemon=daemon,
        training=training,
        figures=figures,
        courses={name: values for name, values in courses.items() if values},
        sqn=sqn,
        sqn_class=sqn_label(sqn),
        sqn_reliable=sqn is not None and figures.get("Rolling/trades", 0.0) >= RELIABLE_TRADES,
        limits_used=_limits_used(daemon.counters),
        eta_s=eta_s,
        eta_limit=eta_limit,
        checkpoint_age_s=None if newest is None else max(0.0, clock.time_s() - newest.created_s),
        protected=_protected(workspace, clock.time_s()),
        alarms=tuple(alarms),
    )


def recent_rows(path: Path, tail_bytes: int = _TAIL_BYTES) -> list[dict[str, float]]:
    """The rows in the last ``tail_bytes`` of a metrics file, oldest first, without what is no number."""
    try:
        with path.open("rb") as file:
            begin = max(0, file.seek(0, 2) - tail_bytes)
            file.seek(begin)
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return []
    rows = []
    for line in lines[1:] if begin else lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
            rows.append(numbers)
    return rows


def _limits_used(counters: dict[str, float]) -> dict[str, float]:
    return {
        name: counters.get(name, 0.0) / counters[f"maximum_{name}"]
        for name in ("episodes", "checkpoints", "hours")
        if counters.get(f"maximum_{name}", 0.0) > 0
    }


def _first_limit(counters: dict[str, float], figures: dict[str, float]) -> tuple[str, float | None]:
    """The hard limit that is met first, and in how many seconds; "" and None while no pace is known."""
    hours = counters.get("hours", 0.0)
    per_s = {
        "episodes": figures.get("Training/episodes_per_s", 0.0),
        # Of the whole run: they come too seldom for a pace of the moment.
        "checkpoints": counters.get("checkpoints", 0.0) / (3600.0 * hours) if hours > 0 else 0.0,
        "hours": 1.0 / 3600.0,
    }
    left_s = {}
    for name, pace in per_s.items():
        if (maximum := counters.get(f"maximum_{name}")) is None:
            continue
        left = maximum - counters.get(name, 0.0)
        if left <= 0 or pace > 0:
            left_s[name] = left / pace if left > 0 else 0.0
    if not left_s:
        return "", None
    first = min(left_s, key=lambda name: left_s[name])
    return first, left_s[first]


def _protected(workspace: Workspace, now_s: float) -> int:
    try:
        needed = protected_by_validation(workspace.validation_state, now_s)
        return len(needed | protected_by_live(workspace.live_state))
    except StateError:
        return 0
