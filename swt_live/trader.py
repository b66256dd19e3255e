"""The live trader: an asyncio program that is started and recovered the same way (crash-only).

One task does everything that matters, in one order, and sleeps only on the injected clock; a second task
reads the price stream. A step: flags, feed, undecided orders, duties, the decision of the minute, then
checks and housekeeping. Start-up is the first step with nothing reconciled: until the broker has been
compared with the journal, nothing trades.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3

from swt_core.calendar import MINUTE_S
from swt_core.errors import BrokerError, DataError, SafetyViolation
from swt_core.position import BUY, CLOSE, SELL
from swt_live.decider import DecisionPoint, decide, decision_record
from swt_live.desk import CLOSED_POLL_S, OrderDesk
from swt_live.emergency_watch import EmergencyWatch
from swt_live.executor import PlannedOrder
from swt_live.feed import PriceFeed
from swt_live.journal import JournalBroken
from swt_live.journal_records import IntentKind
from swt_live.market_hours import MarketHours
from swt_live.model_keeper import ModelKeeper
from swt_live.safety import TradingState
from swt_live.shadow import Champion
from swt_live.trader_parts import TraderParts
from swt_live.window import LiveWindow

# A decision so long after it was due is no longer the decision of that bar: its order would not fill at
# the next open.
LATEST_DECISION_S = 4.0
CANDLE_CHECK_AFTER_S = 20.0
# The reason in ``swt_live_skipped_decisions`` when features or engine raised what they never should.
DECISION_FAILED = "decision failed"
# The feed opens this long before the market, and stays open over a closure not longer than that.
FEED_LEAD_S = 600.0


class LiveTrader:
    """Trades one instrument on one account. `run` returns after `stop`; a crash needs no goodbye."""

    def __init__(self, parts: TraderParts) -> None:
        self.parts = parts
        config, journal = parts.config, parts.journal
        self.hours = MarketHours()
        self.feed = PriceFeed(
            parts.broker,
            parts.instrument,
            parts.clock,
            parts.rng,
            stale_after_s=config.live.stale_after_seconds,
            on_stream=parts.on_stream,
        )
        self.models = ModelKeeper(parts.models, self._note)
        self.desk = desk = OrderDesk(parts, self.feed, self.hours, self.models)
        self.flags, self.timers, self.counters = desk.flags, desk.timers, desk.counters
        self.book, self.ledger, self.safety = desk.book, desk.ledger, desk.safety
        self.executor, self.reconciler = desk.executor, desk.reconciler
        self._latest_s = config.live.decision_delay_seconds + LATEST_DECISION_S
        self.window = LiveWindow(
            parts.instrument, journal, self.book, lookback=parts.lookback, stale_after_s=self._latest_s
        )
        self.last_point: DecisionPoint | None = None
        self._decided_s = 0
        self._collected_s = 0
        self._stopping = False
        self._sleeper: asyncio.Future[None] | None = None
        self._watch = EmergencyWatch(parts.directory, parts.guard_clock)
        self._restored = False

    @property
    def reconciled(self) -> bool:
        """Whether broker and journal agreed when they were last compared."""
        return self.desk.reconciled

    @property
    def state(self) -> TradingState:
        """What is allowed now."""
        return self.desk.state

    def open_pips(self) -> float:
        """Open profit in pips at the configured order size."""
        return self.desk.open_pips()

    async def run(self) -> None:
        """Trade until `stop` is called.

        Raises:
            JournalBroken: the journal does not take writes. What the process remembers may be ahead of it:
                a new trader has to be made from the journal, once it can be written again.
        """
        try:
            async with self._watch:
                await self._run()
        except sqlite3.Error as error:
            raise JournalBroken(f"the journal failed: {error}", remedy="free space on its disk") from error
        finally:
            await self.feed.disconnect("the trader stops")

    async def _run(self) -> None:
        while not self._stopping:
            await self._watch.guarded(self.step())
            self.parts.on_step(self)
            if self._stopping:
                break
            self._sleeper = asyncio.ensure_future(self.parts.clock.sleep_until(self.next_wake_s()))
            at_stake = self.book.units != 0 or bool(self.executor.undecided) or self.desk.duty is not None
            self._watch.resting(self._sleeper if at_stake else None)
            try:
                await self._sleeper
            except asyncio.CancelledError:
                if not self._stopping and not self._watch.woke():
                    raise
        self.parts.on_step(self)

    def stop(self) -> None:
        """End after the step in progress. A position stays as it is; the next start reconciles it."""
        self._stopping = True
        if self._sleeper is not None:
            self._sleeper.cancel()

    async def step(self) -> None:
        """Everything that is due now, in order; EMERGENCY_STOP before anything else."""
        if not self._restored:
            self._restore()
        now_s = self.parts.clock.time_s()
        self.desk.read_flags()
        self._watch.seen(self.flags.emergency)
        if self.flags.emergency:
            await self.desk.serve_duty()
        if not self.desk.reconciled and now_s >= self.timers.reconcile_s:
            await self.desk.reconcile("start")
        await self._keep_feed(now_s)
        if self.executor.undecided:
            await self.executor.resolve()
        await self.desk.serve_duty()
        await self._minute()
        await self._checks()

    def next_wake_s(self) -> float:
        """When there is something to do again; always in the future."""
        now_s, timers, live = self.parts.clock.time_s(), self.timers, self.parts.config.live
        if self.executor.undecided or self.desk.duty is not None or self.book.units:
            poll_s = live.flag_poll_seconds
        elif not self.hours.is_open(now_s):
            poll_s = CLOSED_POLL_S
        else:
            poll_s = live.flag_poll_seconds if self.flags.started else 5.0 * live.flag_poll_seconds
        if self.book.units and not self.hours.is_open(now_s) and self.desk.duty is None:
            poll_s = max(poll_s, 5.0)
        due = [now_s + poll_s, timers.position_check_s, timers.compare_s]
        if self._feed_wanted(now_s):
            minute_s = int(now_s - live.decision_delay_seconds) // MINUTE_S * MINUTE_S
            due += [minute_s + MINUTE_S + live.decision_delay_seconds, timers.collect_s]
            due += [self.feed.reconnect_s, now_s + live.stale_after_seconds / 2.0]
        if not self.desk.reconciled:
            due.append(timers.reconcile_s)
        if self.desk.duty is not None:
            due.append(timers.duty_s)
        return min(at_s for at_s in due if at_s > now_s)

    def _restore(self) -> None:
        now_s = self.parts.clock.time_s()
        self.feed.start_after(self.window.restore(self.ledger.load_book(), now_s))
        self._decided_s = self.parts.journal.last_decision_bar_s()
        self.parts.journal.audit(now_s, "start", f"{self.book.units} units in the journal")
        self._restored = True

    def _feed_wanted(self, now_s: float) -> bool:
        """Idle without a stream while nobody wants trading, and over long closures."""
        needed = self.flags.started or self.book.units != 0 or bool(self.executor.undecided)
        return needed and self.hours.opens_within(now_s, FEED_LEAD_S)

    async def _keep_feed(self, now_s: float) -> None:
        if not self._feed_wanted(now_s):
            if self.feed.connected:
                await self.feed.disconnect("not needed now")
            return
        if await self.feed.upkeep() and self.desk.reconciled:
            await self.desk.reconcile("reconnect")

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
        if self.parts.shadow is not None:
            self.parts.shadow.on_bars(collected.bars)
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
            self._decide_on_paper(minute_s)

    async def _decide(self, minute_s: int) -> None:
        now_s = self.parts.clock.time_s()
        self.models.refresh(now_s, in_position=self.book.units != 0)
        reason = self._no_decision(now_s, minute_s)
        if reason is not None:
            self._skip(reason, "")
            return
        model = self.models.model
        assert model is not None
        try:
            point = decide(
                self.window.bars(),
                self.book.row,
                self.parts.features,
                model.engine,
                self.parts.config.trading,
            )
        except DataError as error:
            self._skip("no valid observation", error.message)
            return
        except Exception as error:  # noqa: BLE001 - ending here, it would end again at each bar, duties unserved
            detail = f"{type(error).__name__}: {error}"
            self._skip(DECISION_FAILED, detail)
            self.parts.alerts.alert("decision_failed", detail)
            return
        self._decided_s = point.market.bar_time_s
        self.last_point = point
        self.counters.decisions += 1
        veto = self.desk.veto() if point.decision.action in (BUY, SELL) else None
        number = self.parts.journal.record_decision(
            decision_record(
                point,
                decided_s=now_s,
                bars_id=self.parts.journal.last_bar_id(),
                feature_version=self.parts.features.version,
                model_hash=model.model_hash,
            )
        )
        self.parts.on_decision(point)
        if self.parts.self_check is not None:
            self.parts.self_check.decided(number, model)
        outcome = "none" if veto is None else f"vetoed: {veto}"
        if veto is not None:
            self.counters.vetoes[veto] = self.counters.vetoes.get(veto, 0) + 1
        elif point.decision.action in (BUY, SELL, CLOSE):
            outcome = await self._order(point)
        self.parts.journal.note_outcome(number, outcome)

    def _decide_on_paper(self, minute_s: int) -> None:
        """The candidate beside the trader decides on the same bars, after the trader's order has left."""
        shadow, now_s = self.parts.shadow, self.parts.clock.time_s()
        if shadow is None or not self.flags.started:
            return
        shadow.refresh(now_s)
        if self.feed.stale() or self.window.not_ready(float(minute_s)) is not None:
            return
        point = self.last_point
        if point is not None and point.market.bar_time_s != minute_s - MINUTE_S:
            point = None
        position = self.book.row if point is None else point.position
        model = self.models.model
        champion = Champion(position, point, None if model is None else model.model_hash)
        shadow.decide(self.window.bars(), champion)

    def _no_decision(self, now_s: float, minute_s: int) -> str | None:
        """Why nothing is decided now."""
        if not self.desk.reconciled:
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
        if self.models.model is None:
            return "no model"
        return None

    async def _order(self, point: DecisionPoint) -> str:
        """Send what was decided; returns what became of it, for the journal."""
        action, units = point.decision.action, self.parts.config.trading.units
        order = {BUY: units, SELL: -units}.get(action, -self.book.units)
        kind = IntentKind.CLOSE if action == CLOSE else IntentKind.ENTRY
        reference, bound = self.desk.prices(kind, order)
        planned = PlannedOrder(kind, order, "decided", reference, bound, point.market.bar_time_s)
        try:
            state = await self.desk.submit(planned)
        except SafetyViolation as refusal:
            return f"refused: {refusal.message}"
        return f"order {state.value}"

    async def _checks(self) -> None:
        """Position at the broker, reconciliation, candles: after the decision, never before it."""
        now_s, config = self.parts.clock.time_s(), self.parts.config
        if now_s >= self.timers.compare_s:
            self.timers.compare_s = math.inf
            await self._compare_candles(now_s)
            if self.parts.self_check is not None:
                self.parts.self_check.run()
        if self.desk.reconciled and now_s >= self.timers.reconcile_s:
            await self.desk.reconcile("periodic")
        elif now_s >= self.timers.position_check_s:
            period_s = config.trading_safety.position_check_seconds
            self.timers.position_check_s = now_s + (
                period_s if self.hours.is_open(now_s) else 10.0 * period_s
            )
            await self.desk.check_position()

    async def _compare_candles(self, now_s: float) -> None:
        minute_s = int(now_s) // MINUTE_S * MINUTE_S
        try:
            candles = await self.feed.candles(minute_s - 5 * MINUTE_S, minute_s)
        except BrokerError:
            return
        for candle in candles:
            differs = self.window.compare(candle)
            if differs and self.parts.shadow is not None:
                self.parts.shadow.correct(candle)
            if differs:
                self._note("candle_differs", f"bar {candle.time_s}: close {candle.close_hp} half-points")

    def _note(self, event: str, detail: str) -> None:
        self.parts.journal.audit(self.parts.clock.time_s(), event, detail)

    def _skip(self, reason: str, detail: str) -> None:
        self.counters.skipped[reason] = self.counters.skipped.get(reason, 0) + 1
        if detail:
            self._note("no_decision", f"{reason}: {detail}")
