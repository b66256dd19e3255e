"""What an installation is doing, from its state directories alone.

Reading never fails as a whole: a missing file is 'not yet', a broken one becomes an alarm.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from pydantic import Field

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock
from swt_core.errors import CheckpointError, StateError
from swt_core.protected import QUEUE_FILE, ValidationQueue
from swt_core.staleness import STALE_AFTER_S, is_silent, of_the_future
from swt_core.state import StateDirectory, StateRecord, read_heartbeat, read_json
from swt_core.statistics import RELIABLE_TRADES
from swt_core.verdict import VERDICT_FILE, Verdict
from swt_core.workspace import Workspace
from swt_live.status import STATUS_FILE, LiveStatus, unwell
from swt_training.alarms import ALARMS_FILE, TrainerAlarms

METRICS_FILE: Final = "metrics.jsonl"
_TAIL_BYTES: Final = 65_536
_LEAST_FREE_BYTES: Final = 1_000_000_000

FoundT = TypeVar("FoundT")


class DaemonState(StrEnum):
    """What a heartbeat says of its daemon."""

    RUNNING = "running"
    STALE = "silent"
    STOPPED = "stopped"
    FAILED = "failed"
    ABSENT = "not yet"
    UNREADABLE = "unreadable"


class DaemonStatus(StateRecord):
    """One daemon's heartbeat."""

    name: str
    state: DaemonState
    status: str = Field("", description="what it does, in its own words")
    age_s: float | None = Field(None, description="age of the heartbeat, s")
    ahead_s: float = Field(0.0, description="how far in the future it is stamped, s")
    pid: int | None = None
    counters: dict[str, float] = Field(default_factory=dict)


class CheckpointSummary(StateRecord):
    """A checkpoint and what the trainer found out about it on the validation range."""

    name: str
    sha256: str
    episode: int
    created_s: float
    sqn: float | None
    expectancy_pips: float | None
    trades: int
    sqn_reliable: bool = Field(True, description="whether there are trades enough to believe its SQN")


class TrainingStatus(StateRecord):
    """The trainer's progress."""

    episode: int = Field(0, description="searched episodes")
    figures: dict[str, float] = Field(default_factory=dict, description="figures of the last round")
    checkpoints: int = 0
    best: CheckpointSummary | None = None
    newest: CheckpointSummary | None = None


class Alarm(StateRecord):
    """Something a person should know."""

    source: str
    text: str


class InstallationStatus(StateRecord):
    """Everything at one moment."""

    root: str
    time_s: float
    daemons: tuple[DaemonStatus, ...]
    training: TrainingStatus
    verdict: Verdict | None = Field(None, description="the newest")
    verdicts: int = 0
    waiting: int = Field(0, description="checkpoints that wait for the validator")
    live: LiveStatus | None = None
    alarms: tuple[Alarm, ...] = ()


DAEMONS: Final = ("trainer", "validator", "live", "practice")


def trainer_alarms(workspace: Workspace) -> list[Alarm]:
    """Alarms that the trainer itself has raised.

    Raises:
        StateError: its file is broken.
    """
    found = read_json(workspace.training_state / ALARMS_FILE, TrainerAlarms)
    return [Alarm(source="trainer", text=f"{a.name}: {a.text}") for a in found.alarms] if found else []


def heartbeat_directory(workspace: Workspace, name: str) -> Path:
    """Where the daemon ``name`` writes its heartbeat."""
    return {
        "trainer": workspace.training_state,
        "validator": workspace.validation_state,
        "live": workspace.live_state,
        "practice": workspace.practice_state,
        "data": workspace.data,
    }[name]


def read_status(
    workspace: Workspace, clock: Clock, *, stale_after_s: float = STALE_AFTER_S
) -> InstallationStatus:
    """Read all state directories once."""
    alarms: list[Alarm] = []

    def careful(source: str, read: Callable[[], FoundT], otherwise: FoundT) -> FoundT:
        try:
            return read()
        except (StateError, CheckpointError) as error:
            alarms.append(Alarm(source=source, text=error.message))
            return otherwise

    daemons = [read_daemon(workspace, name, clock, stale_after_s) for name in DAEMONS]
    # The practice server is no daemon of its own: without one there is nothing to say.
    daemons = [d for d in daemons if d.name != "practice" or d.state is not DaemonState.ABSENT]
    no_verdicts: tuple[Verdict, ...] = ()
    verdicts = careful("validator", lambda: _verdicts(workspace.validation_state), no_verdicts)
    queue = careful(
        "validator", lambda: read_json(workspace.validation_state / QUEUE_FILE, ValidationQueue), None
    )
    live = careful("live", lambda: StateDirectory(workspace.live_state).read(STATUS_FILE, LiveStatus), None)
    training = careful("trainer", lambda: read_training(workspace), TrainingStatus())
    for daemon in daemons:
        alarms += daemon_alarms(daemon)
    alarms += careful("trainer", lambda: trainer_alarms(workspace), [])
    trading = any(daemon.name == "live" and daemon.state is DaemonState.RUNNING for daemon in daemons)
    if live is not None:
        alarms += [Alarm(source="live", text=text) for text in _live_alarms(live, trading)]
    alarms += disk_alarms(workspace.root)
    return InstallationStatus(
        schema_version=1,
        root=str(workspace.root),
        time_s=clock.time_s(),
        daemons=tuple(daemons),
        training=training,
        verdict=max(verdicts, key=lambda verdict: verdict.created_s, default=None),
        verdicts=len(verdicts),
        waiting=0 if queue is None else len(queue.queued),
        live=live,
        alarms=tuple(alarms),
    )


