"""The processes of `swt up`: practice server, trainer, validator, live trader on one workspace."""

from __future__ import annotations

import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from swt_broker.credentials import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from swt_core.config import LiveConfig
from swt_core.config.loading import LoadedConfig
from swt_core.errors import ConfigError
from swt_core.worker import ONE_THREAD
from swt_core.workspace import Workspace
from swt_live.accounts import broker_settings
from swt_live.alerts import WEBHOOK_VARIABLE
from swt_ops.pace import PracticeMode, market_pace
from swt_ops.processes import ProcessSpec

_SECRETS: Final = (TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, WEBHOOK_VARIABLE)
# What a process may take beyond its own limit for a graceful stop.
_STOP_MARGIN_S: Final = 5.0
_PRACTICE_STOP_S: Final = 10.0
# The trader stops first: nothing that it still needs may go before it. The practice server goes last.
_LIVE_STAGE, _WORK_STAGE, _BROKER_STAGE = 0, 1, 2


@dataclass(frozen=True)
class StackOptions:
    """What the command line decides about a stack; a port of 0 means any that is free.

    Attributes:
        configuration: options that lead every process to the same configuration.
        practice_mode, practice_speed: how the practice server's market time moves.
        live_port: None: as configured.
    """

    configuration: tuple[str, ...] = ()
    practice_mode: PracticeMode = "real_time"
    practice_speed: float = 60.0
    practice_port: int = 0
    trainer_port: int = 8081
    validator_port: int = 8082
    live_port: int | None = None


@dataclass(frozen=True)
class Stack:
    """The processes in the order of starting, and what a person should know about them."""

    specs: tuple[ProcessSpec, ...]
    notes: tuple[str, ...]
    broker_url: str
    token: str | None = field(default=None, repr=False)


def build_stack(
    loaded: LoadedConfig, workspace: Workspace, options: StackOptions, environ: Mapping[str, str]
) -> Stack:
    """Which processes to run, with which commands and environments.

    Secrets reach only the processes that need them, and only through their environment.

    Raises:
        ConfigError: the broker account is not configured fully.
    """
    environment, note = broker_environment(loaded, environ)
    live_config = loaded.config.live.model_copy(update={"environment": environment})
    bare = {name: value for name, value in environ.items() if name not in _SECRETS}
    for name in ONE_THREAD:
        bare.setdefault(name, "1")
    live_environ = bare | {name: environ[name] for name in _SECRETS if name in environ}
    live_sets = [f"live.environment={environment}"]
    if options.live_port is not None:
        live_sets.append(f"live.health_port={options.live_port}")
    stop_s = loaded.config.process_limits.stop_seconds + _STOP_MARGIN_S

    def spec(name: str, *arguments: str, environ: Mapping[str, str] = bare, stage: int) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            command=(
                *(_nice() if name == "validator" else ()),
                *(sys.executable, "-m", "swt_cli.main", *arguments),
                *("--state-dir", str(workspace.root), *options.configuration),
            ),
            environ=environ,
            stop_seconds=_PRACTICE_STOP_S if name == "practice" else stop_s,
            stop_stage=stage,
        )

    specs, notes, token = [], [note], None
    if environment == "embedded":
        live_sets += _pace(loaded, options)
        token = _embedded_token(loaded, environ)
        port = options.practice_port or free_port()
        url = f"http://127.0.0.1:{port}"
        live_sets.append(f"live.broker_url={url}")
        practice_environ = bare | {TOKEN_VARIABLE: token}
        live_environ = {k: v for k, v in live_environ.items() if k != TOKEN_FILE_VARIABLE}
        live_environ[TOKEN_VARIABLE] = token
        arguments = ["practice", "--port", str(port), "--mode", options.practice_mode, "--test-range"]
        if options.practice_mode == "accelerated":
            arguments += ["--speed", str(options.practice_speed)]
        specs.append(spec("practice", *arguments, environ=practice_environ, stage=_BROKER_STAGE))
        notes.append(f"the practice account replays the test range of the market, {options.practice_mode}")
    else:
        url = broker_settings(live_config, environ).base_url
    trainer = ("train", "--stay", "--health-port", str(options.trainer_port))
    specs.append(spec("trainer", *trainer, stage=_WORK_STAGE))
    specs.append(spec("validator", "validator", "--port", str(options.validator_port), stage=_WORK_STAGE))
    live = spec("live", "live", "run", "--json-logs", environ=live_environ, stage=_LIVE_STAGE)
    sets = tuple(part for setting in live_sets for part in ("--set", setting))
    specs.append(
        ProcessSpec(live.name, live.command + sets, live.environ, live.stop_seconds, live.stop_stage)
    )
    return Stack(tuple(specs), tuple(notes), url, token)


