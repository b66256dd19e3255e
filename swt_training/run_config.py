"""Which settings a run was started with, so that a refused resume can name the one that differs."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from swt_core.config import SWTConfig
from swt_core.errors import ConfigError, StateError
from swt_core.logs import get_logger
from swt_core.state import StateDirectory, StateRecord
from swt_training.run_setup import LEARNING_SECTIONS, neutral

RUN_CONFIG_FILE: Final = "run_config.json"
_log = get_logger(__name__)


class RunConfig(StateRecord):
    """What determines the learned weights, as ``section.key`` → value."""

    settings: dict[str, Any] = Field(default_factory=dict)


def learning_settings(config: SWTConfig) -> dict[str, Any]:
    """Every setting that determines the learned weights."""
    sections = neutral(config)
    found: dict[str, Any] = {}
    for section in LEARNING_SECTIONS:
        _flatten(section, getattr(sections, section).model_dump(mode="json"), found)
    return found


def save_run_config(state: StateDirectory, config: SWTConfig) -> None:
    """Remember the settings; a full disk is logged."""
    try:
        state.write(RUN_CONFIG_FILE, RunConfig(schema_version=1, settings=learning_settings(config)))
    except StateError as error:
        _log.error("settings of the run not written", error=str(error))


def other_configuration(state: StateDirectory, config: SWTConfig) -> ConfigError:
    """The error for a run in ``state`` that was started with other settings: it names each, both sides."""
    try:
        saved = state.read(RUN_CONFIG_FILE, RunConfig)
    except StateError:
        saved = None
    named = differences(saved.settings, learning_settings(config)) if saved is not None else []
    which = "; ".join(named) if named else f"something in {', '.join(LEARNING_SECTIONS)}"
    now = learning_settings(config)
    another_version = saved is not None and saved.settings.keys() != now.keys()
    return ConfigError(
        f"{state.path} belongs to a run with another configuration: {which}",
        remedy="the run is another version's, which knows other settings: use another state directory, "
        "and `--from` one of its checkpoints to go on from there"
        if another_version
        else "restore that configuration, or use another state directory",
    )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """``key: the run has A, now it is B`` for every key that differs, in order of the keys."""
    return [
        f"{key}: the run has {_text(before, key)}, now it is {_text(now, key)}"
        for key in sorted({*before, *now})
        if before.get(key, ...) != now.get(key, ...)
    ]


def _text(settings: dict[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "nothing"


def _flatten(prefix: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}", inner, into)
    else:
        into[prefix] = value
