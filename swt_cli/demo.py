"""`swt demo`: the main job, once, with nothing but this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swt_cli.options import ConfigDir, Json, Overrides, configuration

if TYPE_CHECKING:
    from rich.console import Console

    from swt_ops.demo import DemoResult


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="File of bars (Parquet or CSV) in place of the synthetic market."),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="Where everything goes; by default a new runs/demo-….")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="Profile of the run.")] = "demo",
    config_dir: ConfigDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Run the whole loop: bars, features, training, verdict, one traded day against the practice server.

    Without data it trades the synthetic `regimes` market, which has a known edge. Ends with 1 when the agent
    did not clearly earn on held-out sessions.

    Examples: swt demo; swt demo --data bars.parquet; swt demo --json
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.markup import escape

    from swt_cli.progress import working
    from swt_core.clock import SystemClock
    from swt_core.json_text import to_json
    from swt_core.logs import configure_logging
    from swt_core.workspace import Workspace
    from swt_ops.demo import Watcher, run_demo

    clock = SystemClock()
    settings = [*(overrides or []), *([f"data.bars_file={data}"] if data else [])]
    config = configuration(config_dir, profile, settings).config
    stamp = datetime.fromtimestamp(clock.time_s(), UTC).strftime("%Y%m%d-%H%M%S")
    workspace = Workspace(state_dir or Path("runs") / f"demo-{stamp}")
    workspace.root.mkdir(parents=True, exist_ok=True)
    configure_logging(json=True, service="demo", level="WARNING")
    console = Console(stderr=as_json)  # standard output is then the document alone
    with working("starting", console) as work:

        class Screen(Watcher):
            def stage(self, title: str) -> None:
                console.print(f"\n[bold]{escape(title)}[/]", highlight=False)
                work.stage("working")

            def fact(self, name: str, value: str) -> None:
                console.print(f"  {escape(name)}: {escape(value)}", highlight=False, soft_wrap=True)

            def progress(self, done: float, total: float, note: str) -> None:
                work.stage(note)
                if total:
                    work.to(done, total)

        result = run_demo(config, workspace, clock, Screen())
    if as_json:
        typer.echo(to_json(_document(result), indent=2))
    else:
        _summary(console, result)
    if not result.earned:
        raise typer.Exit(1)


def _document(result: DemoResult) -> dict[str, object]:
    return {
        "earned": result.earned,
        "pips_per_session": result.pips_per_session,
        "interval_pips": result.interval_pips,
        "checkpoint": result.checkpoint.name,
        "verdict": result.validation.verdict,
        "live": result.live,
        "artefacts": result.artefacts,
    }


def _summary(console: Console, result: DemoResult) -> None:
    from rich.table import Table

    low, high = result.interval_pips
    table = Table(title="What came of it", show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    verdict = result.validation.verdict
    table.add_row("held-out sessions", f"{result.pips_per_session:+.1f} pips each ({low:+.1f} … {high:+.1f})")
    table.add_row("verdict", f"{verdict.decision}, score {verdict.score:.0f}, grade {verdict.grade}")
    live = result.live
    table.add_row("live day", f"{live.day}: {live.trades} trades, {live.pips:+.1f} pips ({live.authority})")
    for name, path in result.artefacts.items():
        table.add_row(name, str(path))
    console.print(table)
    if result.earned:
        console.print("[bold green]The agent earned on sessions it never saw, after costs.[/]")
    else:
        console.print(
            "[bold red]The agent did NOT clearly earn on sessions it never saw: this run failed.[/]"
        )
