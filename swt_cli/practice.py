"""`swt practice`: a local OANDA v20 look-alike to trade against."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from swt_cli.options import ConfigDir, Overrides, Profile, configuration


class Mode(StrEnum):
    """How market time moves."""

    LOCKSTEP = "lockstep"
    REAL_TIME = "real_time"
    ACCELERATED = "accelerated"


def practice(
    file: Annotated[
        Path | None,
        typer.Argument(help="File of bars; by default the configured one, else the synthetic market."),
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="lockstep: with the trader's clock; else free-running.")
    ] = Mode.LOCKSTEP,
    speed: Annotated[
        float, typer.Option(min=0.001, max=100_000, help="Market seconds a second in mode accelerated.")
    ] = 60.0,
    start: Annotated[
        datetime | None,
        typer.Option(help="Market time (UTC) at which the replay begins; by default after 600 bars."),
    ] = None,
    host: Annotated[str, typer.Option(help="Loopback address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port.")] = 8095,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
) -> None:
    """Serve recorded or synthetic bars as an OANDA v20 account: orders, prices, streams, transactions.

    In real time the recording is moved to the present, so that a trader on the wall clock can trade it.
    The token is SWT_BROKER_TOKEN, or stands in the file that SWT_BROKER_TOKEN_FILE names; without either
    the embedded default is used.

    Examples: swt practice; swt practice bars.parquet --mode accelerated --speed 600; swt practice --mode
    real_time
    """
    from swt_broker.credentials import broker_token
    from swt_core.clock import SystemClock, iso_utc
    from swt_environments.dataset import load_bars
    from swt_live.practice.recording import moved_to
    from swt_live.practice.server import PracticeServer
    from swt_live.practice.settings import PracticeSettings

    config = configuration(config_dir, profile, overrides).config
    data = config.data if file is None else config.data.model_copy(update={"bars_file": str(file)})
    bars, source, _ = load_bars(data)
    start_s = None if start is None else start.replace(tzinfo=UTC).timestamp()
    if mode is Mode.REAL_TIME and start_s is None:
        start_s = SystemClock().time_s()
        bars = moved_to(bars, start_s)
    settings = PracticeSettings(
        token=broker_token(os.environ, embedded=True),
        account_id=config.live.account_id,
        mode=mode.value,
        speed=speed if mode is Mode.ACCELERATED else 1.0,
    )
    server = PracticeServer(bars, settings, start_s=start_s)
    console = Console()
    console.print(f"practice server on http://{host}:{port}, account {settings.account_id}", highlight=False)
    console.print(
        f"{escape(source)}: {len(bars)} bars, market time {iso_utc(server.exchange.now_s)}, {mode.value}",
        style="dim",
        highlight=False,
    )
    server.serve(host, port)
