"""Telling a person: the log always; webhook and e-mail when the environment configures them.

Nothing here is ever waited for by the trader: each channel has a short queue and one task of its own, and
a message that does not fit is counted and dropped. The same event is told once a minute at most, and no
channel says more than thirty things an hour; what was held back is counted in the next message. What a
person has to act upon (`URGENT`) has thirty of its own, goes first, and is repeated when its text differs,
so that no crowd of minor events keeps a halt from being told. Addresses, passwords and the webhook's URL
come from the environment or secret files and appear in no log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx

from swt_core.clock import Clock, SystemClock
from swt_core.logs import get_logger
from swt_live.alert_mail import MailSettings, mail_settings, send_mail
from swt_live.alert_secrets import secret

WEBHOOK_VARIABLE = "SWT_ALERT_WEBHOOK"
REPEAT_S = 60.0
MOST_AN_HOUR = 30
URGENT = frozenset(
    {
        "halt",
        "still_halted",
        "emergency",
        "drift",
        "oversize",
        "violation_oversize",
        "violation_position",
        "journal_broken",
        "disk_full",
        "decision_failed",
    }
)
_QUEUE = 50
_TIMEOUT_S = 10.0

_log = get_logger(__name__)


@dataclass(frozen=True)
class Alert:
    """One message; ``held_back``: how many the rate limit kept from this channel since the last one."""

    event: str
    detail: str
    held_back: int = 0


class AlertFailed(Exception):
    """A channel could not deliver; the text holds no secret."""


class Channel(Protocol):
    """One way to a person."""

    @property
    def name(self) -> str: ...

    async def send(self, alert: Alert) -> None:
        """Deliver one alert.

        Raises:
            AlertFailed: it was not delivered.
        """
        ...


class Webhook:
    """Alerts as JSON to a URL."""

    name = "webhook"

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport

    async def send(self, alert: Alert) -> None:
        document = {"event": alert.event, "detail": alert.detail, "held_back": alert.held_back}
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT_S) as client:
                response = await client.post(self._url, json=document)
                response.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The exception's text may hold the URL, which is a secret.
            raise AlertFailed(type(error).__name__) from None


class Mail:
    """Alerts by e-mail; the conversation with the server happens in a thread."""

    name = "email"

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    async def send(self, alert: Alert) -> None:
        text = alert.detail
        if alert.held_back:
            text += f"\n\n{alert.held_back} further alerts were held back before this one."
        failure = await asyncio.to_thread(send_mail, self._settings, f"SWT: {alert.event}", text)
        if failure is not None:
            raise AlertFailed(failure)


class _Lane:
    """A queue with limits of its own; ``by_text``: another detail is another event."""

    def __init__(self, *, by_text: bool) -> None:
        self.waiting: deque[Alert] = deque()
        self._by_text = by_text
        self._told_s: dict[tuple[str, str], float] = {}
        self._hour: deque[float] = deque()

    def admits(self, event: str, detail: str, now_s: float) -> bool:
        """Whether this may be said now; what may be is counted as said."""
        while self._hour and now_s - self._hour[0] >= 3600.0:
            self._hour.popleft()
        self._told_s = {what: at_s for what, at_s in self._told_s.items() if now_s - at_s < REPEAT_S}
        what = (event, detail if self._by_text else "")
        if what in self._told_s or len(self._hour) >= MOST_AN_HOUR or len(self.waiting) >= _QUEUE:
            return False
        self._told_s[what] = now_s
        self._hour.append(now_s)
        return True


class _Outbox:
    """A channel with its queues, its task and its limits."""

    def __init__(self, channel: Channel, clock: Clock, count: Callable[[str, str], None]) -> None:
        self.channel = channel
        self._clock = clock
        self._count = count
        self._urgent, self._minor = _Lane(by_text=True), _Lane(by_text=False)
        self._held_back = 0
        self._task: asyncio.Task[None] | None = None

    def put(self, event: str, detail: str) -> None:
        lane = self._urgent if event in URGENT else self._minor
        if not lane.admits(event, detail, self._clock.monotonic_s()):
            self._held_back += 1
            self._count(self.channel.name, "suppressed")
            return
        lane.waiting.append(Alert(event, detail, self._held_back))
        self._held_back = 0
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while waiting := self._urgent.waiting or self._minor.waiting:
            alert = waiting.popleft()
            try:
                async with asyncio.timeout(2.0 * _TIMEOUT_S):
                    await self.channel.send(alert)
            except (AlertFailed, TimeoutError) as error:
                self._count(self.channel.name, "failed")
                reason = str(error) or type(error).__name__
                _log.warning("alert not delivered", channel=self.channel.name, reason=reason)
            except Exception as error:  # noqa: BLE001 - the next alert must go out; the text may hold secrets
                self._count(self.channel.name, "failed")
                _log.warning("alert not delivered", channel=self.channel.name, reason=type(error).__name__)
            else:
                self._count(self.channel.name, "sent")

    async def drain(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])


class AlertRouter:
    """The log and every configured channel."""

    def __init__(
        self,
        channels: Sequence[Channel] = (),
        *,
        clock: Clock | None = None,
        count: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        clock = clock or SystemClock()
        self._outboxes = [_Outbox(channel, clock, count) for channel in channels]

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(outbox.channel.name for outbox in self._outboxes)

    def alert(self, event: str, detail: str) -> None:
        """Tell it; returns at once."""
        _log.warning("alert", alert=event, detail=detail)
        for outbox in self._outboxes:
            outbox.put(event, detail)

    async def drain(self, timeout_s: float = 5.0) -> None:
        """Give what is under way a moment to leave; for the end of the process."""
        if self._outboxes:
            await asyncio.wait(
                [asyncio.ensure_future(outbox.drain()) for outbox in self._outboxes], timeout=timeout_s
            )


def alerts_from(
    environ: Mapping[str, str], count: Callable[[str, str], None] = lambda *_: None
) -> AlertRouter:
    """The channels that the environment configures.

    Raises:
        ConfigError: an e-mail setting is missing or unsafe, or a secret file cannot be read.
    """
    channels: list[Channel] = []
    url = secret(environ, WEBHOOK_VARIABLE)
    if url:
        channels.append(Webhook(url))
    mail = mail_settings(environ)
    if mail is not None:
        channels.append(Mail(mail))
    return AlertRouter(channels, count=count)
