"""`swt bench`: measured claims, each by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.bench_all import measure_all, print_page
from swt_cli.options import Json
from swt_cli.progress import working
from swt_core.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks.registry import Scalar


def bench(
    name: Annotated[
        str,
        typer.Argument(help="Which benchmark; `all`; `page`: a record as Markdown. Without it, the list."),
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes; rougher.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of every random draw.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="A setting of the benchmark's own."),
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Market of the learning benchmark: regimes, faint, reversion, …")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Training time, minutes.", min=0.01)] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from --seed on.", min=1)] = None,
    schedules: Annotated[int | None, typer.Option(help="Days of the chaos benchmark.", min=1)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes of the chaos benchmark.", min=1)] = None,
    plant: Annotated[str | None, typer.Option(help="A bug to plant in the chaos benchmark.")] = None,
    real: Annotated[bool, typer.Option("--real", help="Chaos over HTTP, with kill -9.")] = False,
    rounds: Annotated[int | None, typer.Option(help="Deaths of the chaos benchmark --real.", min=1)] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="The learning benchmark also trains the plain algorithm.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="With `all`: the record, written after each benchmark; entries not measured stay."),
    ] = None,
    record: Annotated[Path, typer.Option(help="With `page`: the record.")] = Path(
        "docs/benchmark_results.json"
    ),
    as_json: Json = False,
) -> None:
    """Measure, and print what was measured.

    Examples: swt bench; swt bench wst --quick; swt bench learning --market faint --minutes 5 --seeds 3;
    swt bench chaos --schedules 50; swt bench chaos --real --rounds 5;
    swt bench all --quick --json; swt bench page --record record.json;
    swt bench all --option only=wst,learning --option learning:minutes=2 --output record.json
    """
    from benchmarks.registry import DESCRIPTIONS, BenchmarkOptions, load_benchmark
    from swt_core.logs import configure_logging

    configure_logging(json=True, service="bench")  # to standard error: the output is the figures alone
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    if not name:
        if as_json:
            typer.echo(json.dumps(DESCRIPTIONS, indent=2))
            return
        for key, description in DESCRIPTIONS.items():
            table.add_row(f"[bold]{escape(key)}[/]", escape(description))
        console.print(table)
        return
    named = {"market": market, "minutes": minutes, "seeds": seeds}
    named |= {"schedules": schedules, "workers": workers, "plant": plant, "rounds": rounds}
    named |= {"real": real or None}
    pairs = dict(_pair(text) for text in settings or [])
    pairs |= {key: str(value) for key, value in named.items() if value is not None}
    if ablations:
        pairs["ablations"] = "plain"
    options = BenchmarkOptions(quick=quick, seed=seed, settings=pairs)
    if name == "all":
        measure_all(options, output, as_json=as_json)
        return
    if name == "page":
        print_page(record)
        return
    with working(f"measuring {name}"):
        result = load_benchmark(name).run(options)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    for key, value in result.items():
        if isinstance(value, list):
            console.print(_runs(key, value))
        else:
            table.add_row(escape(key), f"[bold]{escape(_text(value))}[/]")
    console.print(table)


def _runs(title: str, runs: list[dict[str, Scalar]]) -> Table:
    """One column a run."""
    table = Table(title=escape(title), box=None, pad_edge=False, show_header=False, title_justify="left")
    for key in runs[0] if runs else ():
        table.add_row(escape(key), *(escape(_text(run[key])) for run in runs))
    return table


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--option {text!r}: expected KEY=VALUE")
    return key.strip(), value.strip()


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
