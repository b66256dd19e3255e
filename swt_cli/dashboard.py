"""`swt dashboard`: the installation as a web page, or as a full screen of the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from swt_cli.options import Json, StateDir


def dashboard(
    state_dir: StateDir = Path("state"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0: any that is free.")] = 8090,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A host name it may be called by, besides this machine's own."),
    ] = None,
    control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="Buttons that start, stop and halt the trader; for who knows the token in "
            "SWT_DASHBOARD_TOKEN or in the file SWT_DASHBOARD_TOKEN_FILE.",
        ),
    ] = False,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Full screen in this terminal instead.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Time between two frames of the terminal, s.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame of the terminal and end.")] = False,
    as_json: Json = False,
) -> None:
    """Training curves, verdicts and reports, equity, decisions, alarms: a local web page, or the terminal.

    Reads the state directories only: it may be started, stopped and started again at any time. Without
    --control it changes nothing.

    Examples:

      swt dashboard

      swt dashboard --state-dir runs/demo --port 0

      SWT_DASHBOARD_TOKEN_FILE=secrets/dashboard swt dashboard --control

      swt dashboard --terminal

      swt dashboard --json
    """
    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.workspace import Workspace
    from swt_ops.dashboard.view import Observer

    workspace = Workspace(state_dir)
    if as_json:
        typer.echo(to_json(Observer(workspace, SystemClock()).view(), indent=2))
        return
    if terminal or once:
        show_terminal(state_dir, every, once)
        return
    from rich.console import Console
    from rich.markup import escape

    from swt_core.logs import configure_logging
    from swt_ops.dashboard.app import dashboard_app
    from swt_ops.dashboard.security import control_token
    from swt_ops.dashboard.serve import is_loopback, serve

    token = control_token(os.environ) if control else None
    console = Console(stderr=True)
    configure_logging(json=not console.is_terminal, service="dashboard")
    if not is_loopback(host):
        console.print(
            "[yellow]listening beyond this machine, unencrypted and for everybody who reaches it: "
            "put a proxy with TLS and a login in front[/]",
            highlight=False,
        )
    # An address that was asked for by name is one the page is called by.
    names = [*(allow_host or []), *([] if host in ("0.0.0.0", "::") else [host])]  # noqa: S104 - not bound here
    app = dashboard_app(workspace, SystemClock(), token=token, hosts=names)
    serve(
        app,
        host,
        port,
        lambda url: console.print(f"{escape(url)}  (Ctrl-C ends it)", highlight=False),
    )


def show_terminal(state_dir: Path, every: float, once: bool, stale_after: float = 180.0) -> None:
    """The full-screen view; one frame of it with ``once``."""
    import threading

    from rich.console import Console

    from swt_core.clock import SystemClock
    from swt_core.workspace import Workspace
    from swt_ops.dashboard.view import Observer
    from swt_ops.terminal import screen, watch

    observer = Observer(Workspace(state_dir), SystemClock(), stale_after_s=stale_after)
    console = Console()
    if once:
        console.print(screen(observer.view(), console.width, console.height), height=console.height)
        return
    watch(observer.view, console, every, threading.Event())
