"""Bars from ticks, gaps from candles, staleness and reconnection."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from live_fakes import GBP_JPY, NOON_S, FakeBroker, VirtualClock, World, configured, market

from swt_broker.records import Price
from swt_core.errors import Unavailable
from swt_core.position import BUY, HOLD
from swt_live.bar_builder import BarBuilder, candle_bar
from swt_live.feed import PriceFeed


def test_a_bar_has_the_first_and_last_quote_of_its_minute() -> None:
    builder = BarBuilder()
    for second, bid in ((2, 100), (10, 130), (20, 90), (59, 110)):
        builder.on_tick(NOON_S + second, bid, bid + 24)
    builder.on_tick(NOON_S + 61, 200, 230)
    [bar] = builder.close_before(NOON_S + 60)
    assert (bar.time_s, bar.open_hp, bar.high_hp, bar.low_hp, bar.close_hp) == (NOON_S, 224, 284, 204, 244)
    assert (bar.spread_open, bar.spread_close, bar.volume) == (24, 24, 4)
    assert builder.close_before(NOON_S + 60) == []


def test_duplicates_change_nothing_and_disorder_never_the_close() -> None:
    builder = BarBuilder()
    builder.on_tick(NOON_S + 2, 100, 120)
    builder.on_tick(NOON_S + 30, 110, 130)
    builder.on_tick(NOON_S + 30, 110, 130)
    builder.on_tick(NOON_S + 10, 150, 170)
    [bar] = builder.close_before(NOON_S + 60)
    assert (bar.close_hp, bar.high_hp, bar.volume) == (240, 320, 3)


def test_a_tick_for_a_closed_minute_is_counted_and_not_used() -> None:
    builder = BarBuilder()
    builder.close_before(NOON_S + 60)
    builder.on_tick(NOON_S + 59, 100, 120)
    assert builder.late_ticks == 1
    assert builder.close_before(NOON_S + 120) == []


async def test_stream_bars_and_candles_of_the_same_minute_are_equal(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    await world.run(6)
    rows = world.journal.bars(0)
    streamed = [bar for bar in rows if bar.source == "stream"]
    assert len(streamed) >= 4
    candles = await world.trader.feed.candles(streamed[0].time_s, streamed[-1].time_s + 60)
    assert [replace(bar, source="") for bar in streamed] == [replace(bar, source="") for bar in candles]
    assert world.trader.window.corrections.bars_differ == 0


async def test_a_candle_that_closes_elsewhere_corrects_bar_and_position_after_the_decision(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(4.1)
    row = int(np.searchsorted(world.bars.time_s, world.points[-1].market.bar_time_s))
    seen = world.points[-1].bars.close_hp[-1]
    changed = world.bars.close_hp.copy()
    changed[row] += 20
    world.broker.bars = replace(
        world.bars, close_hp=changed, high_hp=world.bars.high_hp + 40, low_hp=world.bars.low_hp - 40
    )
    before = world.trader.book.row.copy()
    await world.run(0.5)
    assert world.trader.window.bars().close_hp[-1] == seen + 20
    assert world.trader.window.corrections.closes_differ == 1
    assert (world.trader.book.row != before).any()
    assert world.journal.audits("candle_differs")


async def test_a_minute_without_a_tick_has_no_decision(tmp_path: Path) -> None:
    bars = market(400)
    keep = np.delete(np.arange(400), 303)
    world = World(tmp_path, bars=bars.rows(keep))
    world.press_start()
    await world.run(8)
    decided = [point.market.bar_time_s for point in world.points]
    assert int(bars.time_s[303]) not in decided
    assert len(decided) == 7


async def test_a_lost_stream_is_opened_again_and_the_gap_refilled(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    await world.run(2)
    world.broker.streams[-1].queue.put_nowait(Unavailable("reset"))
    await world.run(4)
    feed = world.trader.feed
    assert feed.counters.connects == 2
    assert feed.counters.gaps == feed.counters.gaps_recovered
    assert set(np.diff([bar.time_s for bar in world.journal.bars(0)])) == {60}
    assert "reconnect" in " ".join(audit[2] for audit in world.journal.audits("reconciled"))


async def test_a_silent_stream_is_dropped_and_nothing_is_decided_on_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    await world.run(2)
    world.broker.silent = True
    world.broker.streams_fail = True
    await world.run(3)
    assert world.trader.feed.stale()
    assert world.trader.feed.quote() is None
    assert world.trader.feed.last_quote() is not None
    assert world.trader.counters.skipped["stale feed"] >= 1
    before = len(world.points)
    world.broker.silent = world.broker.streams_fail = False
    await world.run(5)
    assert len(world.points) > before


async def test_reconnection_waits_longer_each_time_with_jitter() -> None:
    clock = VirtualClock(float(NOON_S))
    broker = FakeBroker(market(10), clock)
    broker.streams_fail = True
    feed = PriceFeed(broker, GBP_JPY, clock, np.random.default_rng(3), stale_after_s=10)  # type: ignore[arg-type]
    waits = []
    for _ in range(9):
        assert not await feed.upkeep()
        waits.append(feed.reconnect_s - clock.now_s)
        clock.now_s = feed.reconnect_s
    ceilings = [min(60.0, 2.0**i) * 1.5 for i in range(9)]
    assert all(ceiling / 3.0 <= wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=True))
    assert len({round(wait / ceiling, 6) for wait, ceiling in zip(waits, ceilings, strict=True)}) == 9
    assert "no stream" in feed.last_error


async def test_no_decision_while_a_bar_is_missing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.broker.candle_delay_s = 40.0
    world.press_start()
    await world.run(0.5)
    assert world.trader.counters.skipped == {"a bar is missing": 6, "late": 1}
    await world.run(5)
    assert world.points


async def test_candles_that_do_not_answer_postpone_everything(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.broker.candles_fail = True
    world.press_start()
    await world.run(3)
    assert world.points == []
    assert world.trader.counters.skipped["candles unavailable"] > 3
    world.broker.candles_fail = False
    await world.run(2)
    assert world.points


async def test_non_tradeable_and_foreign_prices_make_no_bars() -> None:
    clock = VirtualClock(float(NOON_S))
    feed = PriceFeed(
        FakeBroker(market(10), clock),
        GBP_JPY,
        clock,
        np.random.default_rng(3),
        stale_after_s=10,  # type: ignore[arg-type]
    )
    price = Price(GBP_JPY.name, NOON_S + 1.0, "", Decimal("1"), Decimal("2"), False, (), (), {})
    feed._take(price)
    feed._take(replace(price, tradeable=True, instrument="EUR_USD"))
    assert feed.counters.ticks == 0
    assert feed.last_quote() is None
    feed._take(replace(price, tradeable=True))
    assert feed.last_quote() == (1000, 2000)


async def test_a_candle_of_a_minute_the_stream_missed_is_put_in_its_place(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(6)
    window = world.trader.window
    times = window.bars().time_s
    missing = world.journal.bars(int(times[-3]))[0]
    bars_before = world.trader.book.row[2]
    del window._recent[missing.time_s]
    world.trader.book._marks = [m for m in world.trader.book._marks if m.time_s != missing.time_s]
    assert window.compare(replace(missing, source="candle"))
    assert window.corrections.missing == 1
    assert world.trader.book.row[2] == bars_before
    assert not window.compare(replace(missing, time_s=int(times[-1]) + 60))


def test_a_candle_with_one_side_is_no_bar() -> None:
    broker = FakeBroker(market(10), VirtualClock(float(NOON_S + 600)))
    candle = broker._candle(3)
    assert candle_bar(candle, GBP_JPY) is not None
    assert candle_bar(replace(candle, bid=None), GBP_JPY) is None


@pytest.mark.parametrize("delay_s", [0.0, 3.0])
async def test_decisions_come_the_configured_time_after_the_close(tmp_path: Path, delay_s: float) -> None:
    world = World(tmp_path, config=configured(live={"decision_delay_seconds": delay_s}), seconds=10.0)
    world.press_start()
    await world.run(3)
    decided = world.journal.decisions(0, 2**40)
    assert decided
    assert {item.decided_s - item.bar_time_s - 60 for item in decided} == {delay_s}
