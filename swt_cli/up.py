"""`swt up`: the whole system as supervised processes, without Docker."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from swt_cli.options import ConfigDir, Overrides, Profile, StateDir, configuration


class PracticeTime(StrEnum):
    """How the practice server's market time moves."""

    REAL_TIME = "real_time"
    ACCELERATED = "accelerated"
    LOCKSTEP = "lockstep"


Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port of its /health and /metrics; 0: any.")]


def up(
    profile: Profile = None,
    state_dir: StateDir = Path("state"),
    practice_mode: Annotated[
        PracticeTime, typer.Option(help="Market time of the practice account: the wall clock's, faster, …")
    ] = PracticeTime.REAL_TIME,
    practice_speed: Annotated[
        float, typer.Option(min=0.001, max=100_000, help="Market seconds a second in mode accelerated.")
    ] = 60.0,
    practice_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the practice server; 0: any that is free.")
    ] = 0,
    trainer_port: Port = 8081,
    validator_port: Port = 8082,
    live_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="As trainer's; by default live.health_port.")
    ] = None,
    config_dir: ConfigDir = None,
    overrides: Overrides = None,
) -> None:
    """Run practice server, trainer, validator and live trader until Ctrl-C; restart what crashes or hangs.

    The trader stays idle until `swt live start`. Without credentials its account is at a local practice
    server that replays the test range of the market; with SWT_BROKER_TOKEN and SWT_LIVE__ACCOUNT_ID it is
    OANDA's practice account.

    Examples:

      swt up --profile demo

      swt up --set data.bars_file=bars.parquet --practice-mode accelerated --practice-speed 60
    """
    from swt_core.clock import SystemClock
    from swt_core.workspace import Workspace
    from swt_ops.stack import StackOptions, build_stack, configuration_arguments
    from swt_ops.up import run_stack

    loaded = configuration(config_dir, profile, overrides)
    directory = None if config_dir is None else str(config_dir)
    options = StackOptions(
        configuration=configuration_arguments(directory, profile, tuple(overrides or ())),
        practice_mode=practice_mode.value,
        practice_speed=practice_speed,
        practice_port=practice_port,
        trainer_port=trainer_port,
        validator_port=validator_port,
        live_port=live_port,
    )
    workspace = Workspace(state_dir)
    stack = build_stack(loaded, workspace, options, os.environ)
    console = Console()
    for note in stack.notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False)
    console.print(
        f"[dim]allow trading: swt live start --state-dir {escape(str(state_dir))}; "
        f"look: swt status --state-dir {escape(str(state_dir))}; stop: Ctrl-C[/]",
        highlight=False,
    )
    code = run_stack(stack, workspace, SystemClock(), console)
    if code:
        raise typer.Exit(code)
