"""The broker's transaction log, applied exactly once to journal, intents and position.

Every fill passes here, whether it came with the answer to an order, from `transactions_since` after an
unknown outcome, or from somebody else's hand. A transaction's id makes it idempotent; the client id says
whose it is. Whatever belongs to one call lands in one journal transaction, and so does what `on_events`
makes of it: a death between a fill and its consequences loses neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from swt_broker.records import Transaction
from swt_core.clock import Clock
from swt_core.instruments import Instrument
from swt_live.book import BookState, ClosedTrade, PositionBook
from swt_live.journal import Journal
from swt_live.journal_records import FillRecord, Intent, IntentKind, IntentState

BOOK_KEY = "book"
CURSOR_KEY = "cursor"


class Cursor(BaseModel):
    """Up to where the broker's log has been read."""

    model_config = ConfigDict(frozen=True)

    transaction_id: int


class LedgerEventKind(StrEnum):
    """What a transaction meant."""

    FILLED = "filled"
    LATE_FILL = "late_fill"  # of an intent that had been given up
    OVERSIZE_FILL = "oversize_fill"
    FOREIGN_FILL = "foreign_fill"
    NOT_FILLED = "not_filled"
    TRADE_CLOSED = "trade_closed"
    PNL_MISMATCH = "pnl_mismatch"


@dataclass(frozen=True)
class LedgerEvent:
    """One consequence of the log."""

    kind: LedgerEventKind
    transaction: Transaction
    intent: Intent | None = None
    closed: ClosedTrade | None = None
    slippage_pips: float = 0.0
    detail: str = ""


