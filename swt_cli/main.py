"""The `swt` command: a thin layer over the packages."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from swt_core.errors import SWTError

app = typer.Typer(
    name="swt",
    help="A forex trading system: Stochastic MuZero on wavelet scattering features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def root() -> None:
    """A forex trading system: Stochastic MuZero on wavelet scattering features."""


def main() -> None:
    """Run the command line; an expected error becomes one message, its remedy and its exit code."""
    try:
        app()
    except SWTError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
        sys.exit(error.exit_code)
