"""`swt migrate`: state, checkpoints, weights and configuration of another version."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.options import ConfigDir, Json, Overrides, Profile, StateDir, configuration
from swt_cli.progress import working

app = typer.Typer(
    no_args_is_help=True, help="Carry state, weights and configuration over from another version."
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command()
def state(
    source: Annotated[Path, typer.Argument(help="Root of the old installation's state directories.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Copy to this new root; else migrate in place, after a backup."),
    ] = None,
    backup: Annotated[
        Path | None, typer.Option(help="Archive written before a change in place; by default beside it.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring state and checkpoints to this version, in place or as a copy somewhere else.

    Each state file's version, the journal's layout and every checkpoint's hash are checked; a file that is
    newer than this version is refused. Stop the daemons first: a directory in use is refused.

    Examples: swt migrate state state --dry-run; swt migrate state /srv/old --to /srv/swt; swt migrate state
    state --backup before.tar.gz
    """
    from swt_core.clock import SystemClock, iso_utc
    from swt_core.json_text import to_json
    from swt_ops.migrate_state import Moved, migrate_state, survey

    with working("checking state and checkpoints"):
        if dry_run:
            found = Moved(tuple(survey(source)), source)
        else:
            moment = iso_utc(SystemClock().time_s())[:19].replace(":", "").replace("-", "")
            archive = backup or source.resolve().with_name(f"{source.resolve().name}-{moment}.tar.gz")
            found = migrate_state(source, to, backup=None if to else archive)
    if as_json:
        typer.echo(to_json(asdict(found), indent=2))
    else:
        table = Table("file", "version", "becomes", "", box=None, pad_edge=False)
        for item in found.items:
            if item.action != "keep":
                table.add_row(escape(item.path), str(item.found), f"{item.wanted}: {item.action}", item.why)
        console = Console()
        console.print(f"{len(found.items)} versioned files, {table.row_count} to change", highlight=False)
        if table.row_count:
            console.print(table)
        if not dry_run:
            console.print(
                f"{found.checkpoints} checkpoints verified; the state lies in {escape(str(found.root))}"
            )
        if found.backup:
            console.print(f"as it was: {escape(str(found.backup))}", highlight=False, soft_wrap=True)
    if any(item.action == "refuse" for item in found.items):
        raise typer.Exit(1)


@app.command()
def checkpoint(
    file: Annotated[Path, typer.Argument(help="A .pth file with weights.")],
    state_dir: StateDir = Path("state"),
    dry_run: DryRun = False,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Read weights that torch saved, and publish them as a checkpoint to begin a training from.

    Nothing in the file is run. It must hold the very network that the configuration describes; otherwise it
    is refused, with every difference. What it has read is unknown: it is never judged or traded by itself.

    Examples: swt migrate checkpoint best.pth --dry-run; swt migrate checkpoint latest.pth --profile
    episode_13475
    """
    from swt_core.checkpoints import CheckpointStore
    from swt_core.clock import SystemClock
    from swt_core.instruments import instrument
    from swt_core.json_text import to_json
    from swt_core.state import StateDirectory
    from swt_core.workspace import Workspace
    from swt_features.processor import FeatureProcessor
    from swt_models.observation import ObservationShape
    from swt_ops.migrate_weights import import_pth, save_imported

    config = configuration(config_dir, profile, overrides).config
    features = FeatureProcessor(config.features, instrument(config.data.instrument))
    shape = ObservationShape.for_profile(
        config.features.profile, features.market_size, features.position_size
    )
    imported = import_pth(file, config, shape)
    saved = None
    if not dry_run:
        workspace = Workspace(state_dir)
        # A trainer that publishes there at the same moment would write the same manifest.
        with StateDirectory(workspace.training_state).writer():
            saved = save_imported(
                imported,
                CheckpointStore(workspace.checkpoints),
                config,
                shape,
                features.version,
                name=file.name,
                written_s=file.stat().st_mtime,
                now_s=SystemClock().time_s(),
            )
    if as_json:
        tensors = {name: list(value.shape) for name, value in imported.weights.items()}
        typer.echo(
            to_json(
                {
                    "sha256": imported.sha256,
                    "tensors": tensors,
                    "left_out": list(imported.other),
                    "checkpoint": None if saved is None else str(saved.path),
                },
                indent=2,
            )
        )
        return
    typer.echo(f"{len(imported.weights)} tensors fit the configured network")
    if imported.other:
        typer.echo(f"left out: {', '.join(imported.other)}")
    if saved is not None:
        typer.echo(f"{saved.path}\nbegin from it: swt train --from {saved.path} --state-dir NEW")


@app.command("config")
def config_(
    source: Annotated[Path, typer.Argument(help="Directory of the old YAML files.")],
    to: Annotated[Path | None, typer.Option("--to", help="Write the files of this version here.")] = None,
    as_json: Json = False,
) -> None:
    """Carry configuration files over: each key is kept, renamed, or left out with the reason.

    Without --to nothing is written.

    Examples: swt migrate config old/config; swt migrate config old/config --to config-new
    """
    from swt_core.json_text import to_json
    from swt_ops.migrate_config import carry_over, write_config

    carried = carry_over(source)
    if to is not None:
        write_config(carried, to)
    if as_json:
        typer.echo(to_json({"keys": carried, "written": None if to is None else str(to)}, indent=2))
        return
    table = Table("was", "is", "value", box=None, pad_edge=False)
    for each in carried:
        now = each.new or f"[yellow]left out: {escape(each.why)}[/]"
        table.add_row(escape(each.old), now, escape(str(each.value)))
    Console().print(table)
    if to is not None:
        Console().print(
            f"written to {escape(str(to))}; check it: swt config check --config-dir {escape(str(to))}"
        )
