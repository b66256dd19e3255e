"""Carries configuration files of another version over: what is known stays, what was renamed moves.

Nothing is dropped in silence: each key of the old files is kept, renamed or left out with the reason, and the
result is checked as a whole before it is written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from swt_core.config import SWTConfig
from swt_core.config.loading import leaves, load_config
from swt_core.errors import ConfigError
from swt_core.state import sync_directory

# Keys of the original's YAML files, as file.key, and what they are called here.
RENAMED: Final[Mapping[str, str]] = {
    "training.max_episodes": "process_limits.maximum_episodes",
    "training.checkpoint_interval": "training.checkpoint_every_episodes",
    "training.buffer_size": "training.replay_capacity_steps",
    "training.spread": "data.spread_pips",
    "training.num_simulations": "trading.search.simulations",
    "training.lr": "training.learning_rate",
    "model.value_support_size": "model.support_bins",
    "model.gradient_clip": "training.gradient_clip",
    "model.clip": "training.gradient_clip",
    "live.min_confidence_threshold": "trading.minimum_confidence",
    "trading.min_confidence": "trading.minimum_confidence",
    "trading_safety.min_confidence_threshold": "trading.minimum_confidence",
    "trading_safety.emergency_violation_threshold": "trading_safety.emergency_violations",
    "trading_safety.max_position_size": "trading_safety.max_position_units",
    "trading_safety.position_size_tolerance": "trading_safety.fill_tolerance",
}
# Keys that mean nothing here, and why.
LEFT_OUT: Final[Mapping[str, str]] = {
    "training.batch_size": "a step learns from whole sessions: training.sessions_per_step",
    "training.min_buffer_size": "learning begins with training.head_start_steps",
    "training.drawdown_penalty": "part of the reward preset: training.reward",
    "training.data_split": "shares of time: data.train_share, data.validation_share",
    "live.max_daily_trades": "trading_safety.max_trades_per_hour and the daily loss bound it",
    "live.processing_interval": "a decision follows each minute's bar",
    "trading_safety.max_daily_trades": "trading_safety.max_trades_per_hour and the daily loss bound it",
    "trading_safety.max_daily_loss_usd": "counted in pips: trading_safety.max_daily_loss_pips",
    "trading_safety.max_drawdown_usd": "counted in pips: trading_safety.max_drawdown_pips",
}


@dataclass(frozen=True)
class Carried:
    """One key of the old files.

    Attributes:
        new: where its value stands now; None: left out, ``why`` says it.
    """

    old: str
    new: str | None
    value: Any
    why: str = ""


def carry_over(source: Path) -> list[Carried]:
    """Each key of ``source``'s YAML files and what becomes of it; nothing is written.

    Raises:
        ConfigError: there are no files, one cannot be read, or two old keys mean the same new one.
    """
    files = sorted([*source.glob("*.yaml"), *source.glob("*.yml")])
    if not files:
        raise ConfigError(f"{source} holds no YAML files", remedy="name the old configuration's directory")
    known = {".".join(path) for path, _ in leaves(SWTConfig())}
    targets = set(RENAMED.values()) - known
    assert not targets, f"renamed to keys that do not exist: {targets}"
    found: list[Carried] = []
    for file in files:
        for path, value in _leaves(_read(file)):
            old = ".".join((file.stem, *path))
            new = old if old in known else RENAMED.get(old)
            why = "" if new else LEFT_OUT.get(old, "no setting of this version has this name")
            found.append(Carried(old, new, value, why))
    seen: dict[str, Carried] = {}
    for each in found:
        if each.new is not None and (other := seen.setdefault(each.new, each)).value != each.value:
            raise ConfigError(
                f"{other.old} is {other.value!r}, {each.old} is {each.value!r}, but both are {each.new} now",
                remedy="remove one of them",
            )
    return found


def write_config(carried: list[Carried], target: Path) -> Path:
    """Write the values as files of this version, in one step, after checking them together.

    Raises:
        ConfigError: ``target`` is there already, or a value is not allowed (naming file, line and bounds).
    """
    if target.exists():
        raise ConfigError(f"{target} is there already", remedy="name a directory that is not there yet")
    areas: dict[str, dict[str, Any]] = {}
    for each in carried:
        if each.new is not None:
            area, *path, name = each.new.split(".")
            section = areas.setdefault(area, {})
            for step in path:
                section = section.setdefault(step, {})
            section[name] = each.value
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    part.mkdir(parents=True)
    try:
        for area, values in areas.items():
            (part / f"{area}.yaml").write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        load_config(part)
        os.replace(part, target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict | None):
        raise ConfigError(f"{file} holds no settings")
    found = found or {}
    # Some versions repeat the area's name inside its file.
    return found[file.stem] if list(found) == [file.stem] and isinstance(found[file.stem], dict) else found


def _leaves(tree: Mapping[Any, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value
