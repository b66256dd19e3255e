"""The broker as this machine sees it: token, account, round trip, and our clock against its."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx

from swt_broker.client import OandaClient
from swt_broker.credentials import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from swt_broker.records import BrokerSettings
from swt_core.clock import Clock
from swt_core.config import LiveConfig
from swt_core.errors import BrokerError, ConfigError, Rejected
from swt_live.accounts import broker_settings
from swt_ops.findings import Finding, fail, ok, warn

_ROUNDS: Final = 3
_TIMEOUT_S: Final = 5.0
_SLOW_MS: Final = 1000.0
_CLOCK_WARN_S: Final = 2.0


@dataclass(frozen=True)
class Sight:
    """What a look at the broker came to.

    Attributes:
        error: why there was no answer; None when there was one.
        refused: the broker answered, and said no.
        round_trip_ms: median of `_ROUNDS` requests.
        offset_s: our clock minus the broker's; None when it told no time. ``uncertainty_s``: half of what
            the offset cannot tell: the header is up to two seconds old, and the answer took its time.
    """

    error: str | None = None
    refused: bool = False
    round_trip_ms: float | None = None
    offset_s: float | None = None
    uncertainty_s: float = 0.0
    currency: str = ""


class _DateTransport(httpx.AsyncBaseTransport):
    """Passes requests on and keeps what each answer's Date header says of our clock."""

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.offsets_s: list[tuple[float, float]] = []  # offset, uncertainty

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent_s, start_s = self._clock.time_s(), self._clock.monotonic_s()
        response = await self._inner.handle_async_request(request)
        elapsed_s = self._clock.monotonic_s() - start_s
        try:
            said_s = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return response
        # Cut to whole seconds, and by many servers renewed once a second: it is up to two seconds old.
        self.offsets_s.append((sent_s + elapsed_s / 2 - (said_s + 1.0), 1.0 + elapsed_s / 2))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


async def look_at_broker(
    settings: BrokerSettings, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
) -> Sight:
    """Read the account's summary a few times. Nothing is traded, nothing raises."""
    dated = _DateTransport(transport or httpx.AsyncHTTPTransport(trust_env=False), clock)
    hurried = dataclasses.replace(settings, request_timeout_s=min(settings.request_timeout_s, _TIMEOUT_S))
    times_ms, currency = [], ""
    try:
        async with OandaClient(hurried, dated) as client:
            for _ in range(_ROUNDS):
                start_s = clock.monotonic_s()
                currency = (await client.summary()).currency
                times_ms.append((clock.monotonic_s() - start_s) * 1000)
    except BrokerError as error:
        offset_s, uncertainty_s = _offset(dated)
        return Sight(error.message, isinstance(error, Rejected), None, offset_s, uncertainty_s)
    offset_s, uncertainty_s = _offset(dated)
    return Sight(None, False, statistics.median(times_ms), offset_s, uncertainty_s, currency)


def _offset(transport: _DateTransport) -> tuple[float | None, float]:
    if not transport.offsets_s:
        return None, 0.0
    # The quickest answer says most.
    return min(transport.offsets_s, key=lambda pair: pair[1])


def check_account(live: LiveConfig, environ: Mapping[str, str]) -> tuple[Finding, BrokerSettings | None]:
    """Token and account mode from the configuration alone; the settings to look with, if there are any."""
    try:
        settings = broker_settings(live, environ)
    except ConfigError as error:
        return fail("account", error.message, error.remedy or "see docs/operation.md"), None
    mode = {"embedded": "embedded practice server", "practice": "practice account", "live": "REAL MONEY"}
    text = f"{mode[live.environment]}, account {settings.account_id}, token {_origin(environ)}"
    if (file := environ.get(TOKEN_FILE_VARIABLE)) and not environ.get(TOKEN_VARIABLE):
        permissions = Path(file).stat().st_mode & 0o777
        if permissions & 0o007:
            remedy = f"chmod o= {file}"
            return warn("account", f"{text}, which everybody can read ({permissions:03o})", remedy), settings
    if live.environment == "live":
        return warn("account", text, "right if that is meant; else live.environment=practice"), settings
    return ok("account", text), settings


def _origin(environ: Mapping[str, str]) -> str:
    """Where the token comes from; never the token."""
    if environ.get(TOKEN_VARIABLE):
        return f"from {TOKEN_VARIABLE}"
    if file := environ.get(TOKEN_FILE_VARIABLE):
        return f"from the file {os.path.basename(file)}"
    return "built in"


def check_broker(live: LiveConfig, sight: Sight | None) -> Finding:
    """Whether the broker answers, and how fast."""
    if sight is None:
        return warn("broker", "not asked: there is no usable account", "mend the line above")
    if sight.refused:
        return fail("broker", f"refused us: {sight.error}", "check token and account at the broker")
    if sight.error is not None:
        if live.environment == "embedded":
            remedy = "start it: `swt practice`, or `swt up --practice-port` with the port of live.broker_url"
            return warn("broker", f"the practice server does not answer at {live.broker_url}", remedy)
        return fail("broker", f"does not answer: {sight.error}", "check the network and the broker's status")
    assert sight.round_trip_ms is not None
    text = f"answers in {sight.round_trip_ms:.0f} ms, account in {sight.currency}"
    if sight.round_trip_ms > _SLOW_MS:
        return warn("broker", text, "trade from nearer: each order takes as long")
    return ok("broker", text)


def check_clock(live: LiveConfig, sight: Sight | None) -> Finding:
    """Our clock against the broker's: a bar is decided at its close, so both must agree."""
    if sight is None or sight.offset_s is None:
        remedy = "ask again when the broker answers; `timedatectl` shows whether the system keeps time"
        return warn("clock", "offset unknown: no broker told the time", remedy)
    text = f"{sight.offset_s:+.1f} s from the broker's (± {sight.uncertainty_s:.1f} s)"
    beyond_s = abs(sight.offset_s) - sight.uncertainty_s
    remedy = "let the system keep time: `timedatectl set-ntp true`, or chrony"
    if beyond_s > live.stale_after_seconds:
        return fail("clock", f"{text}: prices look stale", remedy)
    return warn("clock", text, remedy) if beyond_s > _CLOCK_WARN_S else ok("clock", text)
