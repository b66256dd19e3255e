"""The live daemon: configuration, clock, client, model and state directories become a running trader.

Starting is recovering: whatever the last process left in the journal is reconciled with the broker first.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import numpy as np

from swt_broker.client import OandaClient
from swt_broker.streams import EventStream
from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import AsyncClock, SystemClock
from swt_core.config import SWTConfig
from swt_core.errors import StateError, Unavailable
from swt_core.instruments import Instrument, instrument
from swt_core.logs import get_logger
from swt_core.metrics import Health, HealthServer, metrics_registry, register_state, while_it_beats
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_features.processor import LOOKBACK, FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_inference.library import EngineLibrary
from swt_live.accounts import broker_settings, require_same_instrument
from swt_live.alerts import alerts_from
from swt_live.daemon_options import LiveDirectories, LiveOptions
from swt_live.decider import DecisionPoint
from swt_live.disk import disk_full, free_bytes, journal_fault, too_little
from swt_live.journal import JOURNAL_FILE, Journal, JournalBroken
from swt_live.limit_metrics import register_limits
from swt_live.metrics import LiveMetrics
from swt_live.models import ModelSource
from swt_live.ports import PriceStream
from swt_live.replay_clock import HttpClockControl, ReplayClock
from swt_live.self_check import SelfCheck
from swt_live.shadow import Shadow
from swt_live.status import STATUS_FILE, LiveStatus, live_status, unwell
from swt_live.trader import LiveTrader
from swt_live.trader_parts import TraderParts

_RETRY_S = 5.0
__all__ = ["LiveDaemon", "LiveDirectories", "LiveOptions"]

_log = get_logger(__name__)


class LiveDaemon:
    """One trader in one process; `run` returns when it was asked to stop, or the recording has ended."""

    def __init__(
        self,
        config: SWTConfig,
        directories: LiveDirectories,
        environ: Mapping[str, str],
        options: LiveOptions | None = None,
    ) -> None:
        self.config = config
        self.directories = directories
        self.options = options or LiveOptions()
        self.settings = broker_settings(config.live, environ)
        self.instrument: Instrument = instrument(config.data.instrument)
        self.features = FeatureProcessor(config.features, self.instrument)
        self.state = StateDirectory(directories.live_state)
        self.trader: LiveTrader | None = None
        self.status: LiveStatus | None = None
        self.health_url: str | None = None
        self._registry = metrics_registry("live")
        register_state(self._registry, self.state, SystemClock())
        register_limits(self._registry, config)
        self._metrics = LiveMetrics(self._registry)
        self._alerts = alerts_from(environ, self._metrics.on_alert)
        self._replay: ReplayClock | None = None
        self._stream: PriceStream | None = None
        self._written_s = -np.inf
        self._shown_state = ""
        self._disk_well = True
        self._waiting = "starting"
        self.models = ModelSource(
            config,
            CheckpointStore(directories.checkpoints),
            directories.validation_state,
            self.features.version,
            self.options.load_engine or EngineLibrary(self._load_engine).engine,
        )

    def serve(self) -> None:
        """Run as a managed process until SIGTERM, SIGINT or a limit; a full disk is waited for first."""
        if disk_full(self.state) is not None:
            asyncio.run(self._wait_for_disk())
        with (
            self.state.writer(),
            ManagedProcess("live", self.config.process_limits, self.state, SystemClock()) as process,
        ):
            asyncio.run(self.run(process))
            process.raise_for_restart()

    async def _wait_for_disk(self) -> None:
        """Ending here would be a crash loop that tells nobody: stay, unhealthy, until there is room."""
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            if self.options.health_server:
                server = HealthServer(self._registry, self.health, port=self.config.live.health_port)
                stack.enter_context(server)
            stack.push_async_callback(self._alerts.drain)
            fault = disk_full(self.state)
            self._waiting = f"{fault}: nothing is traded"
            self._alerts.alert("disk_full", f"{fault}; `swt emergency-close` needs no disk")
            while disk_full(self.state) is not None:
                await clock.sleep_until(clock.time_s() + _RETRY_S)
        self._waiting = "starting"

    async def run(self, process: ManagedProcess | None = None) -> None:
        """Trade until asked to stop, also while nothing can be traded yet."""
        trading = asyncio.create_task(self._run(process))
        if process is not None:
            process.on_stop(self._stopper(asyncio.get_running_loop(), trading))
        try:
            await trading
        except asyncio.CancelledError:
            if process is None or process.stop_reason is None:
                raise
            _log.info("stopped before the broker was there", reason=process.stop_reason)
        finally:
            trading.cancel()

    async def _run(self, process: ManagedProcess | None) -> None:
        async with AsyncExitStack() as stack:
            if self.options.health_server:
                health = while_it_beats(self.health, self.state, SystemClock())
                server = HealthServer(self._registry, health, port=self.config.live.health_port)
                self.health_url = stack.enter_context(server).url
            stack.push_async_callback(self._alerts.drain)
            client = await stack.enter_async_context(
                OandaClient(self.settings, self.options.transport, observe=self._metrics.on_request)
            )
            clock = await self._clock(stack, client)
            await self._check_instrument(client, clock)
            while True:
                try:
                    return await self._trade(client, clock, process)
                except JournalBroken as error:
                    await self._wait_for_journal(error, clock)

    async def _trade(self, client: OandaClient, clock: AsyncClock, process: ManagedProcess | None) -> None:
        """Make a trader from the journal and let it trade until it is stopped, or its journal fails."""
        journal = Journal(self.state.file(JOURNAL_FILE))
        try:
            trader = self.trader = LiveTrader(self._parts(client, clock, journal, process))
            await trader.run()
        except sqlite3.Error as error:
            raise JournalBroken(f"the journal failed: {error}", remedy="free space on its disk") from error
        finally:
            journal.close()

    async def _wait_for_journal(self, error: JournalBroken, clock: AsyncClock) -> None:
        """Without a journal nothing is sent, not even to reduce: say so until it can be written again."""
        units = 0 if self.trader is None else self.trader.book.units
        self.trader, self.status, self._disk_well = None, None, False
        self._waiting = f"{error.message}: nothing is traded"
        held = (
            f"; {units} units are held: `swt emergency-close` closes them without a journal" if units else ""
        )
        self._alerts.alert("journal_broken", f"{error.message}{held}")
        fault: str | None = error.message
        while fault is not None:
            self._beat(f"the journal is broken: {fault}")
            # Also where a look finds nothing wrong: what failed may fail again at once, and each new trader
            # may send a reduction first.
            await clock.sleep_until(clock.time_s() + _RETRY_S)
            fault = journal_fault(self.state.file(JOURNAL_FILE))
        self._alerts.alert("journal_mended", "the trader starts again from its journal")
        self._waiting, self._disk_well = "starting", True

    def _beat(self, status: str) -> None:
        """A heartbeat, if the disk takes one."""
        try:
            self.state.beat(SystemClock(), status)
        except StateError as error:
            _log.warning("heartbeat not written", error=error.message)

    def health(self) -> Health:
        """Well only if feed, broker, reconciliation and disk are."""
        status, trader = self.status, self.trader
        if status is None or trader is None:
            return Health(False, self._waiting, {"reasons": [self._waiting]})
        feed_needed = status.started or status.units != 0
        reasons = unwell(status, disk_well=self._disk_well, feed_needed=feed_needed)
        detail = {"state": status.state, "reasons": list(reasons), "units": status.units}
        return Health(not reasons, "; ".join(reasons) or status.state.lower(), detail)

    async def _clock(self, stack: AsyncExitStack, client: OandaClient) -> AsyncClock:
        """The wall clock, or the practice server's market time."""
        if self.config.live.environment != "embedded":
            return SystemClock()
        control = HttpClockControl(self.settings.base_url, self.settings.token, self.options.transport)
        stack.push_async_callback(control.close)
        while True:
            replay = ReplayClock(control, wait_idle=client.wait_idle)
            try:
                self._replay = await stack.enter_async_context(replay)
            except Unavailable as error:
                self._wait("waiting for the practice server", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return replay

    def _wait(self, why: str, error: Unavailable) -> None:
        self._waiting = f"{why}: {error.message}"
        _log.warning(why, error=error.message)
        self._beat(why)

    async def _check_instrument(self, client: OandaClient, clock: AsyncClock) -> None:
        while True:
            try:
                details = await client.instrument(self.instrument.name)
            except Unavailable as error:
                self._wait("waiting for the broker", error)
                await clock.sleep_until(clock.time_s() + _RETRY_S)
            else:
                return require_same_instrument(self.instrument, details)

    def _parts(
        self, client: OandaClient, clock: AsyncClock, journal: Journal, process: ManagedProcess | None
    ) -> TraderParts:
        def on_decision(point: DecisionPoint) -> None:
            self._metrics.on_decision(point)
            self.options.on_decision(point)

        def note(event: str, detail: str) -> None:
            journal.audit(clock.time_s(), event, detail)

        config, pair = self.config, self.instrument
        shadow = None
        if config.live.shadow_checkpoint:
            shadow = Shadow(self.models, journal, self.features, pair, config.trading, note)
        check = SelfCheck(config, pair, journal, self.features, clock, self._alerts, lookback=LOOKBACK)
        return TraderParts(
            config=self.config,
            instrument=self.instrument,
            broker=client,
            clock=clock,
            journal=journal,
            directory=self.state,
            features=self.features,
            models=self.models,
            alerts=self._alerts,
            # Only the jitter of reconnections is random here.
            rng=np.random.default_rng(np.random.SeedSequence(self.config.training.seed)),
            lookback=LOOKBACK,
            shadow=shadow,
            self_check=check,
            on_decision=on_decision,
            on_reconciled=self._metrics.on_reconciled,
            on_fill=self._metrics.on_fill,
            # In lock-step no market time passes while an answer is awaited.
            guard_clock=None if self.options.transport is not None else SystemClock(),
            on_stream=self._watch,
            on_step=lambda trader: self._housekeeping(trader, process),
        )

    def _stopper(self, loop: asyncio.AbstractEventLoop, trading: asyncio.Task[None]) -> Callable[[], None]:
        """Stops the trader, or the wait for its broker, from the signal watcher's thread."""

        def stop_here() -> None:
            if self.trader is None:
                trading.cancel()
            else:
                self.trader.stop()

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop_here)

        return stop

    def _load_engine(self, ref: CheckpointRef) -> InferenceEngine:
        return InferenceEngine.from_checkpoint(
            ref,
            self.config.trading.search,
            feature_profile=self.config.features.profile,
            feature_version=self.features.version,
            instrument=self.config.data.instrument,
        )

    def _watch(self, stream: PriceStream | None) -> None:
        """Market time waits for the stream's lines."""
        if self._replay is None:
            return
        if isinstance(self._stream, EventStream):
            self._replay.unwatch(self._stream)
        self._stream = stream
        if isinstance(stream, EventStream):
            self._replay.watch(stream)

    def _housekeeping(self, trader: LiveTrader, process: ManagedProcess | None) -> None:
        """After each step: status, heartbeat, limits, the end of a recording."""
        if self._replay is not None and self._replay.ended:
            trader.stop()
        if process is not None and not process.should_run():
            trader.stop()
        now_s = trader.parts.clock.time_s()
        label = f"{trader.state.value} {trader.book.units} {trader.flags}"
        if now_s - self._written_s < self.config.live.status_seconds and label == self._shown_state:
            return
        self._written_s, self._shown_state = now_s, label
        free = free_bytes(self.state.path)
        trader.desk.disk_low = too_little(free, self.config.live.minimum_free_disk_mb)
        status = self.status = live_status(trader).model_copy(update={"disk_free_bytes": free})
        self._disk_well = trader.parts.journal.writable()
        self._metrics.show(status)
        try:
            self.state.write(STATUS_FILE, status)
        except StateError as error:
            self._disk_well = False
            _log.error("status not written", error=error.message)
        if process is not None:
            counters = {"decisions": status.decisions, "trades": status.trades, "units": status.units}
            process.beat(status.state.lower(), {key: float(value) for key, value in counters.items()})
