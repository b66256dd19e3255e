"""Training for a person in a terminal: a short status, and a dashboard of one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from swt_core.clock import iso_utc
from swt_core.statistics import sqn_text
from swt_ops.status import DaemonState
from swt_ops.status_view import age_text, judged
from swt_ops.training import TrainingView

_BARS: Final = "▁▂▃▄▅▆▇█"
_ACTION_COLOURS: Final = {"hold": "dim", "buy": "green", "sell": "red", "close": "yellow"}
_WIDTH: Final = 30


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """The course of ``values`` in one line, lowest to highest; the newest ``width`` of them."""
    shown = [value for value in values if math.isfinite(value)][-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that say enough."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    minutes, days = seconds / 60.0, seconds / 86_400.0
    if days >= 3:
        return f"{days:,.0f} days"
    if minutes >= 60:
        return f"{int(minutes // 60)} h {int(minutes % 60):02d} min"
    return f"{int(minutes)} min {int(seconds % 60):02d} s"


def training_status(view: TrainingView) -> RenderableType:
    """What `swt train status` shows."""
    return Group(_heading(view), _progress(view), _trades(view), _checkpoints(view), *_alarm_lines(view))


def training_dashboard(view: TrainingView) -> RenderableType:
    """One frame of `swt train dashboard`."""
    panels = (
        Panel(_progress(view), title="progress", title_align="left"),
        Panel(_trades(view), title="closed trades, rolling", title_align="left"),
        Panel(_actions(view), title="actions", title_align="left"),
        Panel(_losses(view), title="learning", title_align="left"),
        Panel(Group(_buffer(view), _checkpoints(view)), title="buffer and checkpoints", title_align="left"),
        Panel(_limits(view), title="limits", title_align="left"),
    )
    return Group(_heading(view), Columns(panels, equal=True, expand=False), *_alarm_lines(view))


def _heading(view: TrainingView) -> Text:
    daemon = view.daemon
    colour = {DaemonState.RUNNING: "green", DaemonState.STOPPED: "dim", DaemonState.ABSENT: "dim"}
    text = Text("trainer ", style="bold")
    text.append(daemon.state.value, style=colour.get(daemon.state, "red"))
    beat = f", heartbeat {age_text(daemon.age_s)}" if daemon.age_s is not None else ""
    text.append(f": {daemon.status}{beat}, {iso_utc(view.time_s)}", style="dim")
    return text


def _facts() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    return table


def _number(view: TrainingView, name: str, text: str) -> str:
    value = view.figures.get(name)
    return "–" if value is None or not math.isfinite(value) else text.format(value)


def _with_course(view: TrainingView, name: str, text: str) -> str:
    return f"{_number(view, name, text):<12} [cyan]{sparkline(view.courses.get(name, ()))}[/]"


def _progress(view: TrainingView) -> Table:
    table = _facts()
    maximum = view.daemon.counters.get("maximum_episodes")
    of = "" if maximum is None else f" of {maximum:,.0f}"
    episodes = view.figures.get("episode", float(view.training.episode))
    table.add_row("episodes", f"{episodes:,.0f}{of}")
    which = f" ({view.eta_limit})" if view.eta_limit else ""
    table.add_row("to the limit", f"{duration(view.eta_s)}{which}")
    table.add_row("speed", _with_course(view, "Training/episodes_per_s", "{:.1f}/s"))
    table.add_row("learned", _number(view, "Training/learner_sessions", "{:,.0f} sessions"))
    table.add_row("self-play", _with_course(view, "Performance/self_play_pips", "{:+.1f} pips"))
    table.add_row("selection", _with_course(view, "Selection/pips_per_session", "{:+.1f} pips"))
    return table


def _trades(view: TrainingView) -> Table:
    table = _facts()
    table.add_row("expectancy", _with_course(view, "Rolling/expectancy_pips", "{:+.2f} pips"))
    table.add_row("win rate", _number(view, "Rolling/win_rate", "{:.1%}"))
    table.add_row("SQN", sqn_text(view.sqn, int(view.figures.get("Rolling/trades", 0.0))))
    table.add_row("trade ratio", _with_course(view, "Rolling/trade_ratio", "{:.1%}"))
    trades, sessions = view.figures.get("Rolling/trades", 0.0), view.figures.get("Rolling/sessions", 0.0)
    table.add_row("window", f"{trades:,.0f} trades in {sessions:,.0f} sessions")
    table.add_row("confidence", _number(view, "Rolling/confidence", "{:.1%}"))
    return table


def _actions(view: TrainingView) -> Table:
    table = _facts()
    for name, colour in _ACTION_COLOURS.items():
        share = view.figures.get(f"Rolling/action_{name}")
        if share is not None and math.isfinite(share):
            bar = "█" * round(20 * share)
            table.add_row(name.upper(), f"{share:>6.1%} [{colour}]{bar}[/]")
    table.add_row("BUY of entries", _number(view, "Rolling/buys_share", "{:.1%}"))
    table.add_row("chance codes", _number(view, "Network/code_perplexity", "perplexity {:.2f}"))
    table.add_row("mean |value|", _number(view, "Network/mean_absolute_value_pips", "{:.1f} pips"))
    return table


def _losses(view: TrainingView) -> Table:
    table = _facts()
    for label, name in (("total", "Loss/total"), ("policy", "Loss/policy"), ("value", "Loss/value")):
        table.add_row(label, _with_course(view, name, "{:.4g}"))
    table.add_row("chance", _number(view, "Loss/chance", "{:.4g}"))
    table.add_row("learning rate", _number(view, "Training/learning_rate", "{:.2e}"))
    dropped = _number(view, "Training/skipped_steps", "{:.0f}")
    table.add_row("dropped steps", f"{dropped}, {_number(view, 'Training/rollbacks', '{:.0f}')} returns")
    return table


def _buffer(view: TrainingView) -> Table:
    table = _facts()
    table.add_row("sessions", _number(view, "Training/buffer_sessions", "{:,.0f}"))
    table.add_row("with trades", _number(view, "Training/buffer_trading_share", "{:.1%}"))
    return table


def _checkpoints(view: TrainingView) -> Table:
    table = _facts()
    table.add_row("checkpoints", f"{view.training.checkpoints}, {view.protected} needed by others")
    table.add_row("newest", age_text(view.checkpoint_age_s) or "none yet")
    best = view.training.best
    if best is not None:
        table.add_row("best", f"episode {best.episode:,}")
        table.add_row("", judged(best))
    return table


def _limits(view: TrainingView) -> Table:
    table = _facts()
    for name, share in view.limits_used.items():
        colour = "red" if share >= 1.0 else "yellow" if share >= 0.9 else "green"
        bar = "█" * round(20 * min(1.0, share))
        table.add_row(name, f"{share:>6.1%} [{colour}]{bar}[/]")
    return table


def _alarm_lines(view: TrainingView) -> list[RenderableType]:
    return [Text.from_markup(f"[bold red]alarm[/] {escape(alarm.text)}") for alarm in view.alarms]
