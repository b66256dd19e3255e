"""The `swt` command: a thin layer over the packages."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from swt_cli import (
    bench,
    buffer,
    compare,
    config,
    container,
    dashboard,
    data,
    demo,
    doctor,
    features,
    live,
    migrate,
    practice,
    status,
    train,
    up,
    validate,
    watchdog,
)
from swt_core.errors import SWTError
from swt_core.numba_cache import configure_numba_cache
from swt_core.parent import SUPERVISED_VARIABLE, end_with_parent, supervised
from swt_ops.container import CONTAINER_VARIABLE, adopt_stack_variables

# `swt --help` is a map: every command stands in one of these panels.
SETUP = "Set up and look around"
MARKET = "Market data and features"
MODEL = "Train and judge"
TRADING = "Trade"
OPERATION = "Operate"

# The order in which a user needs them; panels come in the order of their first command.
ORDER = (
    *("doctor", "demo", "up", "config"),
    *("data", "features"),
    *("train", "buffer", "validate", "validator", "compare", "bench"),
    *("practice", "live", "emergency-close"),
    *("status", "dashboard", "watchdog", "migrate"),
)


class Map(TyperGroup):
    """The commands in `ORDER`."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    name="swt",
    cls=Map,
    help="A forex trading system: Stochastic MuZero on wavelet scattering features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"swt {version('swt')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A forex trading system: Stochastic MuZero on wavelet scattering features.

    Every command takes --help; those that print results take --json for a program to parse.
    """


app.add_typer(config.app, name="config", rich_help_panel=SETUP)
app.add_typer(data.app, name="data", rich_help_panel=MARKET)
app.add_typer(features.app, name="features", rich_help_panel=MARKET)
app.command(rich_help_panel=MODEL)(bench.bench)
app.command("practice", rich_help_panel=TRADING)(practice.practice)
app.add_typer(live.app, name="live", rich_help_panel=TRADING)
app.command("emergency-close", rich_help_panel=TRADING)(live.emergency_close)
app.command("validate", rich_help_panel=MODEL)(validate.validate)
app.command("compare", rich_help_panel=MODEL)(compare.compare)
app.command("validator", rich_help_panel=MODEL)(validate.validator)

app.command("demo", rich_help_panel=SETUP)(demo.demo)
app.command("doctor", rich_help_panel=SETUP)(doctor.doctor)
app.add_typer(train.app, name="train", rich_help_panel=MODEL)
app.add_typer(buffer.app, name="buffer", rich_help_panel=MODEL)
app.command("up", rich_help_panel=SETUP)(up.up)
app.command("watchdog", rich_help_panel=OPERATION)(watchdog.watchdog)
app.command("status", rich_help_panel=OPERATION)(status.status)
app.command("dashboard", rich_help_panel=OPERATION)(dashboard.dashboard)
app.add_typer(migrate.app, name="migrate", rich_help_panel=OPERATION)
app.command("container", hidden=True)(container.container)


def main() -> None:
    """Run the command line; an expected error becomes one message, its remedy and its exit code."""
    configure_numba_cache()
    if supervised(os.environ):
        # For this process alone: its own children follow it by themselves.
        del os.environ[SUPERVISED_VARIABLE]
        end_with_parent()
    try:
        if os.environ.get(CONTAINER_VARIABLE):
            adopt_stack_variables(os.environ)
        app()
    except SWTError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(str(error))}", highlight=False
        )
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
