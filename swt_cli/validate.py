"""`swt validate` and `swt validator`: judge a checkpoint by hand, or watch for new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.judging import Elsewhere, Workers, judging_configuration, judging_pool, schema_printer
from swt_cli.options import ConfigDir, Json, Overrides, PoolKind, Profile, StateDir, configuration
from swt_cli.progress import working

if TYPE_CHECKING:
    from swt_core.config import SWTConfig
    from swt_core.workspace import Workspace
    from swt_validation.checkpoint_validation import Validation

_COLOURS = {"DEPLOY": "green", "TEST": "blue", "IMPROVE": "yellow", "REJECT": "red"}


def validate(
    checkpoint: Annotated[
        str, typer.Argument(help="Checkpoint: a path, a name in the store, or 'best' or 'newest'.")
    ] = "best",
    level: Annotated[
        str, typer.Option("--level", help="QUICK, STANDARD, FULL or COMPREHENSIVE.", case_sensitive=False)
    ] = "STANDARD",
    state_dir: StateDir = Path("state"),
    workers: Workers = 0,
    pool_kind: PoolKind = None,
    again: Annotated[
        bool, typer.Option("--again", help="Judge it even if there is a verdict already.")
    ] = False,
    elsewhere: Elsewhere = None,
    retrain: Annotated[
        bool,
        typer.Option(
            "--walk-forward-retrain",
            help="Train a model for each fold and play it on the weeks that follow: hours, resumable.",
        ),
    ] = False,
    folds: Annotated[int, typer.Option("--folds", min=1, help="Folds of the retrained walk-forward.")] = 4,
    fold_weeks: Annotated[int, typer.Option("--fold-weeks", min=1, help="Weeks that a fold is played.")] = 4,
    train_weeks: Annotated[
        int, typer.Option("--train-weeks", min=2, help="Weeks before a fold that it trains on (rolling).")
    ] = 52,
    anchored: Annotated[bool, typer.Option("--anchored", help="Train on all weeks before a fold.")] = False,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Training of a fold.")] = 60.0,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
    _schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print the JSON schema of report.json.",
            callback=schema_printer("report"),
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Judge a checkpoint on its own held-out range: verdict, and a report as JSON, PDF and web page.

    Only FULL and COMPREHENSIVE replay whole trading weeks and can say DEPLOY.

    Examples: swt validate; swt validate best --level FULL; swt validate newest --level QUICK --json;
    swt validate best --level FULL --pool ray; swt validate best --level FULL --elsewhere GBPJPY_2016.parquet;
    swt validate --walk-forward-retrain --folds 6 --minutes 120
    """
    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.state import StateDirectory
    from swt_core.workspace import Workspace
    from swt_validation.checkpoint_validation import find_checkpoint, load_source, validate_checkpoint
    from swt_validation.levels import parse_level
    from swt_validation.players import CheckpointPlayer

    depth = parse_level(level)
    config = judging_configuration(config_dir, profile, overrides, pool_kind, elsewhere)
    workspace = Workspace(state_dir)
    if retrain:
        options = [*(["--config-dir", str(config_dir)] if config_dir else [])]
        options += ["--profile", profile] if profile else []
        options += [word for text in overrides or [] for word in ("--set", text)]
        shape = (folds, fold_weeks, train_weeks)
        _retrain(config, workspace, options, shape, anchored, minutes, workers, as_json)
        return
    state = workspace.validation_state
    ref = find_checkpoint(workspace.checkpoints, checkpoint)
    with (
        judging_pool(config, workers, small=depth == "QUICK") as pool,
        working(f"{depth}: reading the bars") as work,
        StateDirectory(state).writer(),
    ):
        result = validate_checkpoint(
            ref,
            source=load_source(config),
            config=config,
            level=depth,
            state=state,
            clock=SystemClock(),
            pool=pool,
            player=CheckpointPlayer(ref, pool, on_share=work.to),
            progress=lambda stage: work.stage(f"{depth}: {stage}"),
            again=again,
            elsewhere=elsewhere is not None,
        )
    if as_json:
        typer.echo(to_json(result.verdict, indent=2))
    else:
        _show(result)


