"""`swt bench`: measured claims, each by name."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.options import Json
from swt_core.errors import ConfigError


def bench(
    name: Annotated[str, typer.Argument(help="Which benchmark; without it, the list of them.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes; rougher.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of every random draw.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="A setting of the benchmark's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure, and print what was measured.

    Examples: swt bench; swt bench wst --quick; swt bench wst --json
    """
    from benchmarks.registry import DESCRIPTIONS, BenchmarkOptions, load_benchmark

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
    pairs = dict(_pair(text) for text in settings or [])
    options = BenchmarkOptions(quick=quick, seed=seed, settings=pairs)
    with console.status(f"measuring {name} …"):
        result = load_benchmark(name).run(options)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    for key, value in result.items():
        table.add_row(escape(key), f"[bold]{escape(_text(value))}[/]")
    console.print(table)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--option {text!r}: expected KEY=VALUE")
    return key.strip(), value.strip()


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
