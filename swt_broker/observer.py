"""What somebody who watches the broker is told of each request: operation, time, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

NO_ANSWER = "no_answer"


@dataclass(frozen=True)
class RequestSeen:
    """One request.

    Attributes:
        operation: method and endpoint, without ids: ``POST orders``, ``GET changes``.
        outcome: ``ok``, the status's class (``4xx``, ``5xx``, ``429``), or ``no_answer``.
        seconds: from sending to the whole answer, by the event loop's clock.
    """

    operation: str
    outcome: str
    seconds: float


@contextmanager
def seen(request: httpx.Request, observe: Callable[[RequestSeen], None]) -> Iterator[Callable[[int], None]]:
    """Tell ``observe`` of the request made inside; yields what notes its status."""
    time_s = asyncio.get_running_loop().time
    started_s, outcome = time_s(), NO_ANSWER

    def note(status: int) -> None:
        nonlocal outcome
        outcome = "ok" if status < 400 else "429" if status == 429 else f"{status // 100}xx"

    try:
        yield note
    finally:
        observe(RequestSeen(operation(request), outcome, time_s() - started_s))


def operation(request: httpx.Request) -> str:
    """The endpoint's name: the last part of its path that is no id."""
    parts = request.url.path.strip("/").split("/")
    if len(parts) == 3 and parts[1] == "accounts":
        return f"{request.method} account"
    return f"{request.method} {parts[-1]}"
