"""`swt train`: the trainer daemon, how it goes, and its dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swt_cli.options import (
    ConfigDir,
    Json,
    Overrides,
    PoolKind,
    Profile,
    StateDir,
    configuration,
    pool_override,
)

if TYPE_CHECKING:
    from swt_training.figures import Progress as Round

# No help here: the callback's own, with its examples, is what `swt train --help` shows.
app = typer.Typer(invoke_without_command=True)

StaleAfter = Annotated[float, typer.Option(min=1.0, help="A heartbeat older than this is an alarm, s.")]


@app.callback()
def train(
    context: typer.Context,
    profile: Profile = None,
    config_dir: ConfigDir = None,
    overrides: Overrides = None,
    state_dir: StateDir = Path("state"),
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes (else at the limits).", min=0.01)
    ] = None,
    pool_kind: PoolKind = None,
    from_checkpoint: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CHECKPOINT",
            help="Begin a fresh run from a checkpoint's weights, with training.fine_tune_learning_rate: "
            "a path, or another run's DIRECTORY/best or DIRECTORY/newest.",
        ),
    ] = None,
    health_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of /health and /metrics on loopback; 0: any.")
    ] = 8081,
    stay: Annotated[
        bool, typer.Option("--stay", help="Stay alive at a limit, as a supervised daemon should.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train an agent; stop it with Ctrl-C and start it again to go on where it stopped.

    Examples:

      swt train --profile demo --minutes 2

      swt train --set data.bars_file=bars.parquet --state-dir state

      swt train --pool ray --set training.actors=32

      swt train --from state/checkpoints/checkpoint_….safetensors --state-dir finer

      swt train status --json

      swt train dashboard
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from swt_core.checkpoints import CheckpointStore
    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.logs import configure_logging
    from swt_core.ranking import PIPS_PER_SESSION
    from swt_core.statistics import sqn_text
    from swt_core.workspace import Workspace
    from swt_training.daemon import run_trainer

    overrides = [
        *(overrides or []),
        *pool_override(pool_kind),
        *([f"training.maximum_minutes={minutes}"] if minutes else []),
    ]
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
            from_checkpoint=from_checkpoint,
            on_progress=show,
        )
    best = CheckpointStore(Workspace(state_dir).checkpoints).best()
    if as_json:
        document = {
            "episodes": trainer.counters.episodes,
            "learner_sessions": trainer.counters.learner_sessions,
            "best": None if best is None else {"name": best.name, **best.metadata.model_dump(mode="json")},
        }
        typer.echo(to_json(document, indent=2))
        return
    typer.echo(f"{trainer.counters.episodes} episodes, {trainer.counters.learner_sessions} sessions learned")
    if best is None:
        typer.echo("no checkpoint yet")
        return
    found = best.metadata
    expectancy = "–" if found.expectancy_pips is None else f"{found.expectancy_pips:+.2f}"
    typer.echo(
        f"best: {best.name}, {found.extra[PIPS_PER_SESSION]:+.1f} pips a session, "
        f"SQN {sqn_text(found.sqn, found.trades)}, {expectancy} pips a trade "
        f"({found.trades} trades on the validation range)"
    )


@app.command()
def status(
    state_dir: StateDir = Path("state"), stale_after: StaleAfter = 180.0, as_json: Json = False
) -> None:
    """How training goes, from its state files alone: a running trainer is not asked.

    Exits with 1 when there are alarms.

    Examples: swt train status; swt train status --json; swt train status --state-dir /srv/swt
    """
    from rich.console import Console

    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.workspace import Workspace
    from swt_ops.training import training_view
    from swt_ops.training_dashboard import training_status

    view = training_view(Workspace(state_dir), SystemClock(), stale_after_s=stale_after)
    if as_json:
        typer.echo(to_json(view, indent=2))
    else:
        Console().print(training_status(view))
    if view.alarms:
        raise typer.Exit(1)


@app.command()
def dashboard(
    state_dir: StateDir = Path("state"),
    stale_after: StaleAfter = 180.0,
    every: Annotated[float, typer.Option(min=0.2, help="Time between two frames, s.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
) -> None:
    """Episodes, speed, expectancy, SQN, actions, losses, buffer and limits, live in the terminal.

    Reads state files only: it may be started, stopped and started again at any time. Ctrl-C ends it.

    Examples: swt train dashboard; swt train dashboard --once; swt train dashboard --every 10
    """
    import threading

    from rich.console import Console, RenderableType
    from rich.live import Live

    from swt_core.clock import SystemClock
    from swt_core.workspace import Workspace
    from swt_ops.training import training_view
    from swt_ops.training_dashboard import training_dashboard

    def frame() -> RenderableType:
        return training_dashboard(
            training_view(Workspace(state_dir), SystemClock(), stale_after_s=stale_after)
        )

    console = Console()
    if once:
        console.print(frame())
        return
    pause = threading.Event()
    try:
        with Live(frame(), console=console, screen=True, auto_refresh=False) as live:
            while not pause.wait(every):
                live.update(frame(), refresh=True)
    except KeyboardInterrupt:
        return
