"""One container, one role: what the stack's variables mean, and what its command runs.

The compose file speaks in the words of `.env` (OANDA_API_KEY, PRACTICE_MODE, …). Every `swt` inside a
container understands them, so `docker exec` reaches the same account as the daemon. Outside they mean
nothing: there a variable that happens to be set must not turn a demonstration into trading.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal, cast, get_args

from swt_broker.credentials import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from swt_core.errors import ConfigError
from swt_ops.pace import PracticeMode, market_pace

CONTAINER_VARIABLE: Final = "SWT_CONTAINER"
Role = Literal["trainer", "validator", "live", "data", "practice"]
ROLES: Final[tuple[str, ...]] = get_args(Role)
PRACTICE_PORT: Final = 8095
DATA_DIRECTORY: Final = "data"
# What a first download fetches, where nobody says.
_HISTORY: Final = timedelta(days=5 * 365)
_MODES: Final = ("real_time", "accelerated", "lockstep")


@dataclass(frozen=True)
class RolePlan:
    """What a container does.

    Attributes:
        steps: arguments of `swt`, one command after the other; the last one stays.
        idle: instead, why there is nothing to do; the container then stays and beats a heartbeat.
        heartbeat: directory of the heartbeat of an idle container.
        needs_bars: wait until the data service has filled this store.
    """

    steps: tuple[tuple[str, ...], ...] = ()
    idle: str | None = None
    heartbeat: Path | None = None
    needs_bars: Path | None = None


def adopt_stack_variables(environ: MutableMapping[str, str]) -> None:
    """Translate the stack's variables into the product's own, in place; what is set already stays.

    Raises:
        ConfigError: a key without an account, or a word that means nothing.
    """
    # Compose hands on what nobody set as an empty text.
    for name in [name for name, value in environ.items() if name.startswith("SWT_") and not value.strip()]:
        del environ[name]
    if has_credentials(environ):
        _adopt_oanda(environ)
    else:
        _adopt_practice(environ)


def has_credentials(environ: Mapping[str, str]) -> bool:
    """Whether the stack trades an account at OANDA; containers without the key are told by a word."""
    return bool(_key_file(environ) or _text(environ, "OANDA_API_KEY") or _text(environ, "OANDA_CONFIGURED"))


def plan(role: str, environ: Mapping[str, str], today: date) -> RolePlan:
    """What the container of ``role`` does, after `adopt_stack_variables`.

    Args:
        today: from which the history of a first download is counted.

    Raises:
        ConfigError: there is no such role, or a variable cannot be understood.
    """
    if role not in ROLES:
        raise ConfigError(f"a container has no role {role!r}", remedy=f"use one of {', '.join(ROLES)}")
    root = Path(environ.get("SWT_STATE_DIR", "."))
    bars = root / DATA_DIRECTORY
    kept_current = environ.get("SWT_DATA__BARS_FILE") == str(bars)
    needs_bars = bars if kept_current and has_credentials(environ) else None
    match cast(Role, role):
        case "trainer":
            return RolePlan((("train", "--stay", "--health-port", "8081"),), needs_bars=needs_bars)
        case "validator":
            return RolePlan((("validator", "--port", "8082"),), needs_bars=needs_bars)
        case "live":
            return RolePlan((("live", "run", "--json-logs"),))
        case "practice":
            return _practice(environ, root)
        case "data":
            return _data(environ, bars, today)


def _practice(environ: Mapping[str, str], root: Path) -> RolePlan:
    if has_credentials(environ):
        return RolePlan(idle="off: an account at OANDA is configured", heartbeat=root / "practice_state")
    mode, speed = _pace(environ)
    host = environ.get("PRACTICE_HOST") or "0.0.0.0"  # noqa: S104 - the stack's own network
    step = ("practice", "--host", host, "--port", str(PRACTICE_PORT), "--mode", mode, "--test-range")
    return RolePlan(((*step, "--speed", f"{speed:g}"),))


def _data(environ: Mapping[str, str], bars: Path, today: date) -> RolePlan:
    if not has_credentials(environ):
        idle = "idle: without an account at OANDA the market is a recording, and nothing comes to it"
        return RolePlan(idle=idle, heartbeat=bars)
    store = ("--data-dir", str(bars))
    begin = _text(environ, "DATA_FROM") or (today - _HISTORY).isoformat()
    every = _text(environ, "DATA_UPDATE_SECONDS") or "60"
    # The first ends at once where the store goes on; killed, it goes on where it was.
    fetch = ("data", "download", "--from", begin, *store)
    return RolePlan((fetch, ("data", "update", "--every", every, "--build", *store)))


def _adopt_oanda(environ: MutableMapping[str, str]) -> None:
    account = _text(environ, "OANDA_ACCOUNT_ID")
    if not account and "SWT_LIVE__ACCOUNT_ID" not in environ:
        raise ConfigError("OANDA_API_KEY is set, but no OANDA_ACCOUNT_ID", remedy="set both in .env, or none")
    side = _text(environ, "OANDA_ENVIRONMENT") or "practice"
    if side not in ("practice", "live"):
        raise ConfigError(f"OANDA_ENVIRONMENT is {side!r}", remedy="use practice or live")
    _default(environ, "SWT_LIVE__ENVIRONMENT", side)
    _default(environ, "SWT_LIVE__ACCOUNT_ID", account)
    _default(environ, "SWT_LIVE__CONFIRM_LIVE_ACCOUNT", _text(environ, "CONFIRM_LIVE_ACCOUNT"))
    _default(environ, "SWT_DATA__BARS_FILE", str(Path(environ.get("SWT_STATE_DIR", ".")) / DATA_DIRECTORY))
    if key := _text(environ, "OANDA_API_KEY"):
        _default(environ, TOKEN_VARIABLE, key)
    elif file := _key_file(environ):
        _default(environ, TOKEN_FILE_VARIABLE, file)


def _adopt_practice(environ: MutableMapping[str, str]) -> None:
    _default(environ, "SWT_LIVE__ENVIRONMENT", "embedded")
    _default(environ, "SWT_LIVE__BROKER_URL", f"http://practice:{PRACTICE_PORT}")
    _default(environ, TOKEN_VARIABLE, _text(environ, "PRACTICE_TOKEN"))
    for key, value in market_pace(*_pace(environ)).items():
        _default(environ, f"SWT_{key.replace('.', '__').upper()}", f"{value:g}")


def _pace(environ: Mapping[str, str]) -> tuple[PracticeMode, float]:
    mode = _text(environ, "PRACTICE_MODE") or "real_time"
    if mode not in _MODES:
        raise ConfigError(f"PRACTICE_MODE is {mode!r}", remedy=f"use one of {', '.join(_MODES)}")
    speed = _text(environ, "PRACTICE_SPEED") or "60"
    try:
        return cast(PracticeMode, mode), float(speed)
    except ValueError:
        raise ConfigError(
            f"PRACTICE_SPEED is {speed!r}", remedy="use market seconds a second, as 60"
        ) from None


def _key_file(environ: Mapping[str, str]) -> str:
    """The secret's file, if it holds anything: the stack mounts an empty one where there is no secret."""
    name = _text(environ, "OANDA_API_KEY_FILE")
    if not name:
        return ""
    try:
        return name if os.stat(name).st_size else ""
    except FileNotFoundError:
        return ""


def _text(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _default(environ: MutableMapping[str, str], name: str, value: str) -> None:
    if value:
        environ.setdefault(name, value)
