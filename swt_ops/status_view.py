"""An installation's status for a person: one table, a few lines, the alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from swt_core.clock import iso_utc
from swt_core.statistics import sqn_text
from swt_ops.processes import ProcessState, ProcessView
from swt_ops.status import CheckpointSummary, DaemonState, DaemonStatus, InstallationStatus

STATE_COLOURS: Final = {
    DaemonState.RUNNING: "green",
    DaemonState.STALE: "red",
    DaemonState.FAILED: "red",
    DaemonState.UNREADABLE: "red",
    DaemonState.STOPPED: "dim",
    DaemonState.ABSENT: "dim",
}
_PROCESS_COLOURS: Final = {
    ProcessState.RUNNING: "green",
    ProcessState.WAITING: "yellow",
    ProcessState.FINISHED: "blue",
    ProcessState.GAVE_UP: "red",
    ProcessState.STOPPED: "dim",
}
DECISION_COLOURS: Final = {"DEPLOY": "green", "TEST": "blue", "IMPROVE": "yellow", "REJECT": "red"}


def status_view(status: InstallationStatus) -> RenderableType:
    """What `swt status` shows."""
    table = Table(box=None, pad_edge=False)
    for heading in ("daemon", "state", "heartbeat", "doing"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for daemon in status.daemons:
        state = f"[{STATE_COLOURS[daemon.state]}]{daemon.state.value}[/]"
        table.add_row(daemon.name, state, age_text(daemon.age_s), escape(daemon.status))
    return Group(table, Text(), _facts(status), *_alarms(status))


def up_view(status: InstallationStatus, processes: Sequence[ProcessView]) -> RenderableType:
    """What `swt up` shows beneath the lines of its processes."""
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "state", "restarts", "heartbeat", "doing"):
        table.add_column(heading, header_style="dim", overflow="ellipsis", no_wrap=True)
    daemons = {daemon.name: daemon for daemon in status.daemons}
    for process in processes:
        state = process.state.value
        if process.restart_in_s is not None:
            state = f"restart in {process.restart_in_s:.0f} s"
        daemon = daemons.get(process.name)
        own = daemon if daemon is not None and daemon.pid == process.pid else None
        table.add_row(
            process.name,
            f"[{_PROCESS_COLOURS[process.state]}]{state}[/]",
            str(process.restarts) if process.restarts else "",
            age_text(own.age_s) if own is not None else "",
            escape(_doing(process, own)),
        )
    return Group(Text(), table, _facts(status), *_alarms(status))


def _doing(process: ProcessView, daemon: DaemonStatus | None) -> str:
    if process.message is not None:
        return process.message
    return daemon.status if daemon is not None else process.last_line


def age_text(age_s: float | None) -> str:
    """Seconds in the largest unit that says enough."""
    if age_s is None:
        return ""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if age_s < limit:
            return f"{age_s / size:.0f} {unit} ago"
    return f"{age_s / 86_400:.0f} days ago"


def _facts(status: InstallationStatus) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in (
        ("training", _training(status)),
        ("best", _best(status)),
        ("verdict", _verdict(status)),
        ("position", _position(status)),
        ("result", _result(status)),
        ("trader", _trader(status)),
    ):
        if text:
            table.add_row(name, text)
    return table


def _training(status: InstallationStatus) -> str:
    training, figures = status.training, status.training.figures
    if not training.episode and not training.checkpoints:
        return "nothing yet"
    rate = figures.get("Training/episodes_per_s")
    speed = "" if rate is None else f", {rate:.1f} episodes/s"
    pips = figures.get("Performance/self_play_pips")
    play = "" if pips is None else f", self-play {pips:+.1f} pips a session"
    sessions = figures.get("Training/learner_sessions", 0.0)
    return f"{training.episode:,} episodes, {sessions:,.0f} sessions learned{speed}{play}"


def _best(status: InstallationStatus) -> str:
    best = status.training.best
    if best is None:
        return ""
    return f"{escape(best.name)}: {judged(best)} ({status.training.checkpoints} checkpoints)"


def judged(checkpoint: CheckpointSummary) -> str:
    """What the selection found out about a checkpoint."""
    pips = "–" if checkpoint.expectancy_pips is None else f"{checkpoint.expectancy_pips:+.2f}"
    sqn = sqn_text(checkpoint.sqn, checkpoint.trades)
    return f"SQN {sqn}, {pips} pips a trade, {checkpoint.trades:,} trades"


def _verdict(status: InstallationStatus) -> str:
    verdict = status.verdict
    waiting = f"; {status.waiting} waiting" if status.waiting else ""
    if verdict is None:
        return f"none yet{waiting}"
    colour = DECISION_COLOURS[verdict.decision.value]
    reason = f" – {verdict.reasons[0]}" if verdict.reasons else ""
    return (
        f"[bold {colour}]{verdict.decision.value}[/] {verdict.level}, score {verdict.score:.1f} "
        f"({verdict.grade}) for {escape(verdict.checkpoint_name)}{escape(reason)}{waiting}"
    )


def _position(status: InstallationStatus) -> str:
    live = status.live
    if live is None:
        return ""
    market = "open" if live.market_open else "closed"
    held = f"{live.units:+,} units, {live.equity_pips:+.1f} pips open" if live.units else "flat"
    return f"{held} at {iso_utc(live.time_s)}, market {market} ({escape(live.environment)} account)"


def _result(status: InstallationStatus) -> str:
    live = status.live
    if live is None:
        return ""
    rate = "" if live.win_rate is None else f", {live.win_rate:.0%} won of the last 20"
    return (
        f"{live.realised_pips:+.1f} pips in {live.trades:,} trades{rate}, today "
        f"{live.realised_today_pips:+.1f}, drawdown {live.drawdown_pips:.1f}"
    )


def _trader(status: InstallationStatus) -> str:
    live = status.live
    if live is None:
        return ""
    model = f"; model {live.model_name}" if live.model_name else ""
    why = idle_reason(status)
    return escape(f"{live.state}{model}" + (f"; {why}" if why else ""))


def idle_reason(status: InstallationStatus) -> str | None:
    """Why the trader opens no position; None when it may."""
    live = status.live
    if live is None:
        return None
    if not live.started:
        return "idle: START_TRADING is not set (swt live start)"
    if live.halt_reason is not None:
        return f"halted: {live.halt_reason}"
    if not live.market_open:
        return "the market is closed"
    if live.entry_refusal is not None:
        return live.entry_refusal
    if live.model_name is None:
        return f"no model may trade: {'; '.join(live.model_refusals[:2]) or 'no checkpoint yet'}"
    return None


def _alarms(status: InstallationStatus) -> list[Text]:
    return [Text(f"! {alarm.source}: {alarm.text}", style="bold red") for alarm in status.alarms]
