"""`swt data`: market data in, checked, indexed and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli import data_broker
from swt_cli.options import ConfigDir, Json, Overrides, Profile, configuration
from swt_cli.progress import working

if TYPE_CHECKING:
    from swt_core.config.models import DataConfig
    from swt_data.bars import Bars

app = typer.Typer(no_args_is_help=True, help="Market data: download, update, import, check, index, build.")
app.command()(data_broker.download)
app.command()(data_broker.update)
app.command()(data_broker.build)

File = Annotated[
    Path | None,
    typer.Argument(help="File of bars; by default the configured one, else the synthetic market."),
]


@app.command()
def check(
    file: File = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the report as a picture.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")] = None,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Judge bars: what they are like, what is wrong with them, and whether to use them at all.

    Exits with 2 when the bars are refused.

    Examples: swt data check bars.parquet; swt data check --html report.html --set data.instrument=EUR_USD
    """
    from swt_data.quality import check_quality
    from swt_data.quality_pages import table_rows, write_html, write_png

    with working("reading the bars") as work:
        bars, source = _bars(file, config_dir, profile, overrides)
        work.stage("checking")
        report = check_quality(bars)
        work.stage("drawing")
        if png is not None:
            write_png(report, bars, png)
        if html is not None:
            write_html(report, bars, html, source)
    if as_json:
        typer.echo(json.dumps({"source": source, **report.summary()}, indent=2, allow_nan=False))
    else:
        console = Console()
        _print_table(console, source, table_rows(report))
        for warning in report.warnings:
            console.print(f"[yellow]note:[/] {escape(warning)}")
        for reason in report.reasons:
            console.print(f"[bold red]refused:[/] {escape(reason)}")
        if report.accepted:
            console.print("[bold green]accepted[/]")
    if not report.accepted:
        raise typer.Exit(2)


@app.command(name="import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Files of any known format, of one pair.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write one Parquet file instead of the store.")
    ] = None,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="The bar store.")] = Path("data"),
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", help="Zone of stamps that carry none: UTC+3, America/New_York, …"),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="MEANING=NAME", help="What a column means, e.g. close=Last."),
    ] = None,
    on_conflict: Annotated[
        Literal["refuse", "keep", "replace"],
        typer.Option("--on-conflict", help="Where a different bar of the same minute is stored already."),
    ] = "refuse",
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Convert published files to one-minute bars in UTC, check them and keep them.

    Knows HistData, MetaTrader 4 and 5, Dukascopy (CSV, JSON, bi5), OANDA (candles, stream, S5), LEAN, FXCM,
    TrueFX and any table with a header; ticks and finer bars become minutes. Nothing is kept of a file that
    is broken or refused.

    Examples: swt data import DAT_ASCII_GBPJPY_M1_2019.zip; swt data import bid.csv ask.csv -o bars.parquet
    """
    from swt_core.clock import SystemClock
    from swt_core.errors import ConfigError
    from swt_core.instruments import instrument
    from swt_core.state import StateDirectory
    from swt_data.files import write_bars
    from swt_data.importing.importer import import_files
    from swt_data.importing.zones import parse_zone
    from swt_data.quality import check_quality
    from swt_data.store import BarStore

    columns = {}
    for entry in column or []:
        meaning, equals, name = entry.partition("=")
        if not (meaning and equals and name):
            raise ConfigError(
                f"--column {entry} is not MEANING=NAME", remedy="for example --column close=Last"
            )
        columns[meaning] = name
    data = configuration(config_dir, profile, overrides).config.data
    pair = instrument(data.instrument)
    zone = None if timezone is None else parse_zone(timezone)
    console = Console(stderr=as_json)
    with working(f"reading {len(files)} files") as work:

        def tell(what: str, share: float) -> None:
            work.stage(what)
            work.to(share, 1.0)

        imported = import_files(files, pair, data.spread_pips, SystemClock(), zone, columns, tell)
        work.stage("checking")
        report = check_quality(imported.bars)
        report.require_accepted()
        if output is not None:
            write_bars(imported.bars, output)
            kept = f"{len(imported.bars):,} bars written to {output}"
        else:
            with StateDirectory(data_dir).writer():
                added = BarStore(data_dir, pair).add(imported.bars, imported.sources, on_conflict)
            kept = (
                f"{added.new:,} new bars, {added.unchanged:,} known, {added.replaced:,} replaced "
                f"in {data_dir / pair.name}"
            )
    if as_json:
        sources = [source.model_dump() for source in imported.sources]
        typer.echo(json.dumps({"kept": kept, "sources": sources, "quality": report.summary()}, indent=2))
        return
    for source in imported.sources:
        rows = [
            ("format", source.format),
            ("time zone", f"{source.timezone} ({source.timezone_evidence})"),
            ("bars", f"{source.bars:,}"),
        ]
        _print_table(console, source.source, rows)
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}")
    console.print(f"[bold green]{escape(kept)}[/]")


@app.command()
def index(
    file: File = None,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Count the sessions and whole weeks that can be trained and judged on, and say why others cannot.

    Examples: swt data index bars.parquet; swt data index --set data.session_bars=360 --json
    """
    from swt_core.clock import iso_utc
    from swt_data.quality import check_quality
    from swt_data.sessions import build_session_index, split_index

    data = configuration(config_dir, profile, overrides).config.data
    with working("reading the bars") as work:
        bars, source = _bars(file, config_dir, profile, overrides)
        work.stage("counting sessions")
        sessions = build_session_index(
            bars, check_quality(bars), data.session_bars, maximum_gap_minutes=data.maximum_gap_minutes
        )
    splits = split_index(sessions, bars, data.train_share, data.validation_share, data.purge_bars)
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    if as_json:
        document = {
            "source": source,
            "bars": len(bars),
            "starts": len(sessions.starts),
            "weeks": len(sessions.weeks),
            "rejected": dict(sessions.rejected),
            "splits": {
                name: {
                    "starts": len(part.starts),
                    "weeks": len(part.weeks),
                    "start": iso_utc(part.start_s),
                    "end": iso_utc(part.end_s),
                }
                for name, part in parts.items()
            },
        }
        typer.echo(json.dumps(document, indent=2))
        return
    rows = [
        ("session starts", f"{len(sessions.starts):,} of {len(bars):,} bars"),
        ("whole weeks", f"{len(sessions.weeks):,}"),
    ]
    rows += [
        (f"left out: {reason.replace('_', ' ')}", f"{count:,}") for reason, count in sessions.rejected.items()
    ]
    rows += [
        (
            name,
            f"{len(part.starts):,} starts, {len(part.weeks)} weeks, "
            f"{iso_utc(part.start_s)} – {iso_utc(part.end_s)}",
        )
        for name, part in parts.items()
    ]
    _print_table(Console(), source, rows)


def _bars(
    file: Path | None, config_dir: Path | None, profile: str | None, overrides: list[str] | None
) -> tuple[Bars, str]:
    """The bars of ``file``, else the configured ones, and their name."""
    from swt_environments.dataset import load_bars

    data: DataConfig = configuration(config_dir, profile, overrides).config.data
    if file is not None:
        data = data.model_copy(update={"bars_file": str(file)})
    bars, source, _ = load_bars(data)
    return bars, source


def _print_table(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    table = Table(title=escape(title), box=None, pad_edge=False, show_header=False, title_justify="left")
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    console.print(table)
