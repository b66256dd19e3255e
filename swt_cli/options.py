"""Options that commands share, and the configuration they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from swt_core.config.loading import LoadedConfig

ConfigDir = Annotated[
    Path | None,
    typer.Option(
        "--config-dir", help="Directory of the YAML files; by default ./config, else the packaged defaults."
    ),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", envvar="SWT_PROFILE", help="Profile on top: a file in profiles/."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Set one value; may be given several times."),
]
PoolKind = Annotated[
    str | None,
    typer.Option(
        "--pool", metavar="local|ray", help="Where workers run; else pool.kind of the configuration."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to parse.")]


def pool_override(kind: str | None) -> list[str]:
    """The ``--set`` that ``--pool`` stands for."""
    return [] if kind is None else [f"pool.kind={kind}"]


def configuration(
    config_dir: Path | None,
    profile: str | None,
    overrides: list[str] | None,
    *,
    default_profile: str | None = None,
) -> LoadedConfig:
    """The configuration of this command: files, profile, environment and ``--set`` options."""
    from swt_core.config.loading import load_config

    return load_config(config_dir, profile or default_profile, os.environ, overrides or [])


StateDir = Annotated[
    Path,
    typer.Option(
        "--state-dir",
        envvar="SWT_STATE_DIR",
        help="Root of checkpoints/, training_state/, validation_state/, live_state/ and data/.",
    ),
]
