"""`swt compare`: two checkpoints side by side on the same held-out bars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.judging import Elsewhere, Workers, judging_configuration, judging_pool, schema_printer
from swt_cli.options import ConfigDir, Json, Overrides, PoolKind, Profile, StateDir
from swt_cli.progress import working

if TYPE_CHECKING:
    from swt_validation.comparison import Comparison

_NAME = "Checkpoint: a path, a name in the store, or 'best' or 'newest'."


def compare(
    first: Annotated[str, typer.Argument(help=_NAME)],
    second: Annotated[str, typer.Argument(help=_NAME)],
    mode: Annotated[
        str, typer.Option("--mode", help="weeks, as live trades them, or training's sessions.")
    ] = "weeks",
    sessions: Annotated[
        int | None, typer.Option("--sessions", min=1, help="At most so many sessions, drawn at random.")
    ] = None,
    state_dir: StateDir = Path("state"),
    workers: Workers = 0,
    pool_kind: PoolKind = None,
    elsewhere: Elsewhere = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="Write it as a PDF to this file.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a web page to this file.")] = None,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
    _schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print the JSON schema of --json.",
            callback=schema_printer("comparison"),
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Play two checkpoints on the same held-out weeks and test their difference.

    The conclusion rests on a paired bootstrap over trading weeks. Both runs count as trials in the ledger:
    whoever picks the better of two has tried two.

    Examples: swt compare best newest; swt compare best newest --mode sessions --sessions 200 --json;
    swt compare best newest --html comparison.html --pdf comparison.pdf
    """
    from swt_core.clock import SystemClock
    from swt_core.errors import ConfigError
    from swt_core.json_text import to_json
    from swt_core.state import StateDirectory
    from swt_core.workspace import Workspace
    from swt_validation.checkpoint_validation import find_checkpoint, load_source
    from swt_validation.comparison import compare_checkpoints
    from swt_validation.players import CheckpointPlayer

    if mode not in ("weeks", "sessions"):
        raise ConfigError(f"--mode {mode!r} is neither weeks nor sessions", remedy="use one of the two")
    if sessions is not None and mode == "weeks":
        raise ConfigError("--sessions only limits --mode sessions", remedy="add --mode sessions")
    config = judging_configuration(config_dir, profile, overrides, pool_kind, elsewhere)
    workspace = Workspace(state_dir)
    refs = [find_checkpoint(workspace.checkpoints, name) for name in (first, second)]
    with (
        judging_pool(config, workers) as pool,
        working("reading the bars") as work,
        StateDirectory(workspace.validation_state).writer(),
    ):
        first_plays, second_plays = (CheckpointPlayer(ref, pool, on_share=work.to) for ref in refs)
        found = compare_checkpoints(
            refs[0],
            refs[1],
            source=load_source(config),
            config=config,
            mode="weeks" if mode == "weeks" else "sessions",
            state=workspace.validation_state,
            clock=SystemClock(),
            pool=pool,
            sessions=sessions,
            elsewhere=elsewhere is not None,
            players=(first_plays, second_plays),
            progress=work.stage,
        )
    if pdf is not None or html is not None:
        from swt_validation.comparison_pages import write_comparison_html, write_comparison_pdf

        if pdf is not None:
            write_comparison_pdf(pdf, found)
        if html is not None:
            write_comparison_html(html, found)
    if as_json:
        typer.echo(to_json(found, indent=2))
    else:
        _show(found)


def _show(found: Comparison) -> None:
    from swt_validation.wording import pips, ratio

    console = Console()
    console.print(f"[bold]{escape(found.conclusion)}[/]")
    table = Table(box=None, pad_edge=False)
    for name in ("", "first", "second", "difference", "95 % interval", "p-value"):
        table.add_column(name, justify="left" if not name else "right")
    for name, one in found.differences.items():
        span = "–" if one.low is None else f"{pips(one.low, 2)} … {pips(one.high, 2)}"
        table.add_row(
            name.replace("episode", found.mode[:-1]),
            ratio(one.first),
            ratio(one.second),
            pips(one.difference, 2),
            span,
            ratio(one.p_value, 4),
        )
    console.print(table)
    for label, side in (("first", found.first), ("second", found.second)):
        console.print(f"[dim]{label}[/] {escape(side.name)}: {escape(side.verdict)}", soft_wrap=True)
