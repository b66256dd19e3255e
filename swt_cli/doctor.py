"""`swt doctor`: is everything right before a daemon starts?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from swt_cli.options import ConfigDir, Json, Overrides, Profile, StateDir, configuration
from swt_cli.progress import working


def doctor(
    warm: Annotated[
        bool,
        typer.Option("--warm", help="First compile every kernel into the cache, so that no daemon has to."),
    ] = False,
    state_dir: StateDir = Path("state"),
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Versions, cores, memory, disk, GPU, compiled kernels, state, data, account, broker and clock.

    Each line is ok, warn or fail, with its remedy. Exits with 1 when a line fails, with 2 on bad usage.
    Nothing is traded, and the token is never shown.

    Examples: swt doctor; swt doctor --warm; swt doctor --json --set live.environment=practice
    """
    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.logs import configure_logging
    from swt_core.workspace import Workspace
    from swt_ops.doctor import examination_view, examine

    config = configuration(config_dir, profile, overrides).config
    configure_logging(json=False, level="ERROR", service="doctor")
    with working("looking") as work:
        if warm:
            from swt_ops.warm import warm_kernels

            warm_kernels(lambda note: work.stage(f"compiling kernels: {note}"))
            work.stage("looking")
        found = examine(config, Workspace(state_dir), os.environ, SystemClock())
    if as_json:
        typer.echo(to_json(found, indent=2))
    else:
        Console().print(examination_view(found))
    if found.failed:
        raise typer.Exit(1)
