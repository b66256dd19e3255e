"""The order desk: flags, permissions, duties, and everything that is sent to the broker or heard from it.

It owns what may never contradict itself: book, ledger, safety, executor and reconciler. The trader above
it decides; the desk says whether that may be done, does it, and does what must be done regardless.
"""

from __future__ import annotations

import math

from swt_core.errors import BrokerError, StateError
from swt_live.book import ClosedTrade, PositionBook
from swt_live.duties import Duty
from swt_live.duties import duty as strictest_duty
from swt_live.executor import Executor, PlannedOrder
from swt_live.feed import PriceFeed
from swt_live.journal_records import IntentKind, IntentState
from swt_live.ledger import Ledger, LedgerEvent, LedgerEventKind
from swt_live.market_hours import MarketHours
from swt_live.model_keeper import ModelKeeper
from swt_live.order_prices import closing_prices, entry_prices
from swt_live.reconciler import Drift, Reconciler
from swt_live.safety import SafetyMonitor, TradingState
from swt_live.trader_parts import EMERGENCY_FLAG, START_FLAG, Flags, Timers, TraderCounters, TraderParts

CLOSED_POLL_S = 60.0
# After these the account's changes are read; after anything more doubtful, the whole account.
_BY_CHANGES = frozenset({"order", "periodic"})
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class OrderDesk:
    """Sends, books, reconciles, forbids; see the module's text.

    Attributes:
        reconciled: whether broker and journal agreed when they were last compared.
        duty: what must be done about the position, if anything.
        broker_units: what the broker said last that it holds; None before it said anything.
        broker_lost_s: since when its position could not be read; None while it can.
        disk_low: too little is free to go on writing; entries stop.
    """

    def __init__(self, parts: TraderParts, feed: PriceFeed, hours: MarketHours, models: ModelKeeper) -> None:
        self.parts = parts
        self.feed = feed
        self.hours = hours
        self.models = models
        config, journal, clock = parts.config, parts.journal, parts.clock
        self.flags = Flags()
        self.timers = Timers()
        self.counters = TraderCounters()
        self.reconciled = False
        self.duty: Duty | None = None
        self.broker_units: int | None = None
        self.broker_lost_s: float | None = None
        self.disk_low = False
        self._emergency_done = False
        # The next order of an emergency goes by the book: nothing is asked first.
        self._unasked = True
        self.book = PositionBook(parts.instrument, config.trading)
        self.ledger = Ledger(
            journal,
            self.book,
            parts.instrument,
            clock,
            fill_tolerance=config.trading_safety.fill_tolerance,
            quote=self.feed.last_quote,
            on_events=self.on_events,
        )
        self.safety = SafetyMonitor(
            config.trading_safety,
            journal,
            clock,
            parts.alerts,
            units=config.trading.units,
            open_pips=self.open_pips,
        )
        self.executor = Executor(
            parts.broker,
            journal,
            self.ledger,
            parts.instrument,
            clock,
            quarantine_s=config.live.quarantine_seconds,
            may_enter=lambda: self.veto() is None,
        )
        self.reconciler = Reconciler(
            parts.broker,
            journal,
            self.ledger,
            self.book,
            parts.instrument,
            clock,
            quote=self.feed.last_quote,
            on_drift=self._on_drift,
            snapshot_s=60.0 * config.live.snapshot_minutes,
        )

    @property
    def state(self) -> TradingState:
        """What is allowed now."""
        return self.safety.state(started=self.flags.started and not self.flags.emergency)

    def read_flags(self) -> None:
        """A directory that cannot be read says nothing: entries stop, nothing else changes."""
        try:
            started = self.parts.directory.flag(START_FLAG)
            emergency = self.parts.directory.flag(EMERGENCY_FLAG)
        except StateError as error:
            self.flags.readable = False
            self.note("flags_unreadable", error.message)
            return
        self.flags.readable = True
        if (started, emergency) != (self.flags.started, self.flags.emergency):
            self.note("flags", f"START_TRADING {started}, EMERGENCY_STOP {emergency}")
            self._emergency_done = False
            if emergency and not self.flags.emergency:
                # It does not wait for the next try of whatever was to be closed anyway.
                self.timers.duty_s, self._unasked = -math.inf, True
        self.flags.started, self.flags.emergency = started, emergency
        if emergency:
            self.safety.halt("EMERGENCY_STOP", by_person=True)
        self.safety.on_flags(started=started, emergency=emergency)

    def veto(self) -> str | None:
        """Why no position may be opened now, asked again right before an order leaves."""
        now_s = self.parts.clock.time_s()
        self.read_flags()
        if not self.flags.readable:
            return "the flags cannot be read"
        if self.flags.emergency:
            return "EMERGENCY_STOP"
        if not self.flags.started:
            return "not started"
        refusal = self.safety.entry_refusal()
        if refusal is not None:
            return refusal
        if not self.reconciled:
            return "not reconciled"
        if self.executor.undecided:
            return "an order is undecided"
        if self.book.units or self.duty is not None:
            return "a position has to be closed"
        if now_s >= self.models.authorised_until_s:
            return "the model's verdict has expired"
        if self.disk_low:
            return "too little disk is free"
        return self._price_veto()

    def _price_veto(self) -> str | None:
        """The spread may have widened since the bar closed."""
        quote = self.feed.quote()
        if quote is None:
            return "no quote"
        spread_pips = (quote[1] - quote[0]) / self.parts.instrument.points_per_pip
        return "spread" if spread_pips > self.parts.config.trading.max_entry_spread_pips else None

    async def submit(self, order: PlannedOrder) -> IntentState:
        outcome = await self.executor.submit(order)
        self.counters.orders += 1
        if outcome.state is IntentState.OPEN:
            await self.executor.resolve()
        await self.reconcile("order")
        await self.serve_duty()
        return outcome.state

    def prices(self, kind: IntentKind, units: int) -> tuple[int, int | None]:
        """Executable price now (0: unknown) and the worst acceptable one; see `swt_live.order_prices`."""
        live, instrument = self.parts.config.live, self.parts.instrument
        if kind is IntentKind.ENTRY:
            return entry_prices(units, self.feed.quote(), live.price_bound_pips, instrument)
        return closing_prices(
            units,
            fresh=self.feed.quote(),
            last=self.feed.last_quote(),
            marked_points=self.book.exit_points,
            distance_pips=live.close_bound_pips,
            tries=max(0, self.timers.tries - 1),
            instrument=instrument,
        )

    async def serve_duty(self) -> None:
        """Do what must be done about the position, on the broker's word about it."""
        now_s = self.parts.clock.time_s()
        self.duty = self._current_duty(now_s)
        if self.duty is None:
            self.timers.tries, self.timers.duty_s, self._unasked = 0, -math.inf, True
            return
        if now_s < self.timers.duty_s or not self._may_serve(self.duty, now_s):
            return
        wait_s = _RETRY_S[min(self.timers.tries, len(_RETRY_S) - 1)]
        self.timers.tries += 1
        self.timers.duty_s = now_s + (wait_s if self.hours.is_open(now_s) else CLOSED_POLL_S)
        held = await self._held(self.duty)
        if held is None:
            return
        if held != self.book.units and not self.executor.undecided:
            await self.reconcile("duty")
        excess = abs(held) - self.duty.target_units
        if excess <= 0:
            if held == 0 and not self.executor.undecided:
                self._emergency_done = self.flags.emergency
                self.safety.flattened()
            self.duty, self.timers.tries = None, 0
            return
        order = -excess if held > 0 else excess
        reference, bound = self.prices(IntentKind.REDUCE, order)
        reason = self.duty.reason
        self.note("reduce", f"{reason}: {held} held, sending {order}")
        await self.executor.submit(PlannedOrder(IntentKind.REDUCE, order, reason, reference, bound))
        self.counters.orders += 1
        await self.reconcile("order")

    async def _held(self, wanted: Duty) -> int | None:
        """What has to be reduced from: the broker's word, for which EMERGENCY_STOP does not wait first.

        Its first order, and one after a query that failed, goes by the book: it can only reduce, so a
        wrong book opens nothing, and the next try asks again.
        """
        by_the_book = self.flags.emergency and wanted.target_units == 0 and self.book.units != 0
        if by_the_book and self._unasked:
            self._unasked = False
            return self.book.units
        try:
            return await self._ask_units()
        except BrokerError as error:
            self.note("position_query_failed", f"{wanted.reason}: {error.message}")
            return self.book.units if by_the_book else None

    async def _ask_units(self) -> int:
        try:
            self.broker_units = await self.reconciler.broker_units()
        except BrokerError:
            if self.broker_lost_s is None:
                self.broker_lost_s = self.parts.clock.time_s()
            raise
        self.broker_lost_s = None
        return self.broker_units

    def _current_duty(self, now_s: float) -> Duty | None:
        emergency = self.flags.emergency and not (self._emergency_done and self.book.units == 0)
        return strictest_duty(
            self.parts.config,
            self.book,
            self.parts.journal,
            self.safety,
            now_s=now_s,
            started=self.flags.started,
            emergency=emergency,
            orphaned=self.models.orphaned,
        )

    def _may_serve(self, wanted: Duty, now_s: float) -> bool:
        """Only an urgent duty passes an undecided order.

        It passes an undecided reduction when all is to be closed: two orders that can only reduce end
        flat. On the way to a smaller position they might end below it.
        """
        if self.ledger.cursor is None:
            return False
        undecided = self.executor.undecided
        reducing = any(intent.kind.reduces for intent in undecided)
        if undecided and (not wanted.urgent or (reducing and wanted.target_units)):
            return False
        return wanted.urgent or self.hours.is_open(now_s)

    async def check_position(self) -> None:
        try:
            held = await self._ask_units()
        except BrokerError as error:
            self.note("position_query_failed", error.message)
            return
        within = self.safety.check_position(held)
        if (held != self.book.units or not within) and not self.executor.undecided:
            await self.reconcile("position check")

    async def reconcile(self, trigger: str) -> None:
        result = await self.reconciler.reconcile(trigger, whole=trigger not in _BY_CHANGES)
        now_s, live = self.parts.clock.time_s(), self.parts.config.live
        # What a failed query leaves unknown stays unknown: no entries until one succeeds.
        self.reconciled = result.ok
        self.timers.reconcile_s = now_s + (60.0 * live.reconcile_minutes if result.ok else 5.0)
        if result.ok:
            self.broker_units = result.broker_units
        self.parts.on_reconciled(result)

    def _on_drift(self, drift: Drift, broker_units: int, book_units: int, gone: ClosedTrade | None) -> None:
        """A position that came or went without a fill: nobody knows why, so a person has to look."""
        if gone is not None:
            self.safety.on_closed(gone)
        self.safety.halt(f"the broker held {broker_units} units, the book {book_units}")
        self.parts.alerts.alert("drift", f"{drift.value}: {book_units} → {broker_units}")

    def on_events(self, events: list[LedgerEvent]) -> None:
        """What safety makes of the log; called while the journal still holds it all in one transaction."""
        for event in events:
            if event.closed is not None:
                self.safety.on_closed(event.closed)
            if event.kind in (LedgerEventKind.FILLED, LedgerEventKind.LATE_FILL):
                self.parts.on_fill(event)
                self.safety.check_slippage(event.slippage_pips)
            if event.kind is LedgerEventKind.OVERSIZE_FILL:
                self.safety.violation("oversize", event.detail)
                self.safety.halt(f"oversize fill: {event.detail}")
            if event.kind is LedgerEventKind.FOREIGN_FILL:
                self.safety.halt(f"somebody else traded: {event.detail}")
            if event.kind in (LedgerEventKind.LATE_FILL, LedgerEventKind.PNL_MISMATCH):
                self.parts.alerts.alert(event.kind.value, event.detail)

    def open_pips(self) -> float:
        """Open profit in pips at the configured order size."""
        return self.book.equity_pips * abs(self.book.units) / self.parts.config.trading.units

    def note(self, event: str, detail: str) -> None:
        self.parts.journal.audit(self.parts.clock.time_s(), event, detail)
