"""Which broker account the trader talks to, and what must be said twice before it is a real one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from swt_broker.credentials import broker_token
from swt_broker.records import BrokerSettings, InstrumentDetails
from swt_core.config import LiveConfig
from swt_core.errors import ConfigError
from swt_core.instruments import Instrument

_HOSTS = {
    "practice": ("https://api-fxpractice.oanda.com", "https://stream-fxpractice.oanda.com"),
    "live": ("https://api-fxtrade.oanda.com", "https://stream-fxtrade.oanda.com"),
}


def broker_settings(live: LiveConfig, environ: Mapping[str, str]) -> BrokerSettings:
    """Addresses and token of the configured account.

    Raises:
        ConfigError: real money without the second consent, no account, or no token.
    """
    if live.environment == "embedded":
        token = broker_token(environ, embedded=True)
        # Our own server limits in market seconds; held back by the wall clock, lock-step would crawl.
        return BrokerSettings(
            live.broker_url, live.broker_url, token, live.account_id, requests_per_second=math.inf
        )
    if live.environment == "live" and not live.confirm_live_account:
        raise ConfigError(
            "live.environment is 'live', but live.confirm_live_account is not set",
            remedy="set both to trade real money, or environment: practice",
        )
    if live.account_id == LiveConfig.model_fields["account_id"].default:
        raise ConfigError(
            "live.account_id still names the embedded practice server's account",
            remedy="set SWT_LIVE__ACCOUNT_ID to the account at the broker",
        )
    base_url, stream_url = _HOSTS[live.environment]
    return BrokerSettings(base_url, stream_url, broker_token(environ, embedded=False), live.account_id)


def require_same_instrument(known: Instrument, stated: InstrumentDetails) -> None:
    """Refuse to trade when the broker counts the instrument in other pips, points or sizes.

    Raises:
        ConfigError: naming both sides.
    """
    differences = [
        f"{what} is {theirs} at the broker, {ours} here"
        for what, ours, theirs in (
            ("pipLocation", known.pip_location, stated.pip_location),
            ("displayPrecision", known.display_precision, stated.display_precision),
        )
        if ours != theirs
    ]
    if differences:
        raise ConfigError(
            f"{known.name}: {'; '.join(differences)}", remedy="update the instrument's metadata"
        )
