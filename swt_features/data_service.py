"""The data service: tops the bar store up once or again and again, and keeps the master database with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swt_core.calendar import trading_day
from swt_core.clock import Clock
from swt_core.config.models import FeaturesConfig
from swt_core.errors import StateError, Unavailable
from swt_core.logs import get_logger
from swt_core.state import StateDirectory
from swt_data.download import Downloaded, Downloader
from swt_data.store import BarStore
from swt_features.master import Built, build_master

_log = get_logger(__name__)
_BEAT_S: Final = 30.0


def master_directory(store: BarStore) -> Path:
    """Where the master database of a store's pair lies."""
    return store.directory / "master"


def build_from_store(store: BarStore, spread_pips: float, features: FeaturesConfig, clock: Clock) -> Built:
    """Bring the master database to the state of the bar store.

    Raises: as `BarStore.read` and `build_master`.
    """
    bars = store.read(spread_pips)
    manifest = store.manifest()
    sources = manifest.sources if manifest else ()
    return build_master(master_directory(store), bars, features, sources, clock)


class Pulse:
    """Heartbeats of the data directory from the event loop, so that a loop that hangs shows.

    What an earlier run counted stays until something newer is known: readers of the store go by it.
    """

    def __init__(self, state: StateDirectory, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._status = "starting"
        try:
            before = state.heartbeat()
        except StateError:
            before = None
        self._counters: Mapping[str, float] = {} if before is None else before.counters

    def say(self, status: str, counters: Mapping[str, float] | None = None) -> None:
        """Beat now, and so from now on."""
        self._status, self._counters = status, self._counters if counters is None else counters
        self._state.beat(self._clock, self._status, self._counters)

    @asynccontextmanager
    async def beating(self, status: str) -> AsyncIterator[None]:
        """Say ``status``, and beat until the block ends."""
        self.say(status)
        task = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.say("stopped")

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                self.say(self._status)
            except StateError as error:
                _log.warning("heartbeat not written", error=error.message)


@dataclass(frozen=True)
class DataService:
    """The one writer of ``data/`` while it runs.

    Attributes:
        state: of the data directory: heartbeat.
        features: what the master database is built with; None: it is left alone.
    """

    downloader: Downloader
    state: StateDirectory
    clock: Clock
    spread_pips: float
    features: FeaturesConfig | None = None

    async def run(self, every_s: float, stop: asyncio.Event) -> None:
        """Top up every ``every_s`` seconds until ``stop`` is set; an absent broker is waited for.

        The master database follows at the first top-up and once a trading day has ended.
        """
        built_day: int | None = None
        pulse = Pulse(self.state, self.clock)
        async with pulse.beating("topping up"):
            while not stop.is_set():
                try:
                    result = await self.downloader.top_up()
                except Unavailable as error:
                    _log.warning("the broker is unavailable", error=str(error))
                    pulse.say("broker unavailable")
                else:
                    day = int(trading_day(result.end_s))
                    if self.features is not None and day != built_day:
                        await self.build()
                        built_day = day
                    pulse.say("up to date", _counters(result))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), every_s)

    async def once(self, progress: Callable[[int, int], None] | None = None) -> Downloaded:
        """Top up once.

        Args:
            progress: called with minutes done and minutes in all.

        Raises: as `Downloader.top_up` and `build_master`.
        """
        result = await self.downloader.top_up(progress)
        if self.features is not None:
            await self.build()
        self.state.beat(self.clock, "up to date", _counters(result))
        return result

    async def build(self) -> Built:
        """Bring the master database up to date."""
        assert self.features is not None
        store = self.downloader.store
        return await asyncio.to_thread(build_from_store, store, self.spread_pips, self.features, self.clock)


def _counters(result: Downloaded) -> dict[str, float]:
    return {"new_bars": float(result.new), "complete_until_s": float(result.end_s)}
