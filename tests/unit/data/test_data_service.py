"""The data service: the store follows the broker, the master database follows the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from data_fakes import Broker

from swt_core.calendar import trading_day
from swt_core.clock import ManualClock
from swt_core.config import DataConfig
from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError, Unavailable
from swt_core.instruments import instrument
from swt_core.state import StateDirectory
from swt_data.bars import Bars
from swt_data.download import Downloader
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars
from swt_environments.dataset import load_bars
from swt_features import data_service
from swt_features.data_service import DataService, Pulse, master_directory
from swt_features.master import open_master, read_manifest

GBP_JPY = instrument("GBP_JPY")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return synthetic_bars("realistic", 4, 3, GBP_JPY)


async def no_pause(seconds: float) -> None:
    return None


def service(broker: Broker, directory: Path, *, build: bool = True) -> DataService:
    clock = ManualClock(1.0)
    downloader = Downloader(broker, BarStore(directory, GBP_JPY), clock, "test broker", pause=no_pause)
    return DataService(downloader, StateDirectory(directory), clock, 4.0, FeaturesConfig() if build else None)


async def test_one_top_up_brings_store_and_master_to_the_newest_complete_candle(
    tmp_path: Path, bars: Bars
) -> None:
    first = service(Broker(bars, now_row=2000), tmp_path)
    await first.downloader.fetch(int(bars.time_s[0]))
    result = await service(Broker(bars), tmp_path).once()
    assert result.new == len(bars) - 2001
    with open_master(master_directory(BarStore(tmp_path, GBP_JPY))) as master:
        assert master.execute("SELECT count(*), max(time_s) FROM bars").fetchone() == (
            len(bars),
            int(bars.time_s[-1]),
        )
        assert master.execute("SELECT source FROM sources").fetchall() == [("test broker",)]
    heartbeat = StateDirectory(tmp_path).heartbeat()
    assert heartbeat is not None
    assert heartbeat.counters["new_bars"] == result.new


async def test_the_running_service_follows_and_builds_once_a_trading_day(
    tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_end = int((trading_day(bars.time_s) == trading_day(bars.time_s[0])).sum())
    broker = Broker(bars, now_row=day_end - 30)
    await service(broker, tmp_path).downloader.fetch(int(bars.time_s[0]))
    stop = asyncio.Event()
    built_at: list[int] = []
    build = data_service.build_from_store

    def noted(*arguments: object) -> object:
        built_at.append(broker.now_row)
        return build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(data_service, "build_from_store", noted)
    rows = iter([day_end - 20, None, day_end - 10, day_end + 10, day_end + 20])

    def next_minute() -> None:
        row = next(rows, -1)
        if row is None:
            raise Unavailable("502")
        if row == -1:
            stop.set()
        else:
            broker.now_row = row

    class Ticking(Broker):
        async def candles(self, instrument: str, **asked: object) -> object:  # type: ignore[override]
            if "count" in asked and asked["count"] is not None:
                next_minute()
            return await broker.candles(instrument, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr("swt_data.download.ATTEMPTS", 1)
    await service(Ticking(bars), tmp_path).run(1e-6, stop)
    stored = BarStore(tmp_path, GBP_JPY).read(4.0)
    assert stored.sha256 == bars.rows(slice(0, day_end + 21)).sha256
    assert built_at == [day_end - 20, day_end + 10]
    heartbeat = StateDirectory(tmp_path).heartbeat()
    assert heartbeat is not None
    assert heartbeat.status == "stopped"


async def test_the_service_beats_from_its_loop_and_keeps_what_was_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, clock = StateDirectory(tmp_path), ManualClock(100.0)
    state.beat(clock, "up to date", {"complete_until_s": 60.0})
    monkeypatch.setattr(data_service, "_BEAT_S", 0.0)

    def seen() -> tuple[str, float, dict[str, float]]:
        heartbeat = state.heartbeat()
        assert heartbeat is not None
        return heartbeat.status, heartbeat.time_s, heartbeat.counters

    async with Pulse(state, clock).beating("downloading"):
        assert seen() == ("downloading", 100.0, {"complete_until_s": 60.0})
        clock.advance(30.0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert seen() == ("downloading", 130.0, {"complete_until_s": 60.0})
    assert seen()[0] == "stopped"


async def test_without_a_wish_for_it_no_master_is_built(tmp_path: Path, bars: Bars) -> None:
    await service(Broker(bars), tmp_path).downloader.fetch(int(bars.time_s[0]))
    await service(Broker(bars), tmp_path, build=False).once()
    assert read_manifest(master_directory(BarStore(tmp_path, GBP_JPY))) is None


async def test_a_bar_store_is_a_source_of_bars_like_a_file(tmp_path: Path, bars: Bars) -> None:
    await service(Broker(bars), tmp_path).downloader.fetch(int(bars.time_s[0]))
    for path in (tmp_path, tmp_path / "GBP_JPY"):
        loaded, source, synthetic = load_bars(DataConfig(bars_file=str(path)))
        assert loaded.sha256 == bars.sha256
        assert (source, synthetic) == (path.name, False)
    with pytest.raises(DataError, match="no bars of this span"):
        load_bars(DataConfig(bars_file=str(tmp_path), instrument="EUR_USD"))
