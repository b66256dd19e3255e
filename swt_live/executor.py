"""Orders: the rules that no crash may break (`docs/contracts.md` §13).

1. The intent is in the journal before the order leaves, and **an intent is sent once**: `submit` is the
   only place that sends, with the client id that `Journal.write_intent` has just made unique.
2. After anything but a definite answer the intent stays OPEN. `resolve` reads the broker's log until it is
   seen filled, cancelled or rejected. Unseen, it is given up only by a complete read made after the
   quarantine; a failed read proves nothing. While an intent is open nothing new is sent, except an
   order that can only reduce what the broker says is there, when safety demands it.
3. A definite rejection is final.
4. What was filled is booked as it is; the ledger's events say when it is not what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from swt_broker.records import OrderRequest
from swt_core.clock import Clock
from swt_core.errors import BrokerError, Rejected, SafetyViolation
from swt_core.instruments import Instrument
from swt_live.journal import Journal
from swt_live.journal_records import Intent, IntentKind, IntentState
from swt_live.ledger import Ledger, LedgerEvent
from swt_live.ports import OrderBroker


@dataclass(frozen=True)
class PlannedOrder:
    """An order that somebody wants.

    Attributes:
        units: signed.
        reference_points: executable price now, 0 when no quote is known.
        bound_points: worst acceptable price; None: no bound.
        bar_time_s: the bar whose close decided it; 0 for forced orders.
    """

    kind: IntentKind
    units: int
    reason: str
    reference_points: int = 0
    bound_points: int | None = None
    bar_time_s: int = 0


@dataclass(frozen=True)
class OrderOutcome:
    """What is known of an order now."""

    intent: Intent
    events: tuple[LedgerEvent, ...]

    @property
    def state(self) -> IntentState:
        return self.intent.state


class Executor:
    """Sends orders, each once, and finds out what became of them."""

    def __init__(
        self,
        broker: OrderBroker,
        journal: Journal,
        ledger: Ledger,
        instrument: Instrument,
        clock: Clock,
        *,
        quarantine_s: float,
        may_enter: Callable[[], bool],
    ) -> None:
        self._broker = broker
        self._journal = journal
        self._ledger = ledger
        self._instrument = instrument
        self._clock = clock
        self._quarantine_s = quarantine_s
        self._may_enter = may_enter

    @property
    def undecided(self) -> list[Intent]:
        """Intents of which nobody knows what became."""
        return self._journal.open_intents()

    async def submit(self, order: PlannedOrder) -> OrderOutcome:
        """Journal an intent, send it once, book the answer.

        Raises:
            SafetyViolation: an earlier order is undecided, entries are forbidden, or nothing has been
                reconciled yet. Nothing was written or sent.
        """
        if order.kind is not IntentKind.REDUCE and self.undecided:
            raise SafetyViolation("an earlier order is undecided: nothing new is sent")
        if order.kind is IntentKind.ENTRY and not self._may_enter():
            raise SafetyViolation("entries are forbidden now")
        if self._ledger.cursor is None:
            raise SafetyViolation("nothing is sent before the first reconciliation")
        intent = self._journal.write_intent(
            order.kind,
            order.units,
            after_transaction_id=self._ledger.cursor,
            now_s=self._clock.time_s(),
            quarantine_s=self._quarantine_s,
            reference_points=order.reference_points,
            bar_time_s=order.bar_time_s,
            reason=order.reason,
        )
        return await self._send(intent, order)

    async def _send(self, intent: Intent, order: PlannedOrder) -> OrderOutcome:
        bound = order.bound_points
        request = OrderRequest(
            instrument=self._instrument.name,
            units=order.units,
            client_id=intent.client_id,
            position_fill="REDUCE_ONLY" if order.kind.reduces else "OPEN_ONLY",
            price_bound=None if bound is None else self._instrument.price_string(bound),
            tag="swt",
            comment=order.reason[:128],
        )
        started_s = self._clock.monotonic_s()
        try:
            result = await self._broker.create_order(request)
        except Rejected as refusal:
            detail = refusal.code or refusal.message
            self._journal.settle_intent(intent.client_id, IntentState.REJECTED, detail, self._clock.time_s())
            self._audit("order_rejected", f"{intent.client_id}: {detail}", started_s)
            return self._outcome(intent, [])
        except BrokerError as error:
            self._audit("outcome_unknown", f"{intent.client_id}: {error.message}", started_s)
            return self._outcome(intent, [])
        answered = [part for part in (result.create, result.fill, result.cancel) if part is not None]
        events = self._ledger.apply(answered, complete=False)
        self._audit("order_answered", intent.client_id, started_s)
        return self._outcome(intent, events)

    async def resolve(self) -> list[LedgerEvent]:
        """Read the broker's log for undecided intents; a read that fails leaves them as they are."""
        undecided = self.undecided
        if not undecided:
            return []
        started_s, asked_s = self._clock.monotonic_s(), self._clock.time_s()
        since = min(self._ledger.cursor or 0, *(intent.after_transaction_id for intent in undecided))
        try:
            transactions = await self._broker.transactions_since(since)
        except BrokerError as error:
            self._audit("resolve_failed", error.message, started_s)
            return []
        events = self._ledger.apply(transactions, complete=True)
        for intent in self.undecided:
            if asked_s >= intent.quarantine_until_s:
                self._journal.settle_intent(
                    intent.client_id, IntentState.GIVEN_UP, "unseen after quarantine", self._clock.time_s()
                )
                self._audit("order_given_up", intent.client_id, started_s)
        return events

    def _outcome(self, intent: Intent, events: list[LedgerEvent]) -> OrderOutcome:
        return OrderOutcome(self._journal.intent(intent.client_id) or intent, tuple(events))

    def _audit(self, event: str, detail: str, started_s: float) -> None:
        elapsed_ms = 1000.0 * (self._clock.monotonic_s() - started_s)
        self._journal.audit(self._clock.time_s(), event, detail, duration_ms=elapsed_ms)
