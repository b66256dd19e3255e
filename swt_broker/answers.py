"""What an HTTP answer proves: done, definitely refused, or nothing."""

from __future__ import annotations

import json

import httpx

from swt_broker.records import JSON
from swt_core.errors import Rejected, Unavailable


def json_object(content: bytes) -> JSON | None:
    """The body as a JSON object, None if it is none."""
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def is_definite_refusal(status: int, reply: JSON | None) -> bool:
    """A 4xx in the broker's own words. A bare 4xx or 408 may come from a proxy and proves nothing."""
    return (
        400 <= status < 500
        and status != 408
        and reply is not None
        and ("errorCode" in reply or "errorMessage" in reply)
    )


def rejection(status: int, reply: JSON) -> Rejected:
    """The broker's refusal as an exception."""
    code = reply.get("errorCode")
    return Rejected(str(reply.get("errorMessage", code)), status=status, code=code, body=reply)


def check_read(response: httpx.Response, content: bytes) -> None:
    """Raise `Rejected` or `Unavailable` unless a read was answered with 200."""
    if response.status_code == 200:
        return
    reply = json_object(content)
    if response.status_code != 429 and is_definite_refusal(response.status_code, reply):
        assert reply is not None
        raise rejection(response.status_code, reply)
    raise Unavailable(f"{response.request.method} {response.request.url.path}: status {response.status_code}")
