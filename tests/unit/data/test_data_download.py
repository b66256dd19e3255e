"""Downloads: whatever is killed, and when, the next run leaves neither a hole nor a duplicate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_fakes import Broker

from swt_broker.records import Candle, CandlePrices
from swt_core.clock import ManualClock
from swt_core.errors import DataError, Unavailable
from swt_core.instruments import instrument
from swt_data import download as download_module
from swt_data import store as store_module
from swt_data.bars import Bars
from swt_data.download import Downloaded, Downloader
from swt_data.manifest import Span, missing_spans, with_span
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars

GBP_JPY = instrument("GBP_JPY")


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture(scope="module")
def bars() -> Bars:
    """A weekend and the end of a month lie within."""
    whole = synthetic_bars("realistic", 25, 3, GBP_JPY)
    month_end = int(np.searchsorted(whole.time_s, 1_422_748_800))  # 2015-02-01, a Sunday
    return whole.rows(slice(month_end - 700, month_end + 500))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "PAGE_MINUTES", 500)
    monkeypatch.setattr(download_module, "BATCH_PAGES", 2)


async def no_pause(seconds: float) -> None:
    return None


def downloader(broker: Any, directory: Path, **settings: Any) -> Downloader:
    store = BarStore(directory, GBP_JPY)
    return Downloader(broker, store, ManualClock(1.0), "test broker", pause=no_pause, **settings)


async def fetch(broker: Any, directory: Path, bars: Bars) -> Downloaded:
    return await downloader(broker, directory).fetch(int(bars.time_s[0]))


async def test_a_download_is_the_series_with_its_quotes(tmp_path: Path, bars: Bars) -> None:
    done: list[tuple[int, int]] = []
    broker = Broker(bars)
    result = await downloader(broker, tmp_path).fetch(
        int(bars.time_s[0]), progress=lambda *at: done.append(at)
    )
    stored = BarStore(tmp_path, GBP_JPY).read(0.0)
    assert stored.sha256 == bars.sha256
    np.testing.assert_array_equal(stored.volume, bars.volume)
    assert (result.new, result.end_s) == (len(bars), int(bars.time_s[-1]) + 60)
    assert result.pages == len(broker.requests)
    assert done[-1][0] == done[-1][1] == (int(bars.time_s[-1] - bars.time_s[0])) // 60 + 1
    assert all(to_s - from_s <= 500 * 60 for from_s, to_s in broker.requests)
    manifest = BarStore(tmp_path, GBP_JPY).manifest()
    assert manifest is not None
    assert [source.source for source in manifest.sources] == ["test broker"]


async def test_a_kill_at_any_request_or_write_leaves_no_hole_and_no_duplicate(
    tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies at the k-th step, for every k there is: before each answer, part, manifest, and after each."""
    write_bars, write_json = store_module.write_bars, store_module.state.write_json
    steps, last_step = 0, 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == last_step:
            raise Killed

    def dying(write: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            step()
            write(*arguments)
            step()

        return run

    killed = set()
    while True:
        last_step += 1
        steps = 0
        directory = tmp_path / str(last_step)
        broker = Broker(bars)
        broker.before_answer = step
        with monkeypatch.context() as patch:
            patch.setattr(store_module, "write_bars", dying(write_bars))
            patch.setattr(store_module.state, "write_json", dying(write_json))
            try:
                await fetch(broker, directory, bars)
            except Killed:
                store = BarStore(directory, GBP_JPY)
                manifest = store.manifest()
                killed.add(0 if manifest is None else manifest.bars)
                if manifest is not None:
                    # What the manifest calls downloaded is there without exception.
                    (span,) = manifest.downloaded
                    assert store.read(0.0).sha256 == bars.between(span.start_s, span.end_s).sha256
            else:
                break
        await fetch(Broker(bars), directory, bars)
        assert BarStore(directory, GBP_JPY).read(0.0).sha256 == bars.sha256
    assert last_step > 20
    assert len(killed) >= 4


async def test_a_resumed_download_asks_only_for_what_is_missing(tmp_path: Path, bars: Bars) -> None:
    await downloader(Broker(bars), tmp_path).fetch(int(bars.time_s[100]), int(bars.time_s[300]))
    broker = Broker(bars)
    result = await fetch(broker, tmp_path, bars)
    known = (int(bars.time_s[100]), int(bars.time_s[300]))
    assert all(to_s <= known[0] or from_s >= known[1] for from_s, to_s in broker.requests)
    assert (result.new, result.unchanged) == (len(bars) - 200, 0)
    assert BarStore(tmp_path, GBP_JPY).read(0.0).sha256 == bars.sha256
    again = Broker(bars)
    assert (await fetch(again, tmp_path, bars)).pages == 0
    assert again.requests == []


async def test_an_incomplete_candle_is_never_stored(tmp_path: Path, bars: Bars) -> None:
    broker = Broker(bars, now_row=600, newest_complete=False)
    result = await fetch(broker, tmp_path, bars)
    assert result.end_s == bars.time_s[600]
    assert BarStore(tmp_path, GBP_JPY).read(0.0).sha256 == bars.rows(slice(0, 600)).sha256
    # The same minute, once it is complete, and what came after it.
    later = Broker(bars, now_row=610, newest_complete=True)
    topped = await downloader(later, tmp_path).top_up()
    assert topped.new == 11
    assert BarStore(tmp_path, GBP_JPY).read(0.0).sha256 == bars.rows(slice(0, 611)).sha256


async def test_an_incomplete_candle_before_the_newest_ends_the_series_for_now(
    tmp_path: Path, bars: Bars
) -> None:
    class Late(Broker):
        def _candle(self, row: int) -> Candle:
            candle = super()._candle(row)
            return Candle(**{**vars(candle), "complete": candle.complete and row != 200})

    result = await fetch(Late(bars), tmp_path, bars)
    assert result.end_s == bars.time_s[200]
    assert BarStore(tmp_path, GBP_JPY).read(0.0).sha256 == bars.rows(slice(0, 200)).sha256
    await downloader(Broker(bars), tmp_path).top_up()
    assert BarStore(tmp_path, GBP_JPY).read(0.0).sha256 == bars.sha256


async def test_a_closed_market_is_answered_by_no_candle_and_not_asked_for_again(
    tmp_path: Path, bars: Bars
) -> None:
    gap = int(np.argmax(np.diff(bars.time_s)))
    start_s, end_s = int(bars.time_s[gap]) + 60, int(bars.time_s[gap + 1])
    result = await downloader(Broker(bars), tmp_path).fetch(start_s, end_s)
    assert (result.new, result.end_s) == (0, end_s)
    assert BarStore(tmp_path, GBP_JPY).manifest() is not None
    assert (await downloader(Broker(bars), tmp_path).fetch(start_s, end_s)).pages == 0
    assert (await fetch(Broker(bars), tmp_path, bars)).new == len(bars)


async def test_passing_failures_are_asked_again_and_lasting_ones_told(tmp_path: Path, bars: Bars) -> None:
    broker = Broker(bars)
    failures = iter([True, False] * 1000)

    def fail_every_other() -> None:
        if next(failures):
            raise Unavailable("502")

    broker.before_answer = fail_every_other
    await fetch(broker, tmp_path / "passing", bars)
    assert BarStore(tmp_path / "passing", GBP_JPY).read(0.0).sha256 == bars.sha256

    def fail() -> None:
        raise Unavailable("502")

    broker.before_answer = fail
    with pytest.raises(Unavailable, match="502"):
        await fetch(broker, tmp_path / "lasting", bars)


async def test_requests_run_side_by_side_within_the_limit(tmp_path: Path, bars: Bars) -> None:
    class Slow(Broker):
        async def candles(self, instrument: str, **asked: Any) -> tuple[Candle, ...]:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            await asyncio.sleep(0)
            self.in_flight -= 1
            return await super().candles(instrument, **asked)

    for concurrency in (1, 2):
        broker = Slow(bars)
        await downloader(broker, tmp_path / str(concurrency), concurrency=concurrency).fetch(
            int(bars.time_s[0])
        )
        assert broker.most_in_flight == concurrency


async def test_an_empty_store_has_no_beginning_to_top_up_from(tmp_path: Path, bars: Bars) -> None:
    with pytest.raises(DataError, match="from when on"):
        await downloader(Broker(bars), tmp_path).top_up()


async def test_prices_in_other_points_are_refused(tmp_path: Path, bars: Bars) -> None:
    class Finer(Broker):
        def _candle(self, row: int) -> Candle:
            candle = super()._candle(row)
            assert candle.bid is not None
            bid = vars(candle.bid) | {"open": candle.bid.open + Decimal("0.0004")}
            return Candle(**{**vars(candle), "bid": CandlePrices(**bid)})

    with pytest.raises(DataError, match="more than 3 decimals"):
        await fetch(Finer(bars), tmp_path, bars)


def test_spans_join_where_they_touch_and_what_is_missing_lies_between() -> None:
    spans: tuple[Span, ...] = ()
    for start_s, end_s in ((300, 400), (0, 100), (100, 200), (350, 500)):
        spans = with_span(spans, Span(start_s=start_s, end_s=end_s))
    assert [(span.start_s, span.end_s) for span in spans] == [(0, 200), (300, 500)]
    missing = missing_spans(spans, Span(start_s=50, end_s=600))
    assert [(span.start_s, span.end_s) for span in missing] == [(200, 300), (500, 600)]
    assert missing_spans(spans, Span(start_s=0, end_s=200)) == []
    assert missing_spans(spans, Span(start_s=210, end_s=250)) == [Span(start_s=210, end_s=250)]