class Ledger:
    """Applies transactions; see the module's text."""

    def __init__(
        self,
        journal: Journal,
        book: PositionBook,
        instrument: Instrument,
        clock: Clock,
        *,
        fill_tolerance: float = 0.1,
        quote: Callable[[], tuple[int, int] | None] = lambda: None,
        on_events: Callable[[list[LedgerEvent]], None] = lambda _: None,
    ) -> None:
        self._on_events = on_events
        self._journal = journal
        self._book = book
        self._instrument = instrument
        self._clock = clock
        self._fill_tolerance = fill_tolerance
        self._quote = quote
        self._own_orders: dict[int, str] = {}
        known = journal.load(CURSOR_KEY, Cursor)
        self._cursor = None if known is None else known.transaction_id

    @property
    def cursor(self) -> int | None:
        """The last transaction applied; None before the first reconciliation of this journal."""
        return self._cursor

    def begin_at(self, transaction_id: int) -> None:
        """Start reading after ``transaction_id``: the very first reconciliation."""
        self._cursor = transaction_id
        self._journal.save(CURSOR_KEY, Cursor(transaction_id=transaction_id))

    def apply(self, transactions: Iterable[Transaction], *, complete: bool) -> list[LedgerEvent]:
        """Book what is new; ``complete`` when they are all of the log after the cursor."""
        ordered = sorted(transactions, key=lambda item: item.transaction_id)
        events: list[LedgerEvent] = []
        with self._journal.transaction():
            for transaction in ordered:
                events += self._one(transaction)
            if ordered:
                if complete:
                    self.begin_at(max(self._cursor or 0, ordered[-1].transaction_id))
                self.save_book()
            self._on_events(events)
        return events

    def save_book(self) -> None:
        """Keep the position in the journal."""
        self._journal.save(BOOK_KEY, self._book.state())

    def load_book(self) -> BookState | None:
        return self._journal.load(BOOK_KEY, BookState)

    def _one(self, transaction: Transaction) -> list[LedgerEvent]:
        client_id = transaction.client_order_id or self._own_orders.get(transaction.order_id or -1)
        intent = None if client_id is None else self._journal.intent(client_id)
        if intent is not None and transaction.order_id is not None:
            self._own_orders[transaction.order_id] = intent.client_id
        if transaction.is_fill:
            return self._fill(transaction, intent)
        if intent is not None and intent.state is IntentState.OPEN:
            if transaction.is_cancel:
                return [self._not_filled(transaction, intent, IntentState.CANCELLED)]
            if transaction.is_reject:
                return [self._not_filled(transaction, intent, IntentState.REJECTED)]
        return []

    def _not_filled(self, transaction: Transaction, intent: Intent, state: IntentState) -> LedgerEvent:
        detail = transaction.reject_reason or transaction.reason or transaction.type
        now_s = self._clock.time_s()
        self._journal.settle_intent(intent.client_id, state, detail, now_s)
        self._journal.audit(now_s, f"order_{state.value.lower()}", f"{intent.client_id}: {detail}")
        return LedgerEvent(LedgerEventKind.NOT_FILLED, transaction, intent, detail=detail)

    def _fill(self, transaction: Transaction, intent: Intent | None) -> list[LedgerEvent]:
        if self._journal.knows_fill(transaction.transaction_id):
            return []
        ours = transaction.instrument in (None, self._instrument.name)
        units = int(transaction.units or 0)
        if not ours or transaction.price is None or units == 0:
            detail = f"{transaction.units} {transaction.instrument} at {transaction.price}"
            self._journal.audit(self._clock.time_s(), LedgerEventKind.FOREIGN_FILL.value, detail)
            return [LedgerEvent(LedgerEventKind.FOREIGN_FILL, transaction, intent, detail=detail)]
        price = self._instrument.to_points(transaction.price)
        late = intent is not None and intent.state not in (IntentState.OPEN, IntentState.FILLED)
        record = FillRecord(
            transaction_id=transaction.transaction_id,
            client_id=None if intent is None else intent.client_id,
            time_s=transaction.time_s,
            units=units,
            requested_units=0 if intent is None else intent.units,
            price_points=price,
            opposite_points=self._opposite(transaction, units, price),
            own=intent is not None,
            late=late,
            slippage_pips=self._slippage_pips(intent, units, price),
        )
        self._journal.record_fill(record, transaction.raw)
        events = self._judge(transaction, intent, record)
        return events + self._book_fill(transaction, intent, record)

    def _judge(self, transaction: Transaction, intent: Intent | None, fill: FillRecord) -> list[LedgerEvent]:
        """Whose fill it is, and whether it is what was asked for."""
        now_s = self._clock.time_s()
        text = f"{fill.units} at {self._instrument.price_string(fill.price_points)}"
        if intent is None:
            text = f"{text} ({transaction.reason})"
            self._journal.audit(now_s, LedgerEventKind.FOREIGN_FILL.value, text)
            return [LedgerEvent(LedgerEventKind.FOREIGN_FILL, transaction, detail=text)]
        self._journal.settle_intent(intent.client_id, IntentState.FILLED, text, now_s)
        kind = LedgerEventKind.LATE_FILL if fill.late else LedgerEventKind.FILLED
        events = [LedgerEvent(kind, transaction, intent, slippage_pips=fill.slippage_pips, detail=text)]
        self._journal.audit(now_s, kind.value, f"{intent.client_id}: {text}")
        filled = self._journal.filled_units(intent.client_id)
        excess = abs(filled) > abs(intent.units) * (1.0 + self._fill_tolerance)
        if excess or filled * intent.units < 0:
            detail = f"{intent.client_id}: {filled} filled, {intent.units} asked for"
            self._journal.audit(now_s, LedgerEventKind.OVERSIZE_FILL.value, detail, action="entries halt")
            events.append(LedgerEvent(LedgerEventKind.OVERSIZE_FILL, transaction, intent, detail=detail))
        return events

    def _book_fill(
        self, transaction: Transaction, intent: Intent | None, fill: FillRecord
    ) -> list[LedgerEvent]:
        closed = self._book.apply_fill(
            fill.units,
            fill.price_points,
            fill.opposite_points,
            fill.time_s,
            slippage_pips=fill.slippage_pips,
            origin=fill.client_id or "foreign",
            forced=intent is None or intent.kind is IntentKind.REDUCE,
        )
        events = []
        for trade in closed:
            reason = f"foreign: {transaction.reason}" if intent is None else intent.reason
            self._journal.record_trade(trade.result, trade.units, reason)
            events.append(LedgerEvent(LedgerEventKind.TRADE_CLOSED, transaction, intent, closed=trade))
            events += self._cross_check(transaction, trade)
        return events

    def _cross_check(self, transaction: Transaction, trade: ClosedTrade) -> list[LedgerEvent]:
        """Our price profit of the closed units against the broker's, in quote currency.

        Only for a position made by one fill: of several the broker closes the oldest first, at its own
        price, while the book knows their average. Somebody else's fill is no mistake in our arithmetic.
        """
        stated = transaction.raw.get("quotePL")
        if stated is None or trade.result.entry_points == 0 or trade.fills != 1:
            return []
        points = (trade.result.exit_points - trade.result.entry_points) * trade.units
        ours = Decimal(points).scaleb(-self._instrument.display_precision)
        # The broker rounds to the currency's cents; an average entry is rounded to a point.
        tolerance = Decimal(abs(trade.units) + 1).scaleb(-self._instrument.display_precision) + Decimal(
            "0.01"
        )
        if abs(ours - Decimal(str(stated))) <= tolerance:
            return []
        detail = f"ours {ours}, the broker's {stated}"
        self._journal.audit(self._clock.time_s(), LedgerEventKind.PNL_MISMATCH.value, detail)
        return [LedgerEvent(LedgerEventKind.PNL_MISMATCH, transaction, detail=detail)]

    def _slippage_pips(self, intent: Intent | None, units: int, price: int) -> float:
        """How much worse than the executable price at sending; negative when better."""
        if intent is None or intent.reference_points == 0:
            return 0.0
        direction = 1 if units > 0 else -1
        return direction * (price - intent.reference_points) / self._instrument.points_per_pip

    def _opposite(self, transaction: Transaction, units: int, price: int) -> int:
        """The other side of the quote at the fill: from the fill itself, else the last quote known."""
        full = transaction.raw.get("fullPrice") or {}
        side, closeout = ("bids", "closeoutBid") if units > 0 else ("asks", "closeoutAsk")
        levels = full.get(side) or ()
        stated = levels[0]["price"] if levels else full.get(closeout)
        if stated is not None:
            return self._instrument.to_points(Decimal(str(stated)))
        quote = self._quote()
        return price if quote is None else quote[0 if units > 0 else 1]
