"""What a command shows on standard error while it works: a bar, what it is at, and for how long already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Work:
    """One bar; without a known end it swings to and fro."""

    def __init__(self, shown: Progress, what: str) -> None:
        self._shown = shown
        self._task = shown.add_task(escape(what), total=None)

    def stage(self, what: str) -> None:
        """Name what begins now; how far it is is unknown until `to` says so."""
        # To `update` no total means the old one.
        self._shown.tasks[0].total = None
        self._shown.update(self._task, description=escape(what), completed=0)

    def to(self, done: float, total: float) -> None:
        """``done`` of ``total`` is finished."""
        self._shown.update(self._task, completed=done, total=total)


@contextmanager
def working(what: str, console: Console | None = None) -> Iterator[Work]:
    """Show a bar while the block runs, and leave no trace; on no terminal nothing is shown.

    Args:
        what: it begins with.
        console: where; by default standard error, so that standard output is the result alone.
    """
    console = console or Console(stderr=True)
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(show_speed=False)),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield Work(shown, what)