def read_daemon(workspace: Workspace, name: str, clock: Clock, stale_after_s: float) -> DaemonStatus:
    """What the heartbeat of ``name`` says."""
    try:
        heartbeat = read_heartbeat(heartbeat_directory(workspace, name))
    except StateError as error:
        return DaemonStatus(name=name, state=DaemonState.UNREADABLE, status=error.message)
    if heartbeat is None:
        return DaemonStatus(name=name, state=DaemonState.ABSENT)
    age_s, ahead_s = heartbeat.age_s(clock), heartbeat.ahead_s(clock)
    state = DaemonState.RUNNING
    if heartbeat.status.startswith("failed"):
        state = DaemonState.FAILED
    elif heartbeat.status.startswith("stopped"):
        state = DaemonState.STOPPED
    elif is_silent(age_s, ahead_s, stale_after_s):
        state = DaemonState.STALE
    return DaemonStatus(
        name=name,
        state=state,
        status=heartbeat.status,
        age_s=age_s,
        ahead_s=ahead_s,
        pid=heartbeat.pid,
        counters=heartbeat.counters,
    )


def daemon_alarms(daemon: DaemonStatus) -> list[Alarm]:
    """What its heartbeat says that a person should know."""
    if daemon.state not in (DaemonState.STALE, DaemonState.FAILED, DaemonState.UNREADABLE):
        return []
    text = f"{daemon.state.value}: {daemon.status}"
    if daemon.state is DaemonState.STALE and daemon.ahead_s > 0:
        text += f"; its heartbeat is {of_the_future(daemon.ahead_s)}"
    return [Alarm(source=daemon.name, text=text)]


def read_training(workspace: Workspace) -> TrainingStatus:
    """The trainer's progress and checkpoints.

    Raises:
        StateError, CheckpointError: a file is broken.
    """
    store = CheckpointStore(workspace.checkpoints)
    checkpoints, best = store.list(), store.best()
    figures = last_metrics(workspace.training_state / METRICS_FILE)
    episode = int(figures.pop("episode", 0))
    return TrainingStatus(
        episode=episode,
        figures=figures,
        checkpoints=len(checkpoints),
        best=None if best is None else _checkpoint(best),
        newest=_checkpoint(checkpoints[-1]) if checkpoints else None,
    )


def _checkpoint(ref: CheckpointRef) -> CheckpointSummary:
    metadata = ref.metadata
    return CheckpointSummary(
        name=ref.name,
        sha256=ref.sha256,
        episode=metadata.episode,
        created_s=metadata.created_s,
        sqn=metadata.sqn,
        expectancy_pips=metadata.expectancy_pips,
        trades=metadata.trades,
        sqn_reliable=metadata.trades >= RELIABLE_TRADES,
    )


def last_metrics(path: Path) -> dict[str, float]:
    """The figures of the last complete line of a metrics file, however long it is; empty without one.

    Raises:
        StateError: that line is broken.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error
    # The line before may have been torn by a crash; figures of the selection come on lines of their own.
    for line in reversed(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise StateError(f"the last line of {path} is not JSON: {error}") from error
        if isinstance(row, dict) and any(str(key).startswith("Training/") for key in row):
            return {str(key): float(value) for key, value in row.items() if isinstance(value, int | float)}
    return {}


def _verdicts(validation_state: Path) -> tuple[Verdict, ...]:
    read = (read_json(path, Verdict) for path in sorted(validation_state.glob(f"*/{VERDICT_FILE}")))
    return tuple(verdict for verdict in read if verdict is not None)


def _live_alarms(live: LiveStatus, running: bool) -> list[str]:
    found = []
    if live.halt_reason is not None:
        found.append(f"halted: {live.halt_reason}")
    if live.emergency:
        found.append("EMERGENCY_STOP is set")
    if not running and live.units:
        found.append(f"{live.units} units were held when the trader was last heard of")
    if running:
        found += unwell(live, disk_well=True, feed_needed=live.started or live.units != 0)
    return found


def disk_alarms(root: Path) -> list[Alarm]:
    """Little room where the state lies: daemons may be unable to say so themselves."""
    try:
        free = shutil.disk_usage(root).free
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Alarm(source="disk", text=f"{root} cannot be looked at: {error.strerror or error}")]
    if free >= _LEAST_FREE_BYTES:
        return []
    return [Alarm(source="disk", text=f"only {free / 1e9:.1f} GB are free in {root}")]
