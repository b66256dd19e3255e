"""`swt bench all` and `swt bench page`: the record of every benchmark, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.progress import working

if TYPE_CHECKING:
    from benchmarks.registry import BenchmarkOptions


def measure_all(options: BenchmarkOptions, output: Path | None, *, as_json: bool) -> None:
    """Run the benchmarks one after the other; exit code 1 when one of them failed."""
    from benchmarks.record import BenchmarkRecord, chosen, failed, measure, read_record
    from swt_core.json_text import to_json
    from swt_core.state import write_json

    names = chosen(options)
    before = read_record(output) if output is not None and output.exists() else None
    measured = 0
    with working("measuring") as work:

        def begin(what: str) -> None:
            work.stage(what)
            work.to(measured, len(names))

        def keep(record: BenchmarkRecord) -> None:
            nonlocal measured
            measured += 1
            if output is not None:
                write_json(output, record)

        record = measure(options, before=before, progress=begin, done=keep)
    if as_json:
        typer.echo(to_json(record, indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("benchmark", "seconds", "outcome"):
            table.add_column(column)
        for name in names:
            entry = record.benchmarks[name]
            outcome = "measured" if entry.error is None else f"failed: {entry.error}"
            table.add_row(name, f"{entry.seconds:,.0f}", escape(outcome))
        Console().print(table)
    if failed(record, names):
        raise typer.Exit(1)


def print_page(record: Path) -> None:
    """A record as Markdown on standard output."""
    from benchmarks.record import read_record
    from benchmarks.record_page import record_page

    typer.echo(record_page(read_record(record)), nl=False)
