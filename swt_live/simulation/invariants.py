"""What must hold after every day, however bad it was; each invariant is a count that must be 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from swt_core.calendar import is_open
from swt_live.journal import Journal
from swt_live.journal_records import IntentKind, IntentState
from swt_live.simulation.bad_day import BadDay

# A position over the limit is closed within this much of the time in which it could be seen and closed.
OVERSIZE_S = 5.0
# After a fault on the wire the trader may be waiting for an answer, or for its next try.
_BLIND_AFTER_FAULT_S = 45.0
_RETRY_S = 30.0
_ON_THE_WIRE = frozenset({"request_lost", "answer_lost", "delay", "status", "non_json", "reset", "truncated"})


@dataclass(frozen=True)
class Violations:
    """How often each rule was broken.

    Attributes:
        duplicate_orders: orders sent a second time, or second entries for one bar.
        lost_intents: orders sent that the journal does not know, fills it did not book, intents of
            which the log tells what became and the journal does not.
        position_drift: the book's position differs from the broker's, or had to be corrected although
            the log explains everything, or a fill was booked as something else.
        oversize_positions: positions over the limit that lasted over 5 s though the trader could act.
        trades_while_stopped: entries that left while START_TRADING was missing or EMERGENCY_STOP there.
        undetected_foreign_trades: somebody else's fills that the journal does not call so.
        not_recovered: 1 when the calm end leaves the trader unreconciled or dead of an error.
    """

    duplicate_orders: int = 0
    lost_intents: int = 0
    position_drift: int = 0
    oversize_positions: int = 0
    trades_while_stopped: int = 0
    undetected_foreign_trades: int = 0
    not_recovered: int = 0

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


@dataclass(frozen=True)
class Evidence:
    """What is known when a day is over.

    Attributes:
        log: the broker's transactions.
        posted: client ids of the orders that left the trader, or arrived at the broker.
        book_units, broker_units: what the trader thinks is held, and what is.
        recovered: whether the trader ended alive and reconciled.
    """

    log: Sequence[Mapping[str, Any]]
    journal: Journal
    posted: Sequence[str]
    entries_while_stopped: int
    oversize: int
    book_units: int
    broker_units: int
    recovered: bool


def violations(day: BadDay) -> Violations:
    """The verdict on a simulated day."""
    assert day.journal is not None
    assert day.trader is not None
    account = day.server.exchange.account
    return judge(
        Evidence(
            log=account.log.entries,
            journal=day.journal,
            posted=day.record.posted,
            entries_while_stopped=len(day.record.entries_while_stopped),
            oversize=_oversize(day, _answered(day)),
            book_units=day.trader.book.units,
            broker_units=account.units,
            recovered=day.trader.reconciled and not day.record.failures,
        )
    )


def judge(evidence: Evidence) -> Violations:
    """Compare the broker's log, the journal and what was seen on the wire."""
    fills = {int(item["id"]): item for item in evidence.log if item["type"] == "ORDER_FILL"}
    own = {number: item["clientOrderID"] for number, item in fills.items() if "clientOrderID" in item}
    booked = {fill.transaction_id: fill for fill in evidence.journal.fills()}
    intents = {intent.client_id: intent for intent in evidence.journal.intents()}
    filled = [intents[client_id] for client_id in set(own.values()) if client_id in intents]
    bars = Counter(i.bar_time_s for i in intents.values() if i.kind is IntentKind.ENTRY and i.bar_time_s)
    drifts = [audit for audit in evidence.journal.audits() if audit[1].startswith("drift")]
    misbooked = [
        number
        for number, fill in booked.items()
        if number not in fills or fill.units != int(float(fills[number]["units"]))
    ]
    return Violations(
        duplicate_orders=sum(n - 1 for n in Counter(evidence.posted).values())
        + sum(n - 1 for n in bars.values()),
        lost_intents=len({*evidence.posted, *own.values()} - intents.keys())
        + sum(intent.state is IntentState.OPEN for intent in intents.values())
        + sum(intent.state is not IntentState.FILLED for intent in filled)
        + len(own.keys() - booked.keys()),
        position_drift=int(evidence.book_units != evidence.broker_units) + len(drifts) + len(misbooked),
        oversize_positions=evidence.oversize,
        trades_while_stopped=evidence.entries_while_stopped,
        undetected_foreign_trades=sum(
            number not in booked or booked[number].own for number in fills.keys() - own.keys()
        ),
        not_recovered=int(not evidence.recovered),
    )


def _answered(day: BadDay) -> set[str]:
    assert day.journal is not None
    return {detail for _, _, detail, _ in day.journal.audits("order_answered")}


def _oversize(day: BadDay, answered: set[str]) -> int:
    """Positions over the limit that lasted too long."""
    limit = day.config.trading_safety.max_position_units
    check_s = day.config.trading_safety.position_check_seconds
    account = day.server.exchange.account
    units, since_s, allowed_s, count = 0, None, 0.0, 0
    events = list(zip(account.log.times_s, account.log.entries, strict=True))
    excuses = _excuses(day)
    for time_s, item in [*events, (day.end_s, {"type": "END"})]:
        before = units
        if item["type"] == "ORDER_FILL":
            units += int(float(item["units"]))
        if abs(units) > limit and abs(before) <= limit:
            seen = item.get("clientOrderID") in answered
            since_s, allowed_s = time_s, OVERSIZE_S + (0.0 if seen else check_s)
        elif since_s is not None and (abs(units) <= limit or item["type"] == "END"):
            count += _unexcused(since_s, time_s, excuses) > allowed_s
            since_s = None
    return count


def _excuses(day: BadDay) -> list[tuple[float, float]]:
    """When nobody could have closed anything: trader dead, wire broken, market halted."""
    faults = [
        (at_s, at_s + _BLIND_AFTER_FAULT_S) for at_s, kind, _ in day.faults.struck if kind in _ON_THE_WIRE
    ]
    down = [(begin, end + OVERSIZE_S) for begin, end in day.record.down]
    halted = [(begin, end + _RETRY_S) for begin, end in day.record.halted]
    minutes = range(int(day.start_s), int(day.end_s), 60)
    closed = [(float(t), t + 60.0 + 60.0) for t in minutes if not is_open(t)]
    refused = [(at_s, at_s + _RETRY_S) for at_s, kind, _ in day.faults.struck if kind in ("cancel", "reject")]
    # The order rule itself: what is undecided blocks what is new until the quarantine is over.
    quarantine_s = day.config.live.quarantine_seconds + OVERSIZE_S
    assert day.journal is not None
    answered = _answered(day)
    waiting = [
        (intent.written_s, intent.written_s + quarantine_s)
        for intent in day.journal.intents()
        if intent.client_id not in answered
    ]
    return sorted([*faults, *down, *halted, *closed, *refused, *waiting])


def _unexcused(begin_s: float, end_s: float, excuses: list[tuple[float, float]]) -> float:
    """Seconds of ``[begin_s, end_s)`` outside all excuses."""
    total, at_s = 0.0, begin_s
    for start_s, stop_s in excuses:
        if stop_s <= at_s or start_s >= end_s:
            continue
        total += max(0.0, start_s - at_s)
        at_s = max(at_s, stop_s)
    return total + max(0.0, end_s - at_s)
