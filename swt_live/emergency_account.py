"""Which account an emergency closes: the configured one, or, when that cannot be read, one named by hand.

Closing needs no second consent: that one is for trading. It reads no state directory, no journal, no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from swt_broker.records import BrokerSettings
from swt_core.config import LiveConfig, SWTConfig
from swt_core.errors import ConfigError
from swt_live.accounts import broker_settings


@dataclass(frozen=True)
class Named:
    """What was said on the command line; it comes before everything else."""

    environment: str | None = None
    account_id: str | None = None
    broker_url: str | None = None
    instrument: str | None = None


@dataclass(frozen=True)
class ClosingAccount:
    """The account and, if it is known, the instrument; ``warning``: why the configuration was not used."""

    settings: BrokerSettings
    environment: str
    instrument: str | None
    warning: str | None = None


def closing_account(
    load: Callable[[], SWTConfig],
    environ: Mapping[str, str],
    named: Named,
    overrides: Sequence[str] = (),
) -> ClosingAccount:
    """The account to close.

    ``overrides``: ``section.key=value`` from the command line; they hold also where the rest is broken.

    Raises:
        ConfigError: the configuration is broken and nothing else names the account; no token.
    """
    warning: str | None = None
    instrument: str | None
    try:
        config = load()
        values, instrument = config.live.model_dump(), config.data.instrument
    except ConfigError as error:
        warning = f"the configuration is broken and not used: {error.message}"
        values, instrument = _without_files(environ, overrides)
    said = {"environment": named.environment, "account_id": named.account_id, "broker_url": named.broker_url}
    values |= {name: value for name, value in said.items() if value is not None}
    if "environment" not in values or ("account_id" not in values and values["environment"] != "embedded"):
        raise ConfigError(
            f"{warning}; nothing says which account is to be closed",
            remedy="name it: --environment practice|live --account ID, and --instrument NAME or --all",
        )
    try:
        live = LiveConfig.model_validate(values | {"confirm_live_account": True})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"live.{where}: {first['msg']}", remedy="correct the option") from error
    settings = broker_settings(live, environ)
    return ClosingAccount(settings, live.environment, named.instrument or instrument, warning)


def _without_files(
    environ: Mapping[str, str], overrides: Sequence[str]
) -> tuple[dict[str, object], str | None]:
    """What environment and command line say of the account, and the instrument; the latter comes first."""
    names = ("live.environment", "live.account_id", "live.broker_url", "data.instrument")
    found = {name: environ.get(f"SWT_{name.replace('.', '__').upper()}") for name in names}
    for text in overrides:
        name, _, value = text.partition("=")
        if name.strip() in names:
            found[name.strip()] = value.strip()
    instrument = found.pop("data.instrument") or None
    return {name.removeprefix("live."): value for name, value in found.items() if value}, instrument
