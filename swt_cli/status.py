"""`swt status`: what the installation is doing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from swt_cli.options import Json, StateDir


def status(
    state_dir: StateDir = Path("state"),
    stale_after: Annotated[
        float, typer.Option(min=1.0, help="A heartbeat older than this is an alarm, s.")
    ] = 180.0,
    watch: Annotated[bool, typer.Option("--watch", help="Full screen, refreshed until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Time between two frames of --watch, s.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One frame of --watch, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Daemons, progress, last verdict, position, profit and alarms, from the state directories alone.

    Exits with 1 when there are alarms; --watch with 0.

    Examples: swt status; swt status --json; swt status --watch; swt status --state-dir /srv/swt
    """
    if watch or once:
        from swt_cli.dashboard import show_terminal

        show_terminal(state_dir, every, once, stale_after)
        return
    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.workspace import Workspace
    from swt_ops.status import read_status
    from swt_ops.status_view import status_view

    found = read_status(Workspace(state_dir), SystemClock(), stale_after_s=stale_after)
    if as_json:
        typer.echo(to_json(found, indent=2))
    else:
        Console().print(status_view(found))
    if found.alarms:
        raise typer.Exit(1)
