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

from swt_cli.options import ConfigDir, Overrides, Profile, StateDir, configuration
from swt_cli.progress import working


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
    host: Annotated[
        str, typer.Option(help="Address; another than loopback takes a token of its own.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port.")] = 8095,
    state_dir: StateDir = Path("state"),
    test_range: Annotated[
        bool, typer.Option("--test-range", help="A new account begins where the test range does.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin a new account; give the trader a new live_state/ too.")
    ] = False,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
) -> None:
    """Serve recorded or synthetic bars as an OANDA v20 account: orders, prices, streams, transactions.

    In real time the recording is moved to the present, so that a trader on the wall clock can trade it.
    The account and its market time are kept in practice_state/ and taken up again at the next start.
    The token is SWT_BROKER_TOKEN, or stands in the file that SWT_BROKER_TOKEN_FILE names; without either
    the embedded default is used.

    Examples: swt practice; swt practice bars.parquet --mode accelerated --speed 600; swt practice --mode
    real_time --fresh
    """
    from swt_broker.credentials import broker_token
    from swt_core.clock import SystemClock, iso_utc
    from swt_core.state import StateDirectory
    from swt_core.workspace import Workspace
    from swt_live.practice.opening import open_practice
    from swt_live.practice.settings import PracticeSettings

    config = configuration(config_dir, profile, overrides).config
    settings = PracticeSettings(
        token=broker_token(os.environ, embedded=True),
        account_id=config.live.account_id,
        mode=mode.value,
        speed=speed if mode is Mode.ACCELERATED else 1.0,
    )
    directory = StateDirectory(Workspace(state_dir).practice_state)
    console = Console()
    with directory.writer():
        with working("reading the bars"):
            opened = open_practice(
                config.data if file is None else config.data.model_copy(update={"bars_file": str(file)}),
                settings,
                SystemClock(),
                directory,
                start_s=None if start is None else start.replace(tzinfo=UTC).timestamp(),
                test_range=test_range,
                fresh=fresh,
            )
        console.print(
            f"practice server on http://{host}:{port}, account {settings.account_id}"
            f"{' taken up again' if opened.resumed else ''}",
            highlight=False,
        )
        now = iso_utc(opened.server.exchange.now_s)
        console.print(
            f"{escape(opened.source)}: {opened.bars} bars, market time {now}, {mode.value}",
            style="dim",
            highlight=False,
        )
        opened.server.serve(host, port)
