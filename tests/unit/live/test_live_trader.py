"""The trader's loop against a small exchange in virtual time."""

from __future__ import annotations

from pathlib import Path

from live_fakes import World

from swt_core.position import BUY, CLOSE, HOLD


async def test_an_idle_trader_neither_streams_nor_decides(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.run(10)
    assert world.trader.reconciled
    assert not world.broker.streams
    assert not world.broker.orders
    assert world.trader.counters.decisions == 0


async def test_one_decision_a_minute_at_the_bars_close(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    await world.run(10)
    decided = [point.market.bar_time_s for point in world.points]
    assert len(decided) == 10
    assert decided == list(range(decided[0], decided[0] + 60 * 10, 60))
    assert world.trader.counters.decisions == 10


async def test_a_trade_is_opened_and_closed_once(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: {1: BUY, 4: CLOSE}.get(n, HOLD))
    world.press_start()
    await world.run(10)
    assert [order.units for order in world.broker.orders] == [1, -1]
    assert [order.position_fill for order in world.broker.orders] == ["OPEN_ONLY", "REDUCE_ONLY"]
    assert world.broker.units == 0
    [trade] = world.journal.trades()
    assert trade.bars == 3
