"""Which account an emergency closes: the configured one, or, when that cannot be read, one named by hand.

Closing needs no second consent: that one is for trading. It reads no state directory, no journal, no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    load: Callable[[], SWTConfig], environ: Mapping[str, str], named: Named
) -> ClosingAccount:
    """The account to close.

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
        values, instrument = _from_environment(environ), environ.get("SWT_DATA__INSTRUMENT")
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


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = ("environment", "account_id", "broker_url")
    found = {name: environ.get(f"SWT_LIVE__{name.upper()}") for name in names}
    return {name: value for name, value in found.items() if value}
