"""`swt up`: the supervisor in the foreground, its processes' lines and one table beneath them."""

from __future__ import annotations

import json
import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import psutil
from rich.console import Console
from rich.live import Live
from rich.text import Text

from swt_core.clock import Clock
from swt_core.errors import StateError
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_ops.processes import ProcessSpec, RestartPolicy
from swt_ops.stack import Stack
from swt_ops.status import read_status
from swt_ops.status_view import up_view
from swt_ops.supervisor import Supervisor
from swt_ops.watchdog import Watchdog, WatchPolicy

_TICK_S: Final = 0.2
_VIEW_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 5.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COLOURS: Final = ("cyan", "magenta", "yellow", "blue")
_LEVELS: Final = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
_SUPERVISOR_STATE: Final = "supervisor"


class Lines:
    """The processes' lines, prefixed and readable; written from their threads, shown by the main one."""

    def __init__(self, specs: tuple[ProcessSpec, ...], console: Console) -> None:
        self._console = console
        self._width = max(len(spec.name) for spec in specs)
        self._colours = {spec.name: _COLOURS[i % len(_COLOURS)] for i, spec in enumerate(specs)}
        self._waiting: queue.SimpleQueue[Text] = queue.SimpleQueue()

    def line(self, name: str, line: str) -> None:
        """A line that a process wrote."""
        self._put(name, readable(line))

    def event(self, name: str, text: str) -> None:
        """What the supervisor says about a process."""
        self._put(name, Text(f"● {text}", style="bold"))

    def show(self, timeout_s: float) -> None:
        """Print what has come, waiting up to ``timeout_s`` for the first."""
        try:
            self._print(self._waiting.get(timeout=timeout_s))
            while True:
                self._print(self._waiting.get_nowait())
        except queue.Empty:
            return

    def _put(self, name: str, text: Text) -> None:
        prefix = Text(f"{name:<{self._width}} │ ", style=self._colours.get(name, "dim"))
        self._waiting.put(prefix + text)

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def readable(line: str) -> Text:
    """A JSON log line as time, level, event and fields; any other line as it is."""
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or "event" not in entry:
        return Text.from_ansi(line)
    level = str(entry.pop("level", "info"))
    time = str(entry.pop("timestamp", ""))[11:19]
    event = str(entry.pop("event"))
    for noise in ("logger", "service"):
        entry.pop(noise, None)
    error = entry.pop("exception", None)
    fields = " ".join(f"{key}={value}" for key, value in entry.items())
    text = Text(f"{time} ", style="dim")
    if level != "info":
        text.append(f"{level} ", style=_LEVELS.get(level, "dim"))
    text.append(event, style=_LEVELS.get(level, ""))
    if fields:
        text.append(f" {fields}", style="dim")
    if error:
        text.append(f"\n{error}", style="red")
    return text


def run_stack(
    stack: Stack,
    workspace: Workspace,
    clock: Clock,
    console: Console,
    *,
    policy: RestartPolicy | None = None,
    hangs: WatchPolicy | None = None,
) -> int:
    """Run until a signal, or until nothing is left to run; returns the exit code.

    The first signal stops all in order, a second one kills what is left. 1: a process was given up, or
    had to be killed. A daemon whose heartbeat is stale by ``hangs`` is ended, and started again as after
    a crash.

    Raises:
        StateError: another supervisor works on this workspace.
    """
    lines = Lines(stack.specs, console)
    supervisor = Supervisor(stack.specs, clock, policy=policy, on_line=lines.line, on_event=lines.event)
    watchdog = Watchdog(
        workspace,
        hangs or WatchPolicy(),
        clock,
        [spec.name for spec in stack.specs],
        end=lambda process, age_s: supervisor.end_hung(process.pid, f"its heartbeat is {age_s:.0f} s old"),
    )
    hang_watch = _HangWatch(watchdog, lines, clock)
    directory = StateDirectory(workspace.root / _SUPERVISOR_STATE)
    with _one_supervisor(directory), _signals(supervisor.hurry) as asked:
        clean = True
        try:
            supervisor.start()
            _watch(supervisor, lines, workspace, clock, console, asked, hang_watch)
        finally:
            lines.show(0.0)
            if supervisor.busy:
                console.print(Text("stopping: live trader first; Ctrl-C again to kill", style="bold"))
            clean = supervisor.stop()
            lines.show(0.0)
    if not clean:
        console.print(Text("not every process stopped in time", style="bold red"))
    return 1 if supervisor.gave_up or not clean else 0


def _watch(
    supervisor: Supervisor,
    lines: Lines,
    workspace: Workspace,
    clock: Clock,
    console: Console,
    asked: Callable[[], bool],
    hang_watch: _HangWatch,
) -> None:
    shown_s = -_VIEW_EVERY_S
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while supervisor.busy and not asked():
            supervisor.tick()
            hang_watch.look()
            if console.is_terminal and clock.monotonic_s() - shown_s >= _VIEW_EVERY_S:
                shown_s = clock.monotonic_s()
                live.update(up_view(read_status(workspace, clock), supervisor.views()), refresh=True)
            lines.show(_TICK_S)


class _HangWatch:
    """Looks at heartbeats now and then, and has the supervisor end what hangs."""

    def __init__(self, watchdog: Watchdog, lines: Lines, clock: Clock) -> None:
        self._watchdog, self._lines, self._clock = watchdog, lines, clock
        self._looked_s = clock.monotonic_s()

    def look(self) -> None:
        """One look, if one is due."""
        if self._clock.monotonic_s() - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = self._clock.monotonic_s()
        try:
            self._watchdog.look()
        except (OSError, psutil.Error) as error:
            self._lines.event("watchdog", f"cannot look: {error}")


@contextmanager
def _one_supervisor(directory: StateDirectory) -> Iterator[None]:
    try:
        with directory.writer():
            yield
    except StateError as error:
        if "another process" in error.message:
            raise StateError(
                f"another `swt up` runs on {directory.path.parent}",
                remedy="stop it, or use another --state-dir",
            ) from error
        raise


@contextmanager
def _signals(hurry: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Whether a stop was asked for; the handler takes no lock, so it cannot wait for what it interrupts."""
    asked = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            hurry()
        asked = True

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
