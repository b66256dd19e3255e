"""The broker is right: compare its account with the book, adopt what differs, and say so.

First a snapshot and the log since the cursor; from then on the account's changes, one answer that holds
the new transactions and the positions they changed. Fills in the log explain almost everything (late
fills, somebody else's trades, margin closeouts). What they do not explain is drift: a snapshot confirms
it, the broker's figure replaces ours, and what vanished without a fill is booked as an unexplained trade.
A failed query is a failed reconciliation: never a flat account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from swt_broker.records import AccountChanges, AccountSnapshot, Position
from swt_core.clock import Clock
from swt_core.errors import BrokerError, Unavailable
from swt_core.instruments import Instrument
from swt_live.book import ClosedTrade, PositionBook
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
    """The result of one comparison. Unless ``ok``, nothing is known.

    Attributes:
        unexplained: what the broker no longer holds though no fill closed it.
        seconds: how long it took.
    """

    ok: bool
    trigger: str
    drift: Drift = Drift.NONE
    broker_units: int = 0
    book_units: int = 0
    events: tuple[LedgerEvent, ...] = field(default=())
    snapshot: AccountSnapshot | None = None
    unexplained: ClosedTrade | None = None
    error: str = ""
    seconds: float = 0.0


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
    """Compares broker and book; see the module's text.

    Args:
        on_drift: what safety makes of a difference; called in the journal transaction that adopts it.
        snapshot_s: after so long the whole account is read again, not its changes.
    """

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
        on_drift: Callable[[Drift, int, int, ClosedTrade | None], None] = lambda *_: None,
        snapshot_s: float = 3600.0,
    ) -> None:
        self._on_drift = on_drift
        self._snapshot_s = snapshot_s
        self._known: AccountSnapshot | None = None
        self._known_s = 0.0
        self._broker = broker
        self._journal = journal
        self._ledger = ledger
        self._book = book
        self._instrument = instrument
        self._clock = clock
        self._quote = quote
        self.last_ok_s: float | None = None
        self.failures = 0

    @property
    def account(self) -> AccountSnapshot | None:
        """The account as last reconciled; None after a failure."""
        return self._known

    async def reconcile(self, trigger: str, *, whole: bool = True) -> Reconciliation:
        """One comparison; a failure is part of the result, not an exception.

        ``whole``: read the whole account; else its changes do, where a snapshot is known.
        """
        started_s = self._clock.monotonic_s()
        events: list[LedgerEvent] = []
        try:
            snapshot = None if whole else await self._changed(events)
            if snapshot is None or self._drift(snapshot) is not Drift.NONE:
                snapshot = await self._consistent(events)
                self._known_s = self._clock.monotonic_s()
        except BrokerError as error:
            self._known = None
            self.failures += 1
            self._audit("reconcile_failed", f"{trigger}: {error.message}", "", started_s)
            elapsed_s = self._clock.monotonic_s() - started_s
            return Reconciliation(
                False, trigger, events=tuple(events), error=error.message, seconds=elapsed_s
            )
        self._known = snapshot
        broker_units = int(snapshot.units(self._instrument.name))
        book_units = self._book.units
        drift, unexplained = self._drift(snapshot), None
        if drift is not Drift.NONE:
            with self._journal.transaction():
                unexplained = self._adopt(snapshot, broker_units)
                detail = f"{trigger}: the broker holds {broker_units}, the book {book_units}"
                self._audit(f"drift_{drift.value}", detail, "broker's position adopted", started_s)
                self._on_drift(drift, broker_units, book_units, unexplained)
        self._others(snapshot, started_s)
        self.last_ok_s = self._clock.time_s()
        self._audit("reconciled", f"{trigger}: {broker_units} units", "", started_s)
        return Reconciliation(
            True,
            trigger,
            drift,
            broker_units,
            book_units,
            tuple(events),
            snapshot,
            unexplained,
            seconds=self._clock.monotonic_s() - started_s,
        )

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

    async def _changed(self, events: list[LedgerEvent]) -> AccountSnapshot | None:
        """The account from what was known of it and its changes since; None where that cannot be told.

        Raises:
            BrokerError: the changes cannot be read.
        """
        known = self._known
        if known is None or self._clock.monotonic_s() - self._known_s >= self._snapshot_s:
            return None
        changes = await self._broker.changes(known.last_transaction_id)
        events += self._ledger.apply(changes.transactions, complete=True)
        ids = [item.transaction_id for item in changes.transactions]
        if max(ids, default=known.last_transaction_id) != changes.last_transaction_id:
            return None  # a page is missing: the snapshot's way reads the log to its end
        return _updated(known, changes)

    def _drift(self, snapshot: AccountSnapshot) -> Drift:
        return classify(self._book.units, int(snapshot.units(self._instrument.name)))

    def _adopt(self, snapshot: AccountSnapshot, units: int) -> ClosedTrade | None:
        """Take the broker's position; returns what vanished, booked at the last price known."""
        position = next((p for p in snapshot.positions if p.instrument == self._instrument.name), None)
        average = 0 if position is None else self._average_points(position, units)
        quote, now_s = self._quote(), self._clock.time_s()
        exit_points = self._book.exit_points if quote is None else quote[0 if self._book.units > 0 else 1]
        gone = self._book.write_off(units, exit_points, now_s)
        if gone is not None:
            reason = "unexplained: the broker no longer holds it, and no fill says why"
            self._journal.record_trade(gone.result, gone.units, reason, unexplained=True)
        opposite = average if quote is None else quote[0 if units > 0 else 1]
        self._book.adopt(units, average, opposite, now_s, "adopted")
        self._ledger.save_book()
        return gone

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


def _updated(known: AccountSnapshot, changes: AccountChanges) -> AccountSnapshot:
    """A snapshot brought forward by the changes since."""
    positions = {item.instrument: item for item in known.positions}
    positions |= {item.instrument: item for item in changes.positions}
    balances = (item.raw.get("accountBalance") for item in reversed(changes.transactions))
    balance = next((Decimal(str(stated)) for stated in balances if stated is not None), known.balance)
    return replace(
        known,
        balance=balance,
        nav=changes.nav,
        unrealized_pl=changes.unrealized_pl,
        margin_used=changes.margin_used,
        last_transaction_id=changes.last_transaction_id,
        positions=tuple(item for item in positions.values() if item.units),
    )