def _retrain(
    config: SWTConfig,
    workspace: Workspace,
    options: list[str],
    shape: tuple[int, int, int],
    anchored: bool,
    minutes: float,
    workers: int,
    as_json: bool,
) -> None:
    """Walk forward with a training for each fold; folds that are done are kept."""
    import sys

    from swt_core.clock import SystemClock
    from swt_core.pool import open_pool
    from swt_core.state import StateDirectory
    from swt_validation.checkpoint_validation import load_source
    from swt_validation.players import CheckpointPlayer
    from swt_validation.retrain import RESULT_FILE, plan_folds, train_by_command, walk_forward_retrained
    from swt_validation.walk_forward import Scheme
    from swt_validation.wording import pips, ratio, share

    scheme: Scheme = "anchored" if anchored else "rolling"
    bars = load_source(config).bars
    plans = plan_folds(bars, config, scheme, *shape)
    directory = workspace.root / "walk_forward" / scheme
    # Any port: the trainer proper may be running beside.
    program = [sys.executable, "-m", "swt_cli.main", "train", "--health-port", "0"]
    pool = open_pool(config.pool, workers)
    try:
        with working("walking forward") as work, StateDirectory(directory).writer():
            found = walk_forward_retrained(
                bars=bars,
                config=config,
                scheme=scheme,
                plans=plans,
                directory=directory,
                train=train_by_command([*program, *options], minutes),
                minutes=minutes,
                state=workspace.validation_state,
                pool=pool,
                clock=SystemClock(),
                progress=work.stage,
                player=lambda ref, pool: CheckpointPlayer(ref, pool, on_share=work.to),
            )
    finally:
        pool.close()
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    table = Table("fold", "weeks", "trades", "pips", "a year", "in-sample a year", "efficiency", box=None)
    for number, fold in enumerate(found.folds, 1):
        table.add_row(
            str(number),
            str(fold.weeks),
            str(fold.trades),
            pips(fold.total_pips, 0),
            pips(fold.annual_pips, 0),
            pips(fold.in_sample_annual_pips, 0),
            share(fold.efficiency, 0),
        )
    console = Console()
    console.print(table)
    console.print(
        f"efficiency {share(found.efficiency, 0)}, t-statistic {ratio(found.t_statistic)}, "
        f"robustness {found.robustness:.0f} of 100; {directory / RESULT_FILE}"
    )


def _show(result: Validation) -> None:
    from swt_validation.wording import pips, ratio, share

    console, verdict = Console(), result.verdict
    figures = verdict.statistics
    colour = _COLOURS[verdict.decision.value]
    old = "" if result.fresh else "   (judged before; --again judges anew)"
    console.print(
        f"[bold {colour}]{verdict.decision.value}[/]   score {verdict.score:.1f}   grade {verdict.grade}{old}"
    )
    for reason in verdict.reasons:
        console.print(f"  • {escape(reason)}")
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("trades", f"{figures.trades:,} in {figures.weeks} weeks"),
        ("profit", f"{pips(figures.total_pips, 0)} pips, {pips(figures.expectancy_pips, 2)} a trade"),
        ("SQN", ratio(figures.sqn)),
        ("win rate, profit factor", f"{share(figures.win_rate)}, {ratio(figures.profit_factor)}"),
        ("Sharpe, Sortino", f"{ratio(figures.sharpe)}, {ratio(figures.sortino)}"),
        ("CAR25 at safe-f", f"{share(figures.car25)} at {ratio(figures.safe_f)}"),
        ("p-value, deflated Sharpe", f"{ratio(figures.p_value, 4)}, {ratio(figures.deflated_sharpe, 4)}"),
        ("report", f"{result.pdf}, {result.html.name}"),
    ):
        table.add_row(f"[dim]{name}[/]", escape(value))
    console.print(table)


def validator(
    state_dir: StateDir = Path("state"),
    workers: Workers = 1,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port of /health and /metrics; 0: any.")
    ] = 0,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
) -> None:
    """Watch the checkpoints and judge what is due, until stopped.

    Examples: swt validator; swt validator --state-dir state --port 8082
    """
    from swt_core.workspace import Workspace
    from swt_validation.service import serve

    config = configuration(config_dir, profile, overrides).config
    workspace = Workspace(state_dir)
    serve(config, workspace.checkpoints, workspace.validation_state, workers=workers, port=port)
