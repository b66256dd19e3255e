"""`swt data download`, `update` and `build`: bars from the broker, and the master database."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape

from swt_cli.options import ConfigDir, Json, Overrides, Profile, configuration
from swt_cli.progress import working

if TYPE_CHECKING:
    from swt_broker.client import OandaClient
    from swt_core.config import SWTConfig
    from swt_data.download import Downloaded, Downloader

Pair = Annotated[str | None, typer.Option("--instrument", help="Pair; by default data.instrument.")]
DataDir = Annotated[Path, typer.Option("--data-dir", help="The bar store.")]
OnConflict = Annotated[
    Literal["refuse", "keep", "replace"],
    typer.Option("--on-conflict", help="Where a different bar of the same minute is stored already."),
]
_DATA = Path("data")


def download(
    start: Annotated[datetime, typer.Option("--from", help="First minute (UTC).")],
    end: Annotated[
        datetime | None, typer.Option("--to", help="Up to here (UTC); by default the newest complete candle.")
    ] = None,
    instrument: Pair = None,
    data_dir: DataDir = _DATA,
    on_conflict: OnConflict = "refuse",
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Fetch one-minute candles (mid, bid, ask) from the broker into the bar store.

    Asks the broker that the section live names: the practice server by default. May be killed at any time:
    the same command goes on where the store ends. Only complete candles are kept.

    Examples: swt data download --instrument GBP_JPY --from 2020-01-01; swt data download --from 2024-01-01
    --to 2024-02-01 --set live.environment=practice
    """
    from swt_core.clock import SystemClock
    from swt_core.state import StateDirectory
    from swt_features.data_service import Pulse

    config = _config(config_dir, profile, overrides, instrument)
    directory = StateDirectory(data_dir)

    async def fetch() -> Downloaded:
        client, downloader = _downloader(config, data_dir, on_conflict)
        async with client, Pulse(directory, SystemClock()).beating("downloading"):
            with working("fetching minutes") as work:
                return await downloader.fetch(
                    int(start.replace(tzinfo=UTC).timestamp()),
                    None if end is None else int(end.replace(tzinfo=UTC).timestamp()),
                    work.to,
                )

    with directory.writer():
        _tell(asyncio.run(fetch()), config, data_dir, as_json)


def update(
    every: Annotated[
        float | None, typer.Option(min=1.0, help="Go on, topping up every so many seconds.")
    ] = None,
    build: Annotated[bool, typer.Option("--build", help="Keep the master database up to date too.")] = False,
    instrument: Pair = None,
    data_dir: DataDir = _DATA,
    on_conflict: OnConflict = "refuse",
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Bring the bar store up to the newest complete candle, once or again and again.

    While it runs it is the only writer of the data directory.

    Examples: swt data update; swt data update --every 60 --build
    """
    from swt_core.clock import SystemClock
    from swt_core.logs import configure_logging
    from swt_core.state import StateDirectory
    from swt_features.data_service import DataService

    config = _config(config_dir, profile, overrides, instrument)
    configure_logging(json=False, service="data")
    directory = StateDirectory(data_dir)

    async def run() -> Downloaded | None:
        client, downloader = _downloader(config, data_dir, on_conflict)
        service = DataService(
            downloader,
            directory,
            SystemClock(),
            config.data.spread_pips,
            config.features if build else None,
        )
        async with client:
            if every is None:
                with working("fetching minutes") as work:
                    return await service.once(work.to)
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await service.run(every, stop)
            return None

    with directory.writer():
        result = asyncio.run(run())
    if result is not None:
        _tell(result, config, data_dir, as_json)


def build(
    file: Annotated[Path | None, typer.Argument(help="File of bars; by default the bar store.")] = None,
    instrument: Pair = None,
    data_dir: DataDir = _DATA,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Build master.duckdb: bars, lags c_1 … c_255, 67 wavelet averages, time, quality flags, provenance.

    Only days that have changed are computed. Readers use the snapshot that current.json names, or the link
    master.duckdb: neither ever meets the writer.

    Examples: swt data build; swt data build bars.parquet --instrument EUR_USD
    """
    from swt_core.clock import SystemClock
    from swt_core.instruments import instrument as known_instrument
    from swt_core.state import StateDirectory
    from swt_data.store import BarStore, file_provenance
    from swt_environments.dataset import load_bars
    from swt_features.data_service import master_directory
    from swt_features.master import build_master

    config = _config(config_dir, profile, overrides, instrument)
    clock = SystemClock()
    source = data_dir if file is None else file
    store = BarStore(data_dir, known_instrument(config.data.instrument))
    with StateDirectory(data_dir).writer():
        with working("reading the bars"):
            bars, _, _ = load_bars(config.data.model_copy(update={"bars_file": str(source)}))
        if source.is_dir():
            manifest = BarStore(source, store.instrument).manifest()
            sources = manifest.sources if manifest else ()
        else:
            sources = (file_provenance(source, source.suffix.lstrip("."), bars, clock),)
        with working("building the master database") as work:
            built = build_master(master_directory(store), bars, config.features, sources, clock, work.to)
    if as_json:
        typer.echo(json.dumps({**asdict(built), "path": str(built.path)}, indent=2))
        return
    Console().print(
        f"{built.path}: {built.bars:,} bars, {built.days_written:,} days written, "
        f"{built.days_removed:,} removed, feature version {built.feature_version}, "
        f"bars {built.bars_sha256[:16]}",
        highlight=False,
        soft_wrap=True,
    )


def _config(
    config_dir: Path | None, profile: str | None, overrides: list[str] | None, instrument: str | None
) -> SWTConfig:
    named = [] if instrument is None else [f"data.instrument={instrument}"]
    return configuration(config_dir, profile, [*(overrides or []), *named]).config


def _downloader(
    config: SWTConfig, data_dir: Path, on_conflict: Literal["refuse", "keep", "replace"]
) -> tuple[OandaClient, Downloader]:
    from swt_broker.client import OandaClient
    from swt_core.clock import SystemClock
    from swt_core.instruments import instrument
    from swt_data.download import Downloader
    from swt_data.store import BarStore
    from swt_live.accounts import broker_settings

    settings = broker_settings(config.live, os.environ)
    client = OandaClient(settings)
    store = BarStore(data_dir, instrument(config.data.instrument))
    source = f"{config.live.environment}: {urlsplit(settings.base_url).netloc}"
    return client, Downloader(client, store, SystemClock(), source, on_conflict=on_conflict)


def _tell(result: Downloaded, config: SWTConfig, data_dir: Path, as_json: bool) -> None:
    from swt_core.clock import iso_utc

    if as_json:
        typer.echo(json.dumps({**asdict(result), "complete_until": iso_utc(result.end_s)}, indent=2))
        return
    Console().print(
        f"{result.new:,} new bars, {result.unchanged:,} known, {result.replaced:,} replaced in "
        f"{escape(str(data_dir / config.data.instrument))}, complete until {iso_utc(result.end_s)}",
        highlight=False,
        soft_wrap=True,
    )
