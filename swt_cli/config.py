"""`swt config`: what is configured, and where it came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swt_cli.options import ConfigDir, Json, Overrides, Profile, configuration
from swt_core.errors import ConfigError

if TYPE_CHECKING:
    from swt_core.config.loading import LoadedConfig

app = typer.Typer(no_args_is_help=True, help="Show and check the configuration.")


@app.command()
def show(
    section: str = typer.Argument("", help="Only this section, for example 'training' or 'trading.search'."),
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Print each value and where it came from.

    Examples: swt config show; swt config show training --profile demo; swt config show --json
    """
    from swt_core.config.loading import config_hash

    loaded = configuration(config_dir, profile, overrides)
    values = _values(loaded, section)
    if as_json:
        document = {
            "config_hash": config_hash(loaded.config),
            "values": {key: {"value": value, "origin": loaded.origins[key]} for key, value in values.items()},
        }
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("key", overflow="fold")
    table.add_column("value", overflow="fold", style="bold")
    table.add_column("origin", overflow="fold", style="dim")
    for key, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        table.add_row(escape(key), escape(text), escape(loaded.origins[key]))
    console = Console()
    console.print(table)
    console.print(f"config hash {config_hash(loaded.config)[:16]}", style="dim", highlight=False)


@app.command()
def check(
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Check the configuration; the profile episode_13475 also against its locked parameters.

    Exit code 2 names file and line, variable or option, the field, and what is allowed.

    Examples: swt config check; swt config check --profile episode_13475 --set training.seed=3
    """
    from swt_core.config.episode_13475 import verify_episode_13475
    from swt_core.config.loading import config_hash

    loaded = configuration(config_dir, profile, overrides)
    locked = loaded.config.features.profile == "episode_13475" or loaded.profile == "episode_13475"
    deviations = verify_episode_13475(loaded.config) if locked else []
    if as_json:
        document = {
            "valid": not deviations,
            "config_dir": str(loaded.config_dir),
            "profile": loaded.profile,
            "config_hash": config_hash(loaded.config),
            "deviations": [
                {
                    "field": deviation.field,
                    "expected": deviation.expected,
                    "actual": deviation.actual,
                    "origin": loaded.origins[deviation.field],
                }
                for deviation in deviations
            ],
        }
        typer.echo(json.dumps(document, indent=2))
        if deviations:
            raise typer.Exit(ConfigError.exit_code)
        return
    if deviations:
        raise ConfigError(
            "\n".join(f"{loaded.origins[deviation.field]}: {deviation}" for deviation in deviations),
            remedy="take these settings back, or use another profile than episode_13475",
        )
    on_top = f" with profile {loaded.profile}" if loaded.profile else ""
    locked_text = "; every locked parameter of episode 13475 is in place" if locked else ""
    typer.echo(f"{loaded.config_dir}{on_top}: valid{locked_text}")


@app.command()
def docs(as_json: Json = False) -> None:
    """Print every key with its default, what is allowed and what it means: Markdown, or a JSON schema.

    Examples: swt config docs; swt config docs > docs/configuration.md; swt config docs --json
    """
    from swt_core.config.models import SWTConfig
    from swt_core.config.page import configuration_page

    if as_json:
        typer.echo(json.dumps(SWTConfig.model_json_schema(), indent=2))
        return

    typer.echo(configuration_page(), nl=False)


def _values(loaded: LoadedConfig, section: str) -> dict[str, object]:
    from swt_core.config.loading import leaves

    values = {".".join(path): value for path, value in leaves(loaded.config)}
    if not section:
        return values
    chosen = {key: value for key, value in values.items() if key == section or key.startswith(f"{section}.")}
    if not chosen:
        sections = dict.fromkeys(key.rpartition(".")[0] for key in values)
        raise ConfigError(
            f"there is no section or key {section!r}", remedy=f"use one of {', '.join(sections)}"
        )
    return chosen
