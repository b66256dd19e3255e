"""`swt watchdog`: ends daemons whose heartbeat is stale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swt_cli.options import Json, StateDir

if TYPE_CHECKING:
    from swt_ops.watchdog import WatchReport


def watchdog(
    state_dir: StateDir = Path("state"),
    once: Annotated[bool, typer.Option("--once", help="Look once, act at once, and end.")] = False,
    as_json: Json = False,
    daemon: Annotated[
        list[str] | None, typer.Option(help="trainer, validator or live; repeat for several; else all.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Time between looks, s.")] = 30.0,
    stale_after: Annotated[
        float, typer.Option(min=1.0, help="A heartbeat older than this is stale, s.")
    ] = 180.0,
    starting: Annotated[
        float, typer.Option(min=1.0, help="The same while a daemon says that it is starting, s.")
    ] = 900.0,
    grace: Annotated[float, typer.Option(min=0.1, help="Time between SIGTERM and SIGKILL, s.")] = 35.0,
) -> None:
    """End daemons that hang: their heartbeat is stale, but their process still runs.

    A process is ended only if it holds the lock of that daemon's state directory and began before its
    heartbeat, or so long ago that it should have beaten since. Without --once, a heartbeat must stay stale
    for 60 s of watching first, so that a clock that was set or a machine that slept ends nobody, and one
    that is watched unchanged for its time is stale whatever the clock says; --once believes the clock, and
    ends nobody whose heartbeat is of the future. Whatever supervises the daemon (`swt up`, systemd) starts
    it again, and a trainer resumes exactly.

    With --once, exits with 1 when something was ended or could not be, or a heartbeat is of the future.

    Examples:

      swt watchdog

      swt watchdog --once --json

      swt watchdog --daemon trainer --stale-after 300
    """
    import signal
    import threading

    from swt_core.clock import SystemClock
    from swt_core.errors import ConfigError
    from swt_core.json_text import to_json
    from swt_core.logs import configure_logging
    from swt_core.workspace import Workspace
    from swt_ops.watchdog import ACTED, WATCHED, Finding, Watchdog, WatchPolicy

    for name in daemon or ():
        if name not in WATCHED:
            raise ConfigError(
                f"--daemon {name}: there is no such daemon", remedy=f"use one of {', '.join(WATCHED)}"
            )
    configure_logging(json=as_json, service="watchdog")
    policy = WatchPolicy(stale_after, starting, 0.0 if once else 60.0, grace)
    dog = Watchdog(Workspace(state_dir), policy, SystemClock(), daemon or WATCHED)
    stop = threading.Event()
    if not once:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    last: dict[str, Finding] = {}
    while True:
        reports = dog.look()
        for report in reports:
            if once or report.finding in ACTED or last.get(report.daemon) is not report.finding:
                typer.echo(to_json(report) if as_json else _line(report))
            last[report.daemon] = report.finding
        if once:
            if any(report.finding in {*ACTED, Finding.FUTURE} for report in reports):
                raise typer.Exit(1)
            return
        if stop.wait(every):
            return


def _line(report: WatchReport) -> str:
    from swt_core.clock import iso_utc
    from swt_ops.status_view import age_text

    age = f", heartbeat {age_text(report.age_s)}" if report.age_s is not None else ""
    pid = f" (process {report.pid})" if report.pid is not None else ""
    return f"{iso_utc(report.time_s)} {report.daemon}{pid}: {report.finding.value}{age}"
