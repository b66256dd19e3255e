"""The data service: tops the bar store up once or again and again, and keeps the master database with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swt_core.calendar import trading_day
from swt_core.clock import Clock
from swt_core.config.models import FeaturesConfig
from swt_core.errors import Unavailable
from swt_core.logs import get_logger
from swt_core.state import StateDirectory
from swt_data.download import Downloaded, Downloader
from swt_data.store import BarStore
from swt_features.master import Built, build_master

_log = get_logger(__name__)


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
        while not stop.is_set():
            try:
                result = await self.downloader.top_up()
            except Unavailable as error:
                _log.warning("the broker is unavailable", error=str(error))
                self.state.beat(self.clock, "broker unavailable")
            else:
                day = int(trading_day(result.end_s))
                if self.features is not None and day != built_day:
                    await self.build()
                    built_day = day
                self._beat(result)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)
        self.state.beat(self.clock, "stopped")

    async def once(self) -> Downloaded:
        """Top up once.

        Raises: as `Downloader.top_up` and `build_master`.
        """
        result = await self.downloader.top_up()
        if self.features is not None:
            await self.build()
        self._beat(result)
        return result

    async def build(self) -> Built:
        """Bring the master database up to date."""
        assert self.features is not None
        store = self.downloader.store
        return await asyncio.to_thread(build_from_store, store, self.spread_pips, self.features, self.clock)

    def _beat(self, result: Downloaded) -> None:
        counters = {"new_bars": float(result.new), "complete_until_s": float(result.end_s)}
        self.state.beat(self.clock, "up to date", counters)
