"""What must hold after every day, however bad it was; each invariant is a count that must be 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from swt_live.journal import Journal
from swt_live.journal_records import IntentKind, IntentState
from swt_live.simulation.bad_day import BadDay
from swt_live.simulation.exposure import not_flat_after_emergency, oversize


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
        not_flat_after_emergency: positions still open 30 s after EMERGENCY_STOP (5 s where the position was
            known) though the trader could act.
        not_recovered: 1 when the calm end leaves the trader unreconciled or dead of an error.
    """

    duplicate_orders: int = 0
    lost_intents: int = 0
    position_drift: int = 0
    oversize_positions: int = 0
    trades_while_stopped: int = 0
    undetected_foreign_trades: int = 0
    not_flat_after_emergency: int = 0
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
    open_after_emergency: int = 0


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
            oversize=oversize(day),
            open_after_emergency=not_flat_after_emergency(day),
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
        not_flat_after_emergency=evidence.open_after_emergency,
        not_recovered=int(not evidence.recovered),
    )