def _pace(loaded: LoadedConfig, options: StackOptions) -> list[str]:
    """Intervals that are market seconds to the trader; what the person set stays."""
    fitting = market_pace(options.practice_mode, options.practice_speed)
    return [f"{key}={value:g}" for key, value in fitting.items() if not _by_person(loaded.origins.get(key))]


def _by_person(origin: str | None) -> bool:
    """Whether a value comes from the environment or the command line, rather than from a file."""
    return origin is not None and origin.startswith(("environment ", "command line "))


def broker_environment(
    loaded: LoadedConfig, environ: Mapping[str, str]
) -> tuple[Literal["embedded", "practice", "live"], str]:
    """Which broker is traded: the configured one; OANDA's practice side when its credentials are there.

    Returns:
        live.environment, and why.
    """
    live = loaded.config.live
    if live.environment != "embedded":
        return live.environment, f"the trader's account {live.account_id} is OANDA's ({live.environment})"
    if _chosen(loaded) or not _has_token(environ):
        return "embedded", "the trader's account is at the embedded practice server"
    if live.account_id == LiveConfig.model_fields["account_id"].default:
        return "embedded", (
            "a broker token is set but no SWT_LIVE__ACCOUNT_ID: the trader's account is at the embedded "
            "practice server, which is not told that token"
        )
    return "practice", f"credentials are set: the trader's account {live.account_id} is OANDA's practice one"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _chosen(loaded: LoadedConfig) -> bool:
    """Whether somebody asked for the embedded server, beyond the shipped live.yaml that says so."""
    origin = loaded.origins.get("live.environment", "default")
    return origin != "default" and not origin.startswith(str(loaded.config_dir / "live.yaml"))


def _has_token(environ: Mapping[str, str]) -> bool:
    return bool(environ.get(TOKEN_VARIABLE) or environ.get(TOKEN_FILE_VARIABLE))


def _embedded_token(loaded: LoadedConfig, environ: Mapping[str, str]) -> str:
    """A new one each run; one that was set for the embedded server on purpose is kept."""
    if _chosen(loaded) and environ.get(TOKEN_VARIABLE):
        return environ[TOKEN_VARIABLE].strip()
    return secrets.token_urlsafe(24)


def _nice() -> tuple[str, ...]:
    """Validation can wait: on few cores trainer and trader come first."""
    return ("nice", "-n", "5") if shutil.which("nice") else ()


def configuration_arguments(
    config_dir: str | None, profile: str | None, overrides: tuple[str, ...]
) -> tuple[str, ...]:
    """The options that lead another process to the same configuration.

    Raises:
        ConfigError: a setting that only `swt up` itself may decide.
    """
    for setting in overrides:
        if setting.partition("=")[0].strip() == "live.broker_url":
            raise ConfigError(
                "live.broker_url is decided by `swt up`", remedy="use --practice-port for the embedded server"
            )
    found: list[str] = []
    if config_dir is not None:
        found += ["--config-dir", config_dir]
    if profile is not None:
        found += ["--profile", profile]
    for setting in overrides:
        found += ["--set", setting]
    return tuple(found)
