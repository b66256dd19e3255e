"""Faults on demand or by a seed: what goes wrong, where, how often. A plan is data.

A fault waits until market time ``at_s``, then strikes the next ``times`` occasions that match it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np

Kind = Literal[
    # requests: `match` is "METHOD /path prefix" or part of the path
    "request_lost",  # never handled, never answered
    "answer_lost",  # handled, never answered
    "delay",  # handled after `seconds` of event-loop time
    "status",  # answered `status` with a JSON error; handled first if `applied`
    "non_json",  # answered `status` (502) with HTML; handled first if `applied`
    "reset",  # connection lost in the answer; handled first if `applied`
    "truncated",  # a sinceid page ends after `units` transactions
    "not_found",  # an order or trade is not found although it exists
    # fills
    "partial_fill",  # `units` filled of an order
    "oversize_fill",  # `units` filled whatever was asked
    "cancel",  # the order is cancelled for `reason`
    "reject",  # the order is rejected for `reason`
    # streams, for `seconds` of market time from the occasion on
    "stall",  # nothing is written
    "price_gap",  # heartbeats go on, prices do not
    "duplicate",  # each line is written twice
    # streams, once
    "stream_reset",  # the connection is lost in the middle of a line
]
_POINTS: dict[str, frozenset[str]] = {
    "request": frozenset({"request_lost", "answer_lost", "delay", "status", "non_json", "reset"}),
    "reply": frozenset({"truncated", "not_found"}),
    "fill": frozenset({"partial_fill", "oversize_fill", "cancel"}),
    "order": frozenset({"reject"}),
    "stream": frozenset({"stall", "price_gap", "duplicate", "stream_reset"}),
}


@dataclass(frozen=True)
class Fault:
    """One kind of failure and when it strikes (see `Kind` for what each field means to whom)."""

    kind: Kind
    match: str = ""
    at_s: float = 0.0
    times: int = 1
    seconds: float = 0.0
    status: int = 503
    applied: bool = False
    units: int = 1
    reason: str = "INSUFFICIENT_LIQUIDITY"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown fault {self.kind!r}; one of {', '.join(get_args(Kind))}")

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Fault:
        """A fault from its JSON.

        Raises:
            ValueError: for unknown fields or an unknown kind.
        """
        unknown = set(body) - {item.name for item in fields(cls)}
        if unknown or "kind" not in body:
            raise ValueError(f"unknown fault fields {sorted(unknown)}" if unknown else "a fault needs a kind")
        return cls(**body)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class FaultPlan:
    """Faults to come, in the order they were added.

    Attributes:
        struck: (market time, kind, occasion) of each fault that struck, for the record.
    """

    waiting: list[Fault] = field(default_factory=list)
    struck: list[tuple[float, str, str]] = field(default_factory=list)
    _used: dict[int, int] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        """Plan one more fault."""
        self.waiting.append(fault)

    def clear(self) -> None:
        """Forget what has not struck yet."""
        self.waiting.clear()

    def take(self, point: str, now_s: float, occasion: str = "", only: str | None = None) -> Fault | None:
        """The fault that strikes here and now, if any; it is used up by ``times``.

        Args:
            point: request, reply, order, fill or stream.
            occasion: what ``match`` is looked for in, e.g. ``POST /v3/accounts/.../orders``.
            only: restrict to one kind.
        """
        for fault in self.waiting:
            if fault.kind not in _POINTS[point] or (only is not None and fault.kind != only):
                continue
            if now_s < fault.at_s or fault.match not in occasion:
                continue
            self.struck.append((now_s, fault.kind, occasion))
            used = self._used.get(id(fault), 0) + 1
            self._used[id(fault)] = used
            if used >= fault.times:
                self._used.pop(id(fault))
                self.waiting = [item for item in self.waiting if item is not fault]
            return fault
        return None


# What a schedule draws from: (fault, weight). Orders suffer most, because their outcome matters most.
_REPERTOIRE: tuple[tuple[Fault, float], ...] = (
    (Fault("request_lost", match="POST"), 2),
    (Fault("answer_lost", match="POST"), 3),
    (Fault("answer_lost", match="PUT"), 1),
    (Fault("delay", match="POST", seconds=3.0), 1),
    (Fault("delay", match="POST", seconds=30.0), 1),
    (Fault("status", match="POST", status=503), 1),
    (Fault("status", match="POST", status=504, applied=True), 2),
    (Fault("status", match="GET", status=503, times=3), 2),
    (Fault("status", match="GET", status=429), 1),
    (Fault("status", match="GET", status=401), 1),
    (Fault("non_json", match="POST", applied=True), 1),
    (Fault("non_json", match="GET"), 1),
    (Fault("reset", match="POST"), 1),
    (Fault("reset", match="POST", applied=True), 2),
    (Fault("truncated", units=1), 1),
    (Fault("not_found"), 1),
    (Fault("partial_fill", units=1), 1),
    (Fault("oversize_fill", units=66), 1),
    (Fault("cancel", reason="MARKET_HALTED"), 1),
    (Fault("reject", reason="INSUFFICIENT_MARGIN"), 1),
    (Fault("stall", match="pricing", seconds=45.0), 2),
    (Fault("price_gap", match="pricing", seconds=120.0), 1),
    (Fault("duplicate", match="pricing", seconds=60.0), 1),
    (Fault("stream_reset", match="pricing"), 2),
)


def seeded_faults(
    rng: np.random.Generator, start_s: float, end_s: float, faults_per_hour: float
) -> list[Fault]:
    """A schedule: Poisson arrivals over ``[start_s, end_s)``, kinds drawn from the whole repertoire."""
    weights = np.array([weight for _, weight in _REPERTOIRE])
    count = int(rng.poisson(faults_per_hour * (end_s - start_s) / 3600.0))
    times_s = np.sort(rng.uniform(start_s, end_s, count))
    kinds = rng.choice(len(_REPERTOIRE), size=count, p=weights / weights.sum())
    return [
        replace(_REPERTOIRE[int(kind)][0], at_s=float(at_s))
        for kind, at_s in zip(kinds, times_s, strict=True)
    ]
