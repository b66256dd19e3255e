"""Open streams: who gets which lines, how many were written, and what faults do to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from swt_live.practice.faults import FaultPlan
from swt_live.practice.transactions import JSONObject

StreamKind = Literal["pricing", "transactions"]
Line = Literal["data", "heartbeat"]
_encoder = json.JSONEncoder(separators=(",", ":"))


class StreamReset(Exception):
    """A fault: the connection is lost in the middle of a line."""


@dataclass
class Subscription:
    """One open stream; ``lines`` counts what was written to it since it was opened."""

    stream_id: str
    kind: StreamKind
    as_unix: bool
    lines: int = 0
    buffer: list[bytes] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    reset: bool = False
    closed: bool = False
    stalled_until_s: float = float("-inf")
    gap_until_s: float = float("-inf")
    duplicate_until_s: float = float("-inf")

    async def chunk(self) -> bytes:
        """What has been written since the last call, waiting for at least one line; empty when closed.

        Raises:
            StreamReset: once the buffer is out, when a fault broke the connection.
        """
        while not self.buffer:
            if self.reset:
                raise StreamReset
            if self.closed:
                return b""
            self.wake.clear()
            await self.wake.wait()
        chunk = b"".join(self.buffer)
        self.buffer.clear()
        return chunk


class StreamHub:
    """All open streams of one server."""

    def __init__(self, faults: FaultPlan, render_unix: Callable[[JSONObject], JSONObject]) -> None:
        self._faults = faults
        self._render_unix = render_unix
        self._open: dict[str, Subscription] = {}
        self._next_id = 1

    def open(self, kind: StreamKind, *, as_unix: bool = False) -> Subscription:
        """Register a new stream."""
        subscription = Subscription(str(self._next_id), kind, as_unix)
        self._next_id += 1
        self._open[subscription.stream_id] = subscription
        return subscription

    def close(self, subscription: Subscription) -> None:
        """No more lines for this stream: the client has gone, or the server ends it."""
        self._open.pop(subscription.stream_id, None)
        subscription.closed = True
        subscription.wake.set()

    def close_all(self) -> None:
        """End every stream."""
        for subscription in list(self._open.values()):
            self.close(subscription)

    @property
    def lines(self) -> dict[str, int]:
        """Lines written to each open stream."""
        return {key: item.lines for key, item in self._open.items() if not item.reset}

    def publish(self, kind: StreamKind, line: Line, body: JSONObject, now_s: float) -> None:
        """Write one event to every stream of a kind."""
        subscribers = [item for item in self._open.values() if item.kind == kind and not item.reset]
        if not subscribers:
            return
        encoded = encode(body)
        for subscription in subscribers:
            if subscription.as_unix:
                self.write(subscription, line, encode(self._render_unix(body)), now_s)
            else:
                self.write(subscription, line, encoded, now_s)

    def write(self, subscription: Subscription, line: Line, encoded: bytes, now_s: float) -> None:
        """Write one line to one stream, unless a fault says otherwise."""
        fault = self._faults.take("stream", now_s, subscription.kind)
        if fault is not None:
            until_s = now_s + fault.seconds
            if fault.kind == "stall":
                subscription.stalled_until_s = until_s
            elif fault.kind == "price_gap":
                subscription.gap_until_s = until_s
            elif fault.kind == "duplicate":
                subscription.duplicate_until_s = until_s
            else:
                subscription.buffer.append(encoded[: len(encoded) // 2])
                subscription.reset = True
                subscription.wake.set()
                self.close(subscription)
                return
        if now_s < subscription.stalled_until_s or (line == "data" and now_s < subscription.gap_until_s):
            return
        copies = 2 if now_s < subscription.duplicate_until_s else 1
        subscription.buffer.append(encoded * copies)
        subscription.lines += copies
        subscription.wake.set()


def encode(body: JSONObject) -> bytes:
    """One line."""
    return _encoder.encode(body).encode() + b"\n"
