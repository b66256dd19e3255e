"""`swt live`: the live trader, its flags, and the way out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.options import ConfigDir, Json, Overrides, Profile, StateDir, configuration
from swt_cli.progress import working

if TYPE_CHECKING:
    from swt_core.state import StateDirectory

app = typer.Typer(no_args_is_help=True, help="Trade: run, start, stop, look, recompute.")

_ROOT = Path("state")


def _live(state_dir: Path) -> StateDirectory:
    from swt_core.state import StateDirectory
    from swt_core.workspace import Workspace

    return StateDirectory(Workspace(state_dir).live_state)


@app.command()
def run(
    state_dir: StateDir = _ROOT,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log JSON lines.")] = False,
) -> None:
    """Run the trader. It is idle until `swt live start`, and trades a practice account unless told twice.

    Examples: swt live run; swt live run --set live.environment=practice
    """
    from swt_core.logs import configure_logging
    from swt_core.workspace import Workspace
    from swt_live.daemon import LiveDaemon, LiveDirectories

    loaded = configuration(config_dir, profile, overrides)
    configure_logging(json_logs, service="live")
    workspace = Workspace(state_dir)
    directories = LiveDirectories(workspace.live_state, workspace.checkpoints, workspace.validation_state)
    LiveDaemon(loaded.config, directories, os.environ).serve()


def _tell(text: str, state_dir: Path, flag: str, as_json: bool) -> bool:
    """Say what was done to a flag, and whether a trader is there to read it; returns the latter.

    A flag in a directory that was misspelt, or whose trader is gone, stops nothing.
    """
    from swt_core.clock import SystemClock
    from swt_core.staleness import STALE_AFTER_S
    from swt_core.workspace import Workspace
    from swt_ops.status import DaemonState, read_daemon

    directory = _live(state_dir)
    trader = read_daemon(Workspace(state_dir), "live", SystemClock(), STALE_AFTER_S).state
    runs = trader is DaemonState.RUNNING
    document = {"flag": str(directory.file(flag)), "set": directory.flag(flag), "trader": trader.value}
    typer.echo(json.dumps(document, indent=2) if as_json else text)
    if not runs:
        typer.echo(
            f"no trader runs on {state_dir} ({trader.value}): nobody reads this now; right --state-dir? "
            "`swt emergency-close` closes at the broker",
            err=True,
        )
    return runs


@app.command()
def start(state_dir: StateDir = _ROOT, as_json: Json = False) -> None:
    """Allow trading: create START_TRADING. After a halt, `stop` first: that is how a person lifts it.

    Examples: swt live start; swt live start --state-dir /srv/swt
    """
    from swt_live.trader_parts import START_FLAG

    directory = _live(state_dir)
    directory.raise_flag(START_FLAG, "swt live start\n")
    text = f"{directory.file(START_FLAG)} is set: trading is allowed"
    _tell(text, state_dir, START_FLAG, as_json)


@app.command()
def stop(state_dir: StateDir = _ROOT, as_json: Json = False) -> None:
    """Stop entries: remove START_TRADING; the position is closed or held as live.stop_flattens says.

    Examples: swt live stop; swt live stop --state-dir /srv/swt
    """
    from swt_live.trader_parts import START_FLAG

    directory = _live(state_dir)
    directory.lower_flag(START_FLAG)
    text = f"{directory.file(START_FLAG)} is removed: no more entries"
    _tell(text, state_dir, START_FLAG, as_json)


@app.command("emergency-stop")
def emergency_stop(
    state_dir: StateDir = _ROOT,
    clear: Annotated[bool, typer.Option("--clear", help="Take the flag back instead.")] = False,
    as_json: Json = False,
) -> None:
    """Close the position at once and halt: create EMERGENCY_STOP for the running trader.

    Ends with 1 when no trader runs that could close: then use `swt emergency-close`.

    Examples: swt live emergency-stop; swt live emergency-stop --clear
    """
    from swt_live.trader_parts import EMERGENCY_FLAG

    directory = _live(state_dir)
    if clear:
        directory.lower_flag(EMERGENCY_FLAG)
        text = "EMERGENCY_STOP is removed; trading stays halted until stop and start"
    else:
        directory.raise_flag(EMERGENCY_FLAG, "swt live emergency-stop\n")
        text = f"{directory.file(EMERGENCY_FLAG)} is set"
    if not _tell(text, state_dir, EMERGENCY_FLAG, as_json) and not clear:
        raise typer.Exit(1)


@app.command()
def status(state_dir: StateDir = _ROOT, as_json: Json = False) -> None:
    """What the trader was doing when it last wrote its status.

    Examples: swt live status; swt live status --json
    """
    from swt_live.status import STATUS_FILE, LiveStatus

    directory = _live(state_dir)
    found = directory.read(STATUS_FILE, LiveStatus)
    if found is None:
        typer.echo("{}" if as_json else f"no status in {directory.path} yet: is the trader running?")
        raise typer.Exit(0 if as_json else 1)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in found.model_dump(mode="json", exclude={"schema_version"}).items():
        if value not in (None, {}, []):
            text = value if isinstance(value, str) else json.dumps(value)
            table.add_row(name, escape(text), style="bold red" if name == "halt_reason" else "")
    Console().print(table)


@app.command()
def replay(
    day: Annotated[str, typer.Argument(help="Trading day, YYYY-MM-DD (17:00 to 17:00 New York).")],
    state_dir: StateDir = _ROOT,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Recompute a day's decisions from the journal; exits with 1 when one disagrees.

    Examples: swt live replay 2025-03-14; swt live replay 2025-03-14 --json
    """
    from swt_core.workspace import Workspace
    from swt_live.replay import replay_day

    loaded = configuration(config_dir, profile, overrides)
    workspace = Workspace(state_dir)
    with working(f"recomputing {day}") as work:
        report = replay_day(loaded.config, workspace.live_state, workspace.checkpoints, day, work.to)
    if as_json:
        typer.echo(json.dumps(report.summary(), indent=2))
    else:
        console = Console()
        console.print(
            f"{report.recomputed} of {report.decisions} decisions recomputed, {report.agreed} agree"
        )
        for line in report.disagreements[:20]:
            console.print(f"[red]{escape(line)}[/]")
        for line in report.skipped[:5]:
            console.print(f"[yellow]{escape(line)}[/]")
    if report.disagreements:
        raise typer.Exit(1)


