"""`swt train`: the trainer daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swt_cli.options import ConfigDir, Overrides, Profile, StateDir, configuration


def train(
    profile: Profile = None,
    config_dir: ConfigDir = None,
    overrides: Overrides = None,
    state_dir: StateDir = Path("state"),
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes (else at the limits).", min=0.01)
    ] = None,
    health_port: Annotated[int, typer.Option(help="Port of /health and /metrics on loopback.")] = 8081,
    stay: Annotated[
        bool, typer.Option("--stay", help="Stay alive at a limit, as a supervised daemon should.")
    ] = False,
) -> None:
    """Train an agent; stop it with Ctrl-C and start it again to go on where it stopped.

    Examples:

      swt train --profile demo --minutes 2

      swt train --set data.bars_file=bars.parquet --state-dir state
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from swt_core.checkpoints import CheckpointStore
    from swt_core.clock import SystemClock
    from swt_core.logs import configure_logging
    from swt_core.workspace import Workspace
    from swt_training.daemon import run_trainer
    from swt_training.figures import Progress as Round

    overrides = [*(overrides or []), *([f"training.maximum_minutes={minutes}"] if minutes else [])]
    config = configuration(config_dir, profile, overrides).config
    console = Console(stderr=True)
    configure_logging(json=not console.is_terminal, service="trainer")
    total = config.training.maximum_minutes
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=total * 60 if total else None)

        def show(now: Round) -> None:
            bar.update(
                task,
                completed=now.elapsed_s,
                description=f"{now.episodes} episodes, {now.learner_sessions} sessions learned, "
                f"{now.expected_pips:+.1f} pips a session",
            )

        trainer = run_trainer(
            config,
            Workspace(state_dir),
            SystemClock(),
            health_port=health_port,
            stay_at_limit=stay,
            on_progress=show,
        )
    best = CheckpointStore(Workspace(state_dir).checkpoints).best()
    typer.echo(f"{trainer.counters.episodes} episodes, {trainer.counters.learner_sessions} sessions learned")
    if best is None:
        typer.echo("no checkpoint yet")
        return
    found = best.metadata
    sqn = "undefined" if found.sqn is None else f"{found.sqn:.2f}"
    typer.echo(
        f"best: {best.name}, {found.extra['selection_pips_per_session']:+.1f} pips a session, SQN {sqn} "
        f"({found.trades} trades on the validation range)"
    )
