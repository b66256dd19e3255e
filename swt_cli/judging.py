"""What `swt validate` and `swt compare` share: options, configuration, and the pool that plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swt_cli.options import configuration, pool_override

if TYPE_CHECKING:
    from swt_core.config import SWTConfig
    from swt_core.pool import WorkerPool

Workers = Annotated[int, typer.Option("--workers", min=0, help="Worker processes; 0: 85 % of the cores.")]
Elsewhere = Annotated[
    Path | None,
    typer.Option("--elsewhere", help="Judge on all bars of this file, of another time than training's."),
]


def schema_printer(name: str) -> Callable[[bool], None]:
    """Callback of an eager option that prints the JSON schema ``name`` and ends."""

    def show(wanted: bool) -> None:
        if wanted:
            from swt_validation.schemas import schema_text

            typer.echo(schema_text(name))
            raise typer.Exit

    return show


def judging_configuration(
    config_dir: Path | None,
    profile: str | None,
    overrides: list[str] | None,
    pool_kind: str | None,
    elsewhere: Path | None,
) -> SWTConfig:
    """The configuration, with the pool and the bars that were asked for."""
    bars = [] if elsewhere is None else [f"data.bars_file={elsewhere}"]
    settings = [*(overrides or []), *bars, *pool_override(pool_kind)]
    return configuration(config_dir, profile, settings).config


@contextmanager
def judging_pool(config: SWTConfig, workers: int, *, small: bool = False) -> Iterator[WorkerPool]:
    """The pool that plays: this process where one local worker is enough.

    Args:
        small: so little is played that workers would not pay.
    """
    from swt_core.pool import SerialPool, default_workers, open_pool

    alone = config.pool.kind == "local" and (small or (workers or default_workers()) == 1)
    pool: WorkerPool = SerialPool() if alone else open_pool(config.pool, workers)
    try:
        yield pool
    finally:
        pool.close()