@app.command()
def compare(
    state_dir: StateDir = _ROOT,
    candidate: Annotated[
        str, typer.Option("--candidate", help="Start of its sha256; by default the latest candidate.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Trader and shadow candidate on the same bars: trades, pips, drawdown, and where they disagree.

    The candidate trades on paper beside the trader when live.shadow_checkpoint names one.

    Examples: swt live compare; swt live compare --json; swt live compare --candidate 3fa9
    """
    from swt_cli.live_tables import comparison_tables
    from swt_core.workspace import Workspace
    from swt_live.compare import compare as compared

    found = compared(Workspace(state_dir).live_state, candidate)
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2))
        return
    console = Console()
    for part in comparison_tables(found):
        console.print(part)


def emergency_close(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    all_instruments: Annotated[
        bool, typer.Option("--all", help="Every instrument of the account, not only the configured one.")
    ] = False,
    environment: Annotated[
        str | None,
        typer.Option("--environment", help="embedded, practice or live; else as configured."),
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Account; else as configured.")] = None,
    broker_url: Annotated[
        str | None, typer.Option("--broker-url", help="Address of the embedded practice server.")
    ] = None,
    instrument: Annotated[
        str | None, typer.Option("--instrument", help="Instrument; else as configured.")
    ] = None,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Close positions at the broker now; needs nothing but the account: no daemon, journal or model.

    When the configuration itself is broken, name the account; the token comes from the environment.
    Exits with 1 unless the broker itself says that nothing is open any more.

    Examples: swt emergency-close; swt emergency-close --yes --all --json;
    swt emergency-close --environment practice --account 101-004-1234567-001 --all
    """
    import asyncio

    from swt_broker.client import OandaClient
    from swt_core.clock import SystemClock
    from swt_core.errors import ConfigError
    from swt_live.emergency import EmergencyReport, close_everything
    from swt_live.emergency_account import Named, closing_account

    found = closing_account(
        lambda: configuration(config_dir, profile, overrides).config,
        os.environ,
        Named(environment, account, broker_url, instrument),
        overrides or (),
    )
    if found.warning:
        typer.echo(found.warning, err=True)
    if found.instrument is None and not all_instruments:
        raise ConfigError(
            "nothing says which instrument is to be closed", remedy="--instrument NAME or --all"
        )
    if not yes:
        typer.confirm(
            f"Close positions of account {found.settings.account_id} ({found.environment})?", abort=True
        )

    async def close() -> EmergencyReport:
        async with OandaClient(found.settings) as client:
            return await close_everything(
                client,
                SystemClock(),
                instruments=None if all_instruments or found.instrument is None else [found.instrument],
                tell=lambda text: typer.echo(text, err=True),
            )

    report = asyncio.run(close())
    if as_json:
        document = {"flat": report.flat, "closed": report.closed, "errors": report.errors}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo("nothing is open any more" if report.flat else "NOT FLAT: close by hand at the broker")
    if not report.flat:
        raise typer.Exit(1)
