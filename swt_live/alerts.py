"""Telling a person: the log always, a webhook when one is configured by the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from swt_core.logs import get_logger

WEBHOOK_VARIABLE = "SWT_ALERT_WEBHOOK"
_TIMEOUT_S = 5.0

_log = get_logger(__name__)


class LogAlerts:
    """Alerts as warnings in the log."""

    def alert(self, event: str, detail: str) -> None:
        _log.warning("alert", alert=event, detail=detail)


class WebhookAlerts:
    """Alerts as JSON to a webhook, besides the log; a webhook that fails never holds trading up."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport
        self._log = LogAlerts()
        self._sending: set[asyncio.Task[None]] = set()

    def alert(self, event: str, detail: str) -> None:
        self._log.alert(event, detail)
        task = asyncio.get_running_loop().create_task(self._send(event, detail))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, event: str, detail: str) -> None:
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT_S) as client:
                response = await client.post(self._url, json={"event": event, "detail": detail})
                response.raise_for_status()
        except httpx.HTTPError as error:
            _log.warning("webhook failed", error=type(error).__name__)


def alerts_from(environ: Mapping[str, str]) -> LogAlerts | WebhookAlerts:
    """The webhook's address is a secret: it comes from the environment."""
    url = environ.get(WEBHOOK_VARIABLE)
    return WebhookAlerts(url) if url else LogAlerts()
