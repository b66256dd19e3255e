"""What the journal holds, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class IntentKind(StrEnum):
    """Why an order is sent."""

    ENTRY = "ENTRY"
    CLOSE = "CLOSE"  # decided by the agent
    REDUCE = "REDUCE"  # demanded by safety, a flag, the week's end or a reconciliation

    @property
    def reduces(self) -> bool:
        return self is not IntentKind.ENTRY


class IntentState(StrEnum):
    """What became of an intent; OPEN means nobody knows yet."""

    OPEN = "OPEN"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    GIVEN_UP = "GIVEN_UP"  # unseen after the quarantine; a fill may still turn up


@dataclass(frozen=True)
class Intent:
    """One order that was, or may have been, sent.

    Attributes:
        units: signed units asked for.
        after_transaction_id: the last broker transaction known when it was written; its own are later.
        reference_points: executable price when it was written (0: unknown), against which slippage counts.
        quarantine_until_s: until when, unseen, it blocks every new order.
    """

    client_id: str
    kind: IntentKind
    units: int
    after_transaction_id: int
    written_s: float
    quarantine_until_s: float
    reference_points: int
    bar_time_s: int
    reason: str
    state: IntentState = IntentState.OPEN
    detail: str = ""


@dataclass(frozen=True)
class FillRecord:
    """A fill as it was booked."""

    transaction_id: int
    client_id: str | None
    time_s: float
    units: int
    requested_units: int
    price_points: int
    opposite_points: int
    own: bool
    late: bool
    slippage_pips: float


@dataclass(frozen=True)
class BarRecord:
    """One bar as it was known at some moment; a correction is a new record."""

    time_s: int
    open_hp: int
    high_hp: int
    low_hp: int
    close_hp: int
    spread_open: int
    spread_close: int
    volume: int
    source: str


@dataclass(frozen=True)
class DecisionRecord:
    """One decision with everything needed to recompute it.

    Attributes:
        bars_id: the last bar record known: the window is made of records up to it.
        position: the kernel's row before the decision.
        outcome: what was done about it (``sent``, ``none``, ``vetoed: …``).
    """

    bar_time_s: int
    decided_s: float
    bars_id: int
    bars_sha256: str
    observation_sha256: str
    feature_version: str
    model_hash: str
    position: tuple[float, ...]
    mask: tuple[bool, ...]
    action: int
    searched_action: int
    confidence: float
    root_value: float
    visit_counts: tuple[int, ...]
    bid_close: int
    ask_close: int
    latency_ms: float
    outcome: str
