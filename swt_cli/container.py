"""`swt container`: what a container of the stack runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def container(
    role: Annotated[str, typer.Argument(help="trainer, validator, live, data or practice.")],
) -> None:
    """Run one role of the container stack, as the compose file's variables say.

    Waits for bars where they are still being fetched; rests, healthy, where there is nothing to do.

    Examples: swt container trainer; swt container practice
    """
    import signal
    from threading import Event

    from swt_core.clock import SystemClock
    from swt_core.logs import configure_logging
    from swt_ops.container_run import run_role

    configure_logging(json=True, service=role)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    code = run_role(role, os.environ, SystemClock(), stop)
    if code:
        raise typer.Exit(code)
