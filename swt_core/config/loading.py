"""Compose the configuration: YAML < profile < environment < command line, each value with its origin.

One YAML per area lies in ``./config`` or, without one, in the defaults that the package carries (in a
source tree both are the same files).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from swt_core.config.explain import explain
from swt_core.config.models import SWTConfig
from swt_core.config.yaml_source import Setting, parse_text, read_settings
from swt_core.errors import ConfigError

ENVIRONMENT_PREFIX: Final = "SWT_"
DEFAULT_ORIGIN: Final = "default"
PACKAGED_CONFIG_DIR: Final = Path(__file__).parent / "defaults"
_SEPARATOR: Final = "__"


@dataclass(frozen=True)
class LoadedConfig:
    """A valid configuration and where each of its values came from.

    Attributes:
        config: the frozen configuration.
        origins: dotted key of every value → "default", ``file:line``, variable or command-line option.
        config_dir: where the YAML files were read.
        profile: name of the profile on top, if any.
    """

    config: SWTConfig
    origins: dict[str, str] = field(default_factory=dict)
    config_dir: Path = PACKAGED_CONFIG_DIR
    profile: str | None = None


def load_config(
    config_dir: Path | None = None,
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> LoadedConfig:
    """Read, compose and check the configuration.

    Args:
        config_dir: directory of the YAML files; None: ``./config``, else the packaged defaults.
        profile: name of a file in ``profiles/``.
        environ: the process environment; ``SWT_SECTION__KEY`` variables count.
        overrides: ``section.key=value`` from the command line.

    Raises:
        ConfigError: naming file and line, variable or option, the field, and what is allowed.
    """
    directory = find_config_dir(config_dir)
    settings: list[Setting] = [
        *_area_settings(directory),
        *_profile_settings(directory, profile),
        *_environment_settings(environ or {}),
        *_override_settings(overrides),
    ]
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in settings:
        _place(tree, setting.path, setting.value)
        key = ".".join(setting.path)
        # A value replaces everything that was set below it.
        for stale in [name for name in origins if name.startswith(f"{key}.")]:
            del origins[stale]
        origins[key] = setting.origin
    try:
        # JSON mode is strict about types (no "5" for 5, no true for 1) and reads lists as tuples.
        config = SWTConfig.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(error, origins)) from None
    known = {".".join(path): _origin(path, origins) for path, _ in leaves(config)}
    return LoadedConfig(config=config, origins=known, config_dir=directory, profile=profile)


def config_hash(config: SWTConfig, sections: Collection[str] | None = None) -> str:
    """sha256 of the configuration's values, or of some sections only; independent of where they came from."""
    values = config.model_dump(mode="json", include=None if sections is None else set(sections))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def leaves(model: BaseModel, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a configuration with its path, in the order of the models."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def find_config_dir(config_dir: Path | None = None) -> Path:
    """The directory that is used: the named one, else ``./config``, else the packaged defaults.

    Raises:
        ConfigError: the named directory does not exist.
    """
    if config_dir is not None:
        if not config_dir.is_dir():
            raise ConfigError(f"{config_dir} is no directory", remedy="name a directory with YAML files")
        return config_dir
    local = Path("config")
    if any((local / f"{area}.yaml").is_file() for area in SWTConfig.model_fields):
        return local
    return PACKAGED_CONFIG_DIR


def profile_names(config_dir: Path) -> list[str]:
    """The profiles one can name, those of ``config_dir`` and the packaged ones."""
    directories = (config_dir / "profiles", PACKAGED_CONFIG_DIR / "profiles")
    return sorted({path.stem for directory in directories for path in directory.glob("*.yaml")})


def _area_settings(directory: Path) -> Iterator[Setting]:
    areas = list(SWTConfig.model_fields)
    for path in sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]):
        if path.suffix != ".yaml" or path.stem not in areas:
            raise ConfigError(
                f"{path}: no area of the configuration has this name",
                remedy=f"the areas are {', '.join(f'{area}.yaml' for area in areas)}",
            )
        yield from read_settings(path, prefix=(path.stem,))


def _profile_settings(directory: Path, profile: str | None) -> list[Setting]:
    if profile is None:
        return []
    for place in (directory, PACKAGED_CONFIG_DIR):
        path = place / "profiles" / f"{profile}.yaml"
        if profile.isidentifier() and path.is_file():
            return read_settings(path, note=f" (profile {profile})")
    raise ConfigError(
        f"there is no profile {profile!r} in {directory / 'profiles'}",
        remedy=f"use one of {', '.join(profile_names(directory))}",
    )


def _environment_settings(environ: Mapping[str, str]) -> Iterator[Setting]:
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and _SEPARATOR in name:
            path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split(_SEPARATOR))
            yield Setting(path, parse_text(path, environ[name]), f"environment {name}")


def _override_settings(overrides: Sequence[str]) -> Iterator[Setting]:
    for override in overrides:
        key, equals, value = override.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or len(path) < 2 or not all(path):
            raise ConfigError(
                f"command line: {override!r} is not section.key=value",
                remedy="for example training.seed=7",
            )
        yield Setting(path, parse_text(path, value.strip()), f"command line {key.strip()}")


def _place(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, name = path
    for parent in parents:
        child = tree.get(parent)
        if not isinstance(child, dict):
            child = tree[parent] = {}
        tree = child
    tree[name] = value


def _origin(path: tuple[str, ...], origins: Mapping[str, str]) -> str:
    for length in range(len(path), 0, -1):
        origin = origins.get(".".join(path[:length]))
        if origin is not None:
            return origin
    return DEFAULT_ORIGIN
