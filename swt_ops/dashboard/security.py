"""Who may ask the dashboard for what: host names, headers, the control token, the origin of a command."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swt_core.errors import ConfigError

TOKEN_VARIABLE: Final = "SWT_DASHBOARD_TOKEN"  # noqa: S105 - the variable's name
TOKEN_FILE_VARIABLE: Final = "SWT_DASHBOARD_TOKEN_FILE"  # noqa: S105
TOKEN_HEADER: Final = "x-swt-token"  # noqa: S105
LEAST_TOKEN_CHARACTERS: Final = 16
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

# The page is ours alone: no inline script or style, nothing from elsewhere, in nobody's frame.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A report is somebody's file: it may be looked at and may do nothing.
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
_HEADERS: Final = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def control_token(environ: Mapping[str, str]) -> str:
    """The token in ``SWT_DASHBOARD_TOKEN``, or in the file that ``SWT_DASHBOARD_TOKEN_FILE`` names.

    Raises:
        ConfigError: none is set, its file cannot be read, or it is too short to be a secret.
    """
    remedy = (
        f"put {LEAST_TOKEN_CHARACTERS} or more random characters there, for example of `openssl rand -hex 16`"
    )
    source, token = TOKEN_VARIABLE, environ.get(TOKEN_VARIABLE, "").strip()
    if not token and (path := environ.get(TOKEN_FILE_VARIABLE)):
        source = TOKEN_FILE_VARIABLE
        try:
            token = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(
                f"{TOKEN_FILE_VARIABLE}: {path} cannot be read: {reason}", remedy=remedy
            ) from None
    if not token:
        raise ConfigError(
            f"--control needs a token: neither {TOKEN_VARIABLE} nor {TOKEN_FILE_VARIABLE} is set",
            remedy=remedy,
        )
    if len(token) < LEAST_TOKEN_CHARACTERS or not token.isascii():
        raise ConfigError(
            f"{source}: a token has at least {LEAST_TOKEN_CHARACTERS} ASCII characters", remedy=remedy
        )
    return token


def command_refusal(headers: Headers, scheme: str, token: str) -> str | None:
    """Why a command must not be obeyed; None when it may.

    A browser sends the header only from a page of this very origin (another one would have to ask first,
    and is never answered), and no cookie is involved, so a foreign page has nothing to ride on. Origin and
    Sec-Fetch-Site are looked at all the same.
    """
    origin = headers.get("origin")
    if origin is None:
        return "a command names its Origin"
    parts = urlsplit(origin)
    if parts.scheme != scheme or parts.netloc != headers.get("host", ""):
        return "commands are taken from the dashboard's own page only"
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "commands are taken from the dashboard's own page only"
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return "a command is JSON"
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), token.encode()):
        return "the token is not right"
    return None


class Guard:
    """Refuses foreign host names (DNS rebinding) and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if hostname(Headers(scope=scope).get("host", "")) not in self._hosts:
            answer = PlainTextResponse("this host name is not served: see swt dashboard --allow-host\n", 400)
            await answer(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


def hostname(host: str) -> str:
    """The name in a Host header, without port and brackets, lower case; empty when there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
