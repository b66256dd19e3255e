"""The live trader: an asyncio program that is started and recovered the same way (crash-only).

One task does everything that matters, in one order, and sleeps only on the injected clock; a second task
reads the price stream. A step: flags, feed, undecided orders, duties, the decision of the minute, then
checks and housekeeping. Start-up is the first step with nothing reconciled: until the broker has been
compared with the journal, nothing trades.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from swt_core.calendar import MINUTE_S
from swt_core.clock import AsyncClock
from swt_core.config import SWTConfig
from swt_core.errors import BrokerError, CheckpointError, DataError, SafetyViolation, StateError
from swt_core.instruments import Instrument
from swt_core.position import BUY, CLOSE, SELL
from swt_core.state import StateDirectory
from swt_live.book import PositionBook
from swt_live.decider import DecisionPoint, decide
from swt_live.duties import Duty, duty
from swt_live.executor import Executor, PlannedOrder
from swt_live.feed import PriceFeed
from swt_live.journal import Journal
from swt_live.journal_records import DecisionRecord, IntentKind, IntentState
from swt_live.ledger import Ledger, LedgerEvent, LedgerEventKind
from swt_live.market_hours import MarketHours
from swt_live.models import LoadedModel, ModelSource
from swt_live.ports import Alerts, Broker, Features, PriceStream
from swt_live.reconciler import Drift, Reconciler, Reconciliation
from swt_live.safety import SafetyMonitor, TradingState
from swt_live.window import LiveWindow

START_FLAG = "START_TRADING"
EMERGENCY_FLAG = "EMERGENCY_STOP"

# A decision so long after it was due is no longer the decision of that bar: its order would not fill at
# the next open.
LATEST_DECISION_S = 4.0
MODEL_CHECK_S = 60.0
CANDLE_CHECK_AFTER_S = 20.0
# The feed opens this long before the market, and stays open over a closure not longer than that.
FEED_LEAD_S = 600.0
CLOSED_POLL_S = 60.0
# A forced order may fill this many times farther away than a decided one: being flat matters more.
FORCED_BOUND_FACTOR = 10.0
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class TraderParts:
    """What the trader is made of; everything that touches the world comes from outside."""

    config: SWTConfig
    instrument: Instrument
    broker: Broker
    clock: AsyncClock
    journal: Journal
    directory: StateDirectory
    features: Features
    models: ModelSource
    alerts: Alerts
    rng: np.random.Generator
    lookback: int = 256
    on_decision: Callable[[DecisionPoint], None] = lambda _: None
    on_stream: Callable[[PriceStream | None], None] = lambda _: None
    on_step: Callable[[LiveTrader], None] = lambda _: None


@dataclass
class Flags:
    """What the person wants, as last seen."""

    started: bool = False
    emergency: bool = False


@dataclass
class Timers:
    """When each thing is due next, UTC epoch seconds."""

    reconcile_s: float = -math.inf
    position_check_s: float = -math.inf
    model_s: float = -math.inf
    duty_s: float = -math.inf
    collect_s: float = -math.inf
    compare_s: float = math.inf
    tries: int = 0


@dataclass
class TraderCounters:
    """What the trader has done since it was started."""

    decisions: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    vetoes: dict[str, int] = field(default_factory=dict)


class LiveTrader:
    """Trades one instrument on one account. `run` returns after `stop`; a crash needs no goodbye."""

    def __init__(self, parts: TraderParts) -> None:
        self.parts = parts
        config, journal, clock = parts.config, parts.journal, parts.clock
        self.hours = MarketHours()
        self.flags = Flags()
        self.timers = Timers()
        self.counters = TraderCounters()
        self.book = PositionBook(parts.instrument, config.trading)
        self.feed = PriceFeed(
            parts.broker,
            parts.instrument,
            clock,
            parts.rng,
            stale_after_s=config.live.stale_after_seconds,
            on_stream=parts.on_stream,
        )
        self.ledger = Ledger(
            journal,
            self.book,
            parts.instrument,
            clock,
            fill_tolerance=config.trading_safety.fill_tolerance,
            quote=self.feed.last_quote,
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
            may_enter=lambda: self._veto() is None,
        )
        self.reconciler = Reconciler(
            parts.broker, journal, self.ledger, self.book, parts.instrument, clock, quote=self.feed.last_quote
        )
        self._latest_s = config.live.decision_delay_seconds + LATEST_DECISION_S
        self.window = LiveWindow(
            parts.instrument, journal, self.book, lookback=parts.lookback, stale_after_s=self._latest_s
        )
        self.model: LoadedModel | None = None
        self.model_refusals: tuple[str, ...] = ()
        self.reconciled = False
        self.last_point: DecisionPoint | None = None
        self._duty: Duty | None = None
        self._emergency_done = False
        self._orphaned = False
        self._decided_s = 0
        self._collected_s = 0
        self._stopping = False
        self._sleeper: asyncio.Future[None] | None = None
        self._restored = False

    # -- life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Trade until `stop` is called."""
        while not self._stopping:
            await self.step()
            self.parts.on_step(self)
            if self._stopping:
                break
            self._sleeper = asyncio.ensure_future(self.parts.clock.sleep_until(self.next_wake_s()))
            try:
                await self._sleeper
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
        await self.feed.disconnect("the trader stops")
        self.parts.on_step(self)

    def stop(self) -> None:
        """End after the step in progress. A position stays as it is; the next start reconciles it."""
        self._stopping = True
        if self._sleeper is not None:
            self._sleeper.cancel()

    async def step(self) -> None:
        """Everything that is due now, in order."""
        if not self._restored:
            self._restore()
        now_s = self.parts.clock.time_s()
        self._read_flags()
        if not self.reconciled and now_s >= self.timers.reconcile_s:
            await self._reconcile("start")
        await self._keep_feed(now_s)
        if self.executor.undecided:
            self._on_events(await self.executor.resolve())
        await self._serve_duty()
        await self._minute()
        await self._checks()

    def next_wake_s(self) -> float:
        """When there is something to do again; always in the future."""
        now_s, timers, live = self.parts.clock.time_s(), self.timers, self.parts.config.live
        if self.executor.undecided or self._duty is not None or self.book.units:
            poll_s = live.flag_poll_seconds
        elif not self.hours.is_open(now_s):
            poll_s = CLOSED_POLL_S
        else:
            poll_s = live.flag_poll_seconds if self.flags.started else 5.0 * live.flag_poll_seconds
        if self.book.units and not self.hours.is_open(now_s) and self._duty is None:
            poll_s = max(poll_s, 5.0)
        due = [now_s + poll_s, timers.position_check_s, timers.compare_s]
        if self._feed_wanted(now_s):
            minute_s = int(now_s - live.decision_delay_seconds) // MINUTE_S * MINUTE_S
            due += [minute_s + MINUTE_S + live.decision_delay_seconds, timers.collect_s]
            due += [self.feed.reconnect_s, now_s + live.stale_after_seconds / 2.0]
        if not self.reconciled:
            due.append(timers.reconcile_s)
        if self._duty is not None:
            due.append(timers.duty_s)
        return min(at_s for at_s in due if at_s > now_s)

    @property
    def state(self) -> TradingState:
        return self.safety.state(started=self.flags.started and not self.flags.emergency)

    def _restore(self) -> None:
        now_s = self.parts.clock.time_s()
        self.feed.start_after(self.window.restore(self.ledger.load_book(), now_s))
        self._decided_s = self.parts.journal.last_decision_bar_s()
        self.parts.journal.audit(now_s, "start", f"{self.book.units} units in the journal")
        self._restored = True

    def _read_flags(self) -> None:
        """A directory that cannot be read says nothing: entries stop, nothing else changes."""
        try:
            started = self.parts.directory.flag(START_FLAG)
            emergency = self.parts.directory.flag(EMERGENCY_FLAG)
        except StateError as error:
            self.flags.started = False
            self._note("flags_unreadable", error.message)
            return
        if (started, emergency) != (self.flags.started, self.flags.emergency):
            self._note("flags", f"START_TRADING {started}, EMERGENCY_STOP {emergency}")
            self._emergency_done = False
        self.flags.started, self.flags.emergency = started, emergency
        if emergency:
            self.safety.halt("EMERGENCY_STOP")
        self.safety.on_flags(started=started, emergency=emergency)

    # -- feed and bars -----------------------------------------------------------------------------

    def _feed_wanted(self, now_s: float) -> bool:
        """Idle without a stream while nobody wants trading, and over long closures."""
        needed = self.flags.started or self.book.units != 0 or bool(self.executor.undecided)
        return needed and self.hours.opens_within(now_s, FEED_LEAD_S)

    async def _keep_feed(self, now_s: float) -> None:
        if not self._feed_wanted(now_s):
            if self.feed.connected:
                await self.feed.disconnect("not needed now")
            return
        if await self.feed.upkeep() and self.reconciled:
            await self._reconcile("reconnect")

    async def _minute(self) -> None:
        """Once a minute: the bars that closed, then the decision on the last of them."""
        now_s, live = self.parts.clock.time_s(), self.parts.config.live
        minute_s = int(now_s - live.decision_delay_seconds) // MINUTE_S * MINUTE_S
        wanted = self._feed_wanted(now_s)
        if not wanted or minute_s <= self._collected_s or now_s < self.timers.collect_s:
            return
        try:
            collected = await self.feed.collect(minute_s)
        except BrokerError as error:
            self._skip("candles unavailable", error.message)
            self.timers.collect_s = now_s + 5.0
            return
        self.window.append(collected.bars)
        self.safety.check_losses()
        self.ledger.save_book()
        if not collected.settled:
            self.timers.collect_s = now_s + 5.0
            self._skip("a bar is missing", "")
            return
        self._collected_s = minute_s
        self.timers.compare_s = max(now_s, minute_s + CANDLE_CHECK_AFTER_S)
        if self.window.last_bar_s == minute_s - MINUTE_S and self.window.last_bar_s > self._decided_s:
            await self._decide(minute_s)

    # -- decisions ---------------------------------------------------------------------------------

    async def _decide(self, minute_s: int) -> None:
        now_s = self.parts.clock.time_s()
        self._choose_model(now_s)
        reason = self._no_decision(now_s, minute_s)
        if reason is not None:
            self._skip(reason, "")
            return
        assert self.model is not None
        try:
            point = decide(
                self.window.bars(),
                self.book.row,
                self.parts.features,
                self.model.engine,
                self.parts.config.trading,
            )
        except DataError as error:
            self._skip("no valid observation", error.message)
            return
        self._decided_s = point.market.bar_time_s
        self.last_point = point
        self.counters.decisions += 1
        veto = self._veto() if point.decision.action in (BUY, SELL) else None
        number = self.parts.journal.record_decision(self._record(point, now_s, self.model.model_hash))
        self.parts.on_decision(point)
        outcome = "none" if veto is None else f"vetoed: {veto}"
        if veto is not None:
            self.counters.vetoes[veto] = self.counters.vetoes.get(veto, 0) + 1
        elif point.decision.action in (BUY, SELL, CLOSE):
            outcome = await self._order(point)
        self.parts.journal.note_outcome(number, outcome)

    def _no_decision(self, now_s: float, minute_s: int) -> str | None:
        """Why nothing is decided now."""
        if not self.reconciled:
            return "not reconciled"
        if not self.flags.started and not self.book.units:
            return "not started"
        if now_s - minute_s > self._latest_s:
            return "late"
        if self.feed.stale():
            return "stale feed"
        not_ready = self.window.not_ready(now_s)
        if not_ready is not None:
            return f"window: {not_ready}"
        if self.model is None:
            return "no model"
        return None

    def _veto(self) -> str | None:
        """Why no position may be opened now, asked again right before an order leaves."""
        now_s = self.parts.clock.time_s()
        self._read_flags()
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
        if self.book.units or self._duty is not None:
            return "a position has to be closed"
        if self.model is None or now_s >= self.model.choice.authorised_until_s:
            return "the model's verdict has expired"
        return "no quote" if self.feed.quote() is None else None

    async def _order(self, point: DecisionPoint) -> str:
        """Send what was decided; returns what became of it, for the journal."""
        action, units = point.decision.action, self.parts.config.trading.units
        order = {BUY: units, SELL: -units}.get(action, -self.book.units)
        kind = IntentKind.CLOSE if action == CLOSE else IntentKind.ENTRY
        reference, bound = self._prices(order, 1.0)
        planned = PlannedOrder(kind, order, "decided", reference, bound, point.market.bar_time_s)
        try:
            state = await self._submit(planned)
        except SafetyViolation as refusal:
            return f"refused: {refusal.message}"
        return f"order {state.value}"

    async def _submit(self, order: PlannedOrder) -> IntentState:
        outcome = await self.executor.submit(order)
        self.counters.orders += 1
        self._on_events(outcome.events)
        if outcome.state is IntentState.OPEN:
            self._on_events(await self.executor.resolve())
        await self._reconcile("order")
        await self._serve_duty()
        return outcome.state

    def _prices(self, units: int, bound_factor: float) -> tuple[int, int | None]:
        """Executable price now and the worst acceptable one; ``(0, None)`` without a fresh quote."""
        quote = self.feed.quote()
        if quote is None:
            return 0, None
        side = 1 if units > 0 else -1
        reference = quote[1] if units > 0 else quote[0]
        distance = self.parts.config.live.price_bound_pips * bound_factor
        return reference, reference + side * round(distance * self.parts.instrument.points_per_pip)

    def _record(self, point: DecisionPoint, now_s: float, model_hash: str) -> DecisionRecord:
        decision, market = point.decision, point.market
        return DecisionRecord(
            bar_time_s=market.bar_time_s,
            decided_s=now_s,
            bars_id=self.parts.journal.last_bar_id(),
            bars_sha256=point.bars.sha256,
            observation_sha256=point.observation_sha256,
            feature_version=self.parts.features.version,
            model_hash=model_hash,
            position=tuple(float(x) for x in point.position),
            mask=tuple(bool(x) for x in point.mask),
            action=decision.action,
            searched_action=decision.searched_action,
            confidence=decision.confidence,
            root_value=decision.root_value,
            visit_counts=decision.visit_counts,
            bid_close=market.bid_close_points,
            ask_close=market.ask_close_points,
            latency_ms=decision.latency_ms,
            outcome="decided",
        )

    # -- duties, checks, events --------------------------------------------------------------------

    async def _serve_duty(self) -> None:
        """Do what must be done about the position, on the broker's word about it."""
        now_s = self.parts.clock.time_s()
        self._duty = self._current_duty(now_s)
        if self._duty is None:
            self.timers.tries, self.timers.duty_s = 0, -math.inf
            return
        if now_s < self.timers.duty_s or not self._may_serve(self._duty, now_s):
            return
        wait_s = _RETRY_S[min(self.timers.tries, len(_RETRY_S) - 1)]
        self.timers.tries += 1
        self.timers.duty_s = now_s + (wait_s if self.hours.is_open(now_s) else CLOSED_POLL_S)
        try:
            held = await self.reconciler.broker_units()
        except BrokerError as error:
            self._note("position_query_failed", f"{self._duty.reason}: {error.message}")
            return
        if held != self.book.units and not self.executor.undecided:
            await self._reconcile("duty")
        excess = abs(held) - self._duty.target_units
        if excess <= 0:
            if held == 0:
                self._emergency_done = self.flags.emergency
                self.safety.flattened()
            self._duty = None
            return
        order = -excess if held > 0 else excess
        reference, bound = self._prices(order, FORCED_BOUND_FACTOR)
        reason = self._duty.reason
        self._note("reduce", f"{reason}: {held} held, sending {order}")
        outcome = await self.executor.submit(PlannedOrder(IntentKind.REDUCE, order, reason, reference, bound))
        self.counters.orders += 1
        self._on_events(outcome.events)
        await self._reconcile("order")

    def _current_duty(self, now_s: float) -> Duty | None:
        emergency = self.flags.emergency and not (self._emergency_done and self.book.units == 0)
        return duty(
            self.parts.config,
            self.book,
            self.parts.journal,
            self.safety,
            now_s=now_s,
            started=self.flags.started,
            emergency=emergency,
            orphaned=self._orphaned,
        )

    def _may_serve(self, wanted: Duty, now_s: float) -> bool:
        """One undecided reduction at a time; only an urgent duty passes another undecided order."""
        if self.ledger.cursor is None:
            return False
        undecided = self.executor.undecided
        if undecided and (not wanted.urgent or any(intent.kind.reduces for intent in undecided)):
            return False
        return wanted.urgent or self.hours.is_open(now_s)

    async def _checks(self) -> None:
        """Position at the broker, reconciliation, candles: after the decision, never before it."""
        now_s, config = self.parts.clock.time_s(), self.parts.config
        if now_s >= self.timers.compare_s:
            self.timers.compare_s = math.inf
            await self._compare_candles(now_s)
        if self.reconciled and now_s >= self.timers.reconcile_s:
            await self._reconcile("periodic")
        elif now_s >= self.timers.position_check_s:
            period_s = config.trading_safety.position_check_seconds
            self.timers.position_check_s = now_s + (
                period_s if self.hours.is_open(now_s) else 10.0 * period_s
            )
            await self._check_position()

    async def _check_position(self) -> None:
        try:
            held = await self.reconciler.broker_units()
        except BrokerError as error:
            self._note("position_query_failed", error.message)
            return
        within = self.safety.check_position(held)
        if (held != self.book.units or not within) and not self.executor.undecided:
            await self._reconcile("position check")

    async def _compare_candles(self, now_s: float) -> None:
        minute_s = int(now_s) // MINUTE_S * MINUTE_S
        try:
            candles = await self.feed.candles(minute_s - 5 * MINUTE_S, minute_s)
        except BrokerError:
            return
        for candle in candles:
            if self.window.compare(candle):
                self._note("candle_differs", f"bar {candle.time_s}: close {candle.close_hp} half-points")

    async def _reconcile(self, trigger: str) -> None:
        result = await self.reconciler.reconcile(trigger)
        self._on_events(result.events)
        now_s, live = self.parts.clock.time_s(), self.parts.config.live
        if result.ok:
            self.reconciled = True
            self.timers.reconcile_s = now_s + 60.0 * live.reconcile_minutes
            self._on_reconciled(result)
            return
        # What a failed query leaves unknown stays unknown: no entries until one succeeds.
        self.reconciled = False
        self.timers.reconcile_s = now_s + 5.0

    def _on_reconciled(self, result: Reconciliation) -> None:
        if result.drift in (Drift.UNEXPECTED, Drift.DIRECTION, Drift.SIZE):
            self.safety.halt(f"the broker held {result.broker_units} units, the book {result.book_units}")
        if result.drift is not Drift.NONE:
            self.parts.alerts.alert("drift", f"{result.drift}: {result.book_units} → {result.broker_units}")

    def _on_events(self, events: list[LedgerEvent] | tuple[LedgerEvent, ...]) -> None:
        for event in events:
            if event.closed is not None:
                self.safety.on_closed(event.closed)
            if event.kind in (LedgerEventKind.FILLED, LedgerEventKind.LATE_FILL):
                self.safety.check_slippage(event.slippage_pips)
            if event.kind is LedgerEventKind.OVERSIZE_FILL:
                self.safety.violation("oversize", event.detail)
                self.safety.halt(f"oversize fill: {event.detail}")
            if event.kind is LedgerEventKind.FOREIGN_FILL:
                self.safety.halt(f"somebody else traded: {event.detail}")
            if event.kind in (LedgerEventKind.LATE_FILL, LedgerEventKind.PNL_MISMATCH):
                self.parts.alerts.alert(event.kind.value, event.detail)

    def _choose_model(self, now_s: float) -> None:
        """Look for a newer authorised model; swap only when flat, but manage a position after a restart."""
        if (self.book.units and self.model is not None) or now_s < self.timers.model_s:
            return
        self.timers.model_s = now_s + MODEL_CHECK_S
        selection = self.parts.models.select(now_s)
        self.model_refusals = selection.refusals
        if selection.choice is None:
            if self.model is not None:
                self._note("model_withdrawn", "; ".join(selection.refusals) or "no checkpoint")
            self.model = None
            self._orphaned = self.book.units != 0
            return
        self._orphaned = False
        if self.model is not None and self.model.model_hash == selection.choice.ref.sha256:
            self.model = LoadedModel(self.model.engine, selection.choice, self.model.model_hash)
            return
        try:
            self.model = self.parts.models.load(selection.choice)
        except CheckpointError as error:
            self._note("model_refused", error.message)
            return
        self._note("model_loaded", f"{selection.choice.ref.name} {selection.choice.ref.sha256}")

    def open_pips(self) -> float:
        """Open profit in pips at the configured order size."""
        return self.book.equity_pips * abs(self.book.units) / self.parts.config.trading.units

    def _skip(self, reason: str, detail: str) -> None:
        self.counters.skipped[reason] = self.counters.skipped.get(reason, 0) + 1
        if detail:
            self._note("no_decision", f"{reason}: {detail}")

    def _note(self, event: str, detail: str) -> None:
        self.parts.journal.audit(self.parts.clock.time_s(), event, detail)
