"""The whole installation in one full screen of a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from swt_core.clock import iso_utc
from swt_core.position import ACTION_NAMES
from swt_ops.dashboard.records import DashboardView, Decision
from swt_ops.status import DaemonState
from swt_ops.status_view import DECISION_COLOURS, STATE_COLOURS, age_text, idle_reason, judged
from swt_ops.training_dashboard import sparkline

# Narrower than this, panels stand below one another.
_TWO_COLUMNS: Final = 100
_ACTION_COLOURS: Final = {"HOLD": "bright_black", "BUY": "green", "SELL": "red", "CLOSE": "yellow"}
_VISITS_WIDTH: Final = 12


def watch(view: Callable[[], DashboardView], console: Console, every_s: float, stop: threading.Event) -> None:
    """Show the installation until ``stop`` is set or Ctrl-C.

    Args:
        view: reads the state directories.
        every_s: time between two frames, s.
    """

    def frame() -> RenderableType:
        return screen(view(), console.width, console.height)

    try:
        with Live(frame(), console=console, screen=True, auto_refresh=False) as live:
            while not stop.wait(every_s):
                live.update(frame(), refresh=True)
    except KeyboardInterrupt:
        return


def screen(view: DashboardView, width: int, height: int) -> Layout:
    """One frame that fills ``width`` × ``height``: what matters most stays visible when it is small."""
    alarms = _alarm_lines(view)
    shown = alarms[: max(1, height // 5)]
    if len(alarms) > len(shown):
        shown[-1] = Text(f"… and {len(alarms) - len(shown) + 1} more: swt status", style="bold red")
    daemons = max(1, len(view.status.daemons)) + 2
    root = Layout()
    parts = [
        Layout(_heading(view), size=1),
        Layout(Panel(_daemons(view), title="daemons", title_align="left"), size=daemons),
        Layout(name="body"),
        Layout(
            Panel(Group(*shown), title="alarms", title_align="left", border_style=_border(alarms)),
            size=len(shown) + 2,
        ),
    ]
    root.split_column(*parts)
    trading = Layout(Panel(_trading(view, height), title="trading", title_align="left"))
    learning = Layout(Panel(_learning(view), title="training and verdict", title_align="left"))
    if width >= _TWO_COLUMNS:
        root["body"].split_row(trading, learning)
    else:
        root["body"].split_column(trading, learning)
    return root


def _border(alarms: list[Text]) -> str:
    return "red" if any("red" in str(line.style) for line in alarms) else "dim"


def _heading(view: DashboardView) -> Text:
    text = Text(" SWT ", style="bold reverse", no_wrap=True, overflow="ellipsis")
    live = view.status.live
    if live is not None:
        style = "bold red" if live.environment == "live" else "bold"
        name = "REAL MONEY" if live.environment == "live" else f"{live.environment} account"
        text.append(f" {name}", style=style)
    text.append(
        f"  {iso_utc(view.time_s)}  {view.status.root}  Ctrl-C ends this view only",
        style="not bold not reverse dim",
    )
    return text


def _daemons(view: DashboardView) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for daemon in view.status.daemons:
        state = f"[{STATE_COLOURS[daemon.state]}]{daemon.state.value}[/]"
        table.add_row(daemon.name, state, age_text(daemon.age_s), escape(daemon.status))
    return table


def _facts() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _signed(pips: float) -> str:
    return f"[{'green' if pips > 0 else 'red' if pips < 0 else 'default'}]{pips:+.1f}[/]"


def _trading(view: DashboardView, height: int) -> RenderableType:
    live, found = view.status.live, view.trading
    if live is None:
        return Text("no status yet: swt up, or swt live run", style="dim")
    table = _facts()
    held = f"{live.units:+,} units, {_signed(live.equity_pips)} pips open" if live.units else "flat"
    market = "open" if live.market_open else "closed"
    table.add_row("position", f"{held}, market {market}, {iso_utc(live.time_s)[5:16]}")
    won = "" if live.win_rate is None else f", {live.win_rate:.0%} of the last 20 won"
    table.add_row("result", f"{_signed(live.realised_pips)} pips in {live.trades:,} trades{won}")
    table.add_row("today", f"{_signed(live.realised_today_pips)} pips, drawdown {live.drawdown_pips:.1f}")
    why = idle_reason(view.status)
    daemon = next((d for d in view.status.daemons if d.name == "live"), None)
    doing = escape(f"{live.state}: {why or live.model_name}")
    if daemon is None or daemon.state is not DaemonState.RUNNING:
        doing = f"[yellow]{'unknown' if daemon is None else daemon.state.value}[/], was {doing}"
    table.add_row("trader", doing)
    if found.marked is not None:
        table.add_row("equity", f"[cyan]{sparkline(_sampled(found.marked.y, 40), 40)}[/]")
    decisions = found.decisions[: max(1, (height - 16) // 2)]
    if not decisions:
        return table
    return Group(table, Text(), _decisions(decisions))


def _sampled(values: tuple[float, ...], count: int) -> list[float]:
    if len(values) <= count:
        return list(values)
    return [values[number * (len(values) - 1) // (count - 1)] for number in range(count)]


def _decisions(decisions: tuple[Decision, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for heading in ("bar", "visits", "H/B/S/C", "action", "conf", "value"):
        table.add_column(heading, no_wrap=True)
    table.add_column("done", no_wrap=True, overflow="ellipsis", ratio=1)
    for decision in decisions:
        counts = "/".join(str(decision.visits.get(name, 0)) for name in ACTION_NAMES)
        table.add_row(
            iso_utc(decision.bar_time_s)[11:16],
            _visits(decision),
            counts,
            f"[{_ACTION_COLOURS[decision.action]}]{decision.action}[/]",
            f"{decision.confidence:.0%}",
            f"{decision.root_value:+.1f}",
            escape(decision.outcome),
        )
    return table


def _visits(decision: Decision) -> Text:
    text, total = Text(), sum(decision.visits.values())
    for name in ACTION_NAMES:
        share = decision.visits.get(name, 0) / total if total else 0.0
        text.append("█" * round(_VISITS_WIDTH * share), style=_ACTION_COLOURS[name])
    return text


def _learning(view: DashboardView) -> Table:
    table, training, status = _facts(), view.training, view.status
    figures, courses = training.figures, training.courses
    verdict = status.verdict
    waiting = f"; {status.waiting} waiting" if status.waiting else ""
    if verdict is None:
        table.add_row("verdict", f"none yet{waiting}")
    else:
        colour = DECISION_COLOURS[verdict.decision.value]
        table.add_row(
            "verdict",
            f"[bold {colour}]{verdict.decision.value}[/] {verdict.level}, score {verdict.score:.1f} "
            f"({escape(verdict.grade)}){waiting}",
        )
        if verdict.reasons:
            table.add_row("", f"[dim]{escape(verdict.reasons[0])}[/]")
    episodes = figures.get("episode", float(training.training.episode))
    maximum = training.daemon.counters.get("maximum_episodes")
    table.add_row("episodes", f"{episodes:,.0f}" + (f" of {maximum:,.0f}" if maximum else ""))
    for label, name, text in (
        ("speed", "Training/episodes_per_s", "{:.1f}/s"),
        ("expectancy", "Rolling/expectancy_pips", "{:+.2f} pips"),
        ("self-play", "Performance/self_play_pips", "{:+.1f} pips"),
        ("selection", "Selection/pips_per_session", "{:+.1f} pips"),
        ("loss", "Loss/total", "{:.4g}"),
        ("buffer", "Training/buffer_sessions", "{:,.0f} sessions"),
    ):
        if name in figures:
            table.add_row(
                label, f"{text.format(figures[name]):<14} [cyan]{sparkline(courses.get(name, ()))}[/]"
            )
    best = training.training.best
    if best is not None:
        age = age_text(training.checkpoint_age_s)
        table.add_row("best", judged(best))
        table.add_row("", f"episode {best.episode:,}; newest {age}")
    return table


def _alarm_lines(view: DashboardView) -> list[Text]:
    found = [(alarm.source, alarm.text) for alarm in view.status.alarms]
    found += [(problem.source, f"broken state file: {problem.text}") for problem in view.problems]
    if not found:
        return [Text("none", style="green")]
    # The trader's first: it is the one that holds a position.
    found.sort(key=lambda alarm: alarm[0] != "live")
    return [
        Text(f"! {source}: {text}", style="bold red", no_wrap=True, overflow="ellipsis")
        for source, text in found
    ]
