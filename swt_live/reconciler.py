"""The broker is right: compare its account with the book, adopt what differs, and say so.

Snapshot first, then the log since the cursor. Fills in the log explain almost everything (late fills,
somebody else's trades, margin closeouts); what they do not explain is drift, and the broker's figure
replaces ours. A failed query is a failed reconciliation: never a flat account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from swt_broker.records import AccountSnapshot, Position
from swt_core.clock import Clock
from swt_core.errors import BrokerError, Unavailable
from swt_core.instruments import Instrument
from swt_live.book import PositionBook
from swt_live.journal import Journal
from swt_live.ledger import Ledger, LedgerEvent
from swt_live.ports import OrderBroker

_SNAPSHOT_TRIES = 3


class Drift(StrEnum):
    """How the broker's position differs from what the log explains."""

    NONE = "none"
    MISSING = "missing"  # we hold, the broker is flat
    UNEXPECTED = "unexpected"  # we are flat, the broker holds
    DIRECTION = "direction"
    SIZE = "size"


@dataclass(frozen=True)
class Reconciliation:
    """The result of one comparison. Unless ``ok``, nothing is known."""

    ok: bool
    trigger: str
    drift: Drift = Drift.NONE
    broker_units: int = 0
    book_units: int = 0
    events: tuple[LedgerEvent, ...] = field(default=())
    snapshot: AccountSnapshot | None = None
    error: str = ""


def classify(book_units: int, broker_units: int) -> Drift:
    """Which kind of difference there is between two signed positions."""
    if book_units == broker_units:
        return Drift.NONE
    if broker_units == 0:
        return Drift.MISSING
    if book_units == 0:
        return Drift.UNEXPECTED
    return Drift.SIZE if (book_units > 0) == (broker_units > 0) else Drift.DIRECTION


class Reconciler:
    """Compares broker and book; see the module's text."""

    def __init__(
        self,
        broker: OrderBroker,
        journal: Journal,
        ledger: Ledger,
        book: PositionBook,
        instrument: Instrument,
        clock: Clock,
        *,
        quote: Callable[[], tuple[int, int] | None] = lambda: None,
    ) -> None:
        self._broker = broker
        self._journal = journal
        self._ledger = ledger
        self._book = book
        self._instrument = instrument
        self._clock = clock
        self._quote = quote
        self.last_ok_s: float | None = None
        self.failures = 0

    async def reconcile(self, trigger: str) -> Reconciliation:
        """One comparison; a failure is part of the result, not an exception."""
        started_s = self._clock.monotonic_s()
        events: list[LedgerEvent] = []
        try:
            snapshot = await self._consistent(events)
        except BrokerError as error:
            self.failures += 1
            self._audit("reconcile_failed", f"{trigger}: {error.message}", "", started_s)
            return Reconciliation(False, trigger, events=tuple(events), error=error.message)
        broker_units = int(snapshot.units(self._instrument.name))
        book_units = self._book.units
        drift = classify(book_units, broker_units)
        if drift is not Drift.NONE:
            self._adopt(snapshot, broker_units)
            detail = f"{trigger}: the broker holds {broker_units}, the book {book_units}"
            self._audit(f"drift_{drift.value}", detail, "broker's position adopted", started_s)
        self._others(snapshot, started_s)
        self.last_ok_s = self._clock.time_s()
        self._audit("reconciled", f"{trigger}: {broker_units} units", "", started_s)
        return Reconciliation(True, trigger, drift, broker_units, book_units, tuple(events), snapshot)

    async def broker_units(self) -> int:
        """What the broker says is held now, in signed units.

        Raises:
            BrokerError: it did not say. That is not 'flat'.
        """
        positions = await self._broker.open_positions()
        return int(sum((p.units for p in positions if p.instrument == self._instrument.name), Decimal(0)))

    async def _consistent(self, events: list[LedgerEvent]) -> AccountSnapshot:
        """A snapshot and a log that end at the same transaction.

        Raises:
            BrokerError: one of them cannot be read, or they never end together: a fill that is in one only
                would be taken for drift, and booked again when the other brings it.
        """
        snapshot = await self._broker.account()
        if self._ledger.cursor is None:
            self._ledger.begin_at(snapshot.last_transaction_id)
            return snapshot
        for _ in range(_SNAPSHOT_TRIES):
            transactions = await self._broker.transactions_since(self._ledger.cursor)
            events += self._ledger.apply(transactions, complete=True)
            if self._ledger.cursor == snapshot.last_transaction_id:
                return snapshot
            snapshot = await self._broker.account()
            if self._ledger.cursor == snapshot.last_transaction_id:
                return snapshot
        raise Unavailable(
            f"the log ends at {self._ledger.cursor}, the account at {snapshot.last_transaction_id}"
        )

    def _adopt(self, snapshot: AccountSnapshot, units: int) -> None:
        position = next((p for p in snapshot.positions if p.instrument == self._instrument.name), None)
        average = 0 if position is None else self._average_points(position, units)
        quote = self._quote()
        opposite = average if quote is None else quote[0 if units > 0 else 1]
        with self._journal.transaction():
            self._book.adopt(units, average, opposite, self._clock.time_s(), "adopted")
            self._ledger.save_book()

    def _average_points(self, position: Position, units: int) -> int:
        side = position.long if units > 0 else position.short
        return 0 if side.average_price is None else self._instrument.to_points(side.average_price)

    def _others(self, snapshot: AccountSnapshot, started_s: float) -> None:
        """Exposure that is not ours to manage is at least reported."""
        others = [p for p in snapshot.positions if p.instrument != self._instrument.name and p.units]
        if others or snapshot.pending_order_count:
            names = ", ".join(f"{p.units} {p.instrument}" for p in others) or "none"
            detail = f"positions: {names}; pending orders: {snapshot.pending_order_count}"
            self._audit("foreign_exposure", detail, "reported", started_s)

    def _audit(self, event: str, detail: str, action: str, started_s: float) -> None:
        elapsed_ms = 1000.0 * (self._clock.monotonic_s() - started_s)
        self._journal.audit(self._clock.time_s(), event, detail, action=action, duration_ms=elapsed_ms)
