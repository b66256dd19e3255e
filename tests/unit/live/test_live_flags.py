"""START_TRADING, EMERGENCY_STOP, the week's end, and idling while the market is closed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from live_fakes import World, configured, market

from swt_core.errors import StateError
from swt_core.position import BUY, CLOSE, HOLD
from swt_live.safety import TradingState

# Friday 2024-01-12 15:30 New York: an hour and a half before the week's end.
FRIDAY_S = 1_705_091_400


def bought(tmp_path: Path, **live: object) -> World:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD, config=configured(live=live))
    world.press_start()
    return world


async def test_removing_start_trading_flattens(tmp_path: Path) -> None:
    world = bought(tmp_path)
    await world.run(3)
    assert world.broker.units == 1
    world.directory.lower_flag("START_TRADING")
    await world.run(0.2)
    assert world.broker.units == 0
    assert world.trader.state is TradingState.REDUCING
    assert world.journal.trades()[0].forced


async def test_removing_start_trading_holds_when_so_configured(tmp_path: Path) -> None:
    world = bought(tmp_path, stop_flattens=False)
    await world.run(3)
    world.directory.lower_flag("START_TRADING")
    await world.run(5)
    assert world.broker.units == 1
    world.engine.script = lambda n: CLOSE
    await world.run(2)
    assert world.broker.units == 0
    world.engine.script = lambda n: BUY
    await world.run(3)
    assert world.broker.units == 0


async def test_the_start_flag_is_read_again_before_every_entry(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY)
    world.press_start()
    await world.run(0.9)
    orders = len(world.broker.orders)
    world.directory.lower_flag("START_TRADING")
    await world.run(5)
    assert all(order.units < 0 for order in world.broker.orders[orders:])


async def test_emergency_stop_flattens_at_once_and_stays_halted(tmp_path: Path) -> None:
    world = bought(tmp_path)
    await world.run(3)
    world.engine.script = lambda n: BUY
    world.directory.raise_flag("EMERGENCY_STOP")
    before_s = world.clock.now_s
    await world.run(1 / 60)
    assert world.broker.units == 0
    assert world.journal.fills()[-1].time_s - before_s < 60
    world.directory.lower_flag("EMERGENCY_STOP")
    await world.run(5)
    assert world.broker.units == 0
    assert world.trader.state is TradingState.HALTED


async def test_a_person_lifts_a_halt_by_setting_start_trading_anew(tmp_path: Path) -> None:
    world = bought(tmp_path)
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.run(1)
    world.directory.lower_flag("EMERGENCY_STOP")
    world.directory.lower_flag("START_TRADING")
    await world.run(1)
    assert world.trader.state is TradingState.HALTED
    world.press_start()
    await world.run(1)
    assert world.trader.state is TradingState.ACTIVE


async def test_a_halt_survives_a_restart(tmp_path: Path) -> None:
    world = bought(tmp_path)
    world.trader.safety.halt("test")
    world.start_trader()
    assert world.trader.state is TradingState.HALTED


async def test_emergency_stop_closes_even_what_the_book_does_not_know(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.run(1)
    world.broker.trade(3, world.clock.now_s)
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.run(0.2)
    assert world.broker.units == 0


async def test_no_entries_before_the_weekend_and_flat_by_its_cut_off(tmp_path: Path) -> None:
    bars = market(385, start_s=FRIDAY_S - 300 * 60)
    world = World(tmp_path, lambda n: BUY if n == 5 else HOLD, bars=bars)
    world.press_start()
    await world.run(20)
    assert world.broker.units == 1
    world.engine.script = lambda n: BUY
    await world.run(66)
    assert world.broker.units == 0
    cut_off_s = FRIDAY_S + 80 * 60
    last = world.broker.orders[-1]
    assert last.units == -1
    assert cut_off_s <= world.journal.fills()[-1].time_s <= cut_off_s + 5
    assert [order.units for order in world.broker.orders] == [1, -1]


async def test_the_trader_closes_for_the_week_when_no_decision_can(tmp_path: Path) -> None:
    bars = market(385, start_s=FRIDAY_S - 300 * 60)
    world = World(tmp_path, lambda n: BUY if n == 5 else HOLD, bars=bars)
    world.press_start()
    await world.run(20)
    world.models.choice = None
    world.broker.candles_fail = world.broker.silent = True
    await world.run(66)
    assert world.broker.units == 0


async def test_a_closed_market_costs_no_stream_and_few_wake_ups(tmp_path: Path) -> None:
    world = World(tmp_path, bars=market(305, start_s=FRIDAY_S + 90 * 60 - 300 * 60))
    world.press_start()
    world.clock.now_s = float(FRIDAY_S + 93 * 60)
    wakes = 0
    until_s = world.clock.now_s + 24 * 3600
    while world.clock.now_s < until_s:
        await world.trader.step()
        wakes += 1
        await world.clock.sleep_until(world.trader.next_wake_s())
    assert not world.trader.feed.connected
    assert wakes <= 24 * 60 + 24 * 12 * 2 + 24 * 12


async def test_flags_that_cannot_be_read_stop_entries_and_change_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = bought(tmp_path)
    await world.run(3)

    def unreadable(_: str) -> bool:
        raise StateError("input/output error")

    monkeypatch.setattr(world.directory, "flag", unreadable)
    await world.run(2)
    assert world.broker.units == 1
    assert world.trader.desk.veto() == "the flags cannot be read"
    assert world.journal.audits("flags_unreadable")


async def test_a_trader_that_is_asked_to_stop_leaves_the_position_to_the_next_start(tmp_path: Path) -> None:
    world = bought(tmp_path)
    await world.run(3)
    running = asyncio.ensure_future(world.trader.run())
    for _ in range(20):
        await asyncio.sleep(0)
    world.trader.stop()
    await asyncio.wait_for(running, 10)
    assert world.broker.units == 1
    assert not world.trader.feed.connected
    world.start_trader()
    await world.run(1)
    assert world.trader.book.units == 1
