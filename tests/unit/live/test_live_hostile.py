"""Rare and hostile: what a broker, a disk or a power cut may do in the worst moment."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from live_fakes import World, configured

from swt_broker.records import OrderRequest, OrderResult
from swt_core.errors import CheckpointError
from swt_core.position import BUY, CLOSE, HOLD
from swt_live.journal import Journal
from swt_live.journal_records import IntentState
from swt_live.safety import TradingState


class PowerCut(BaseException):
    """The process dies here: nothing after it runs."""


async def holding_world(tmp_path: Path, script: Any = lambda n: BUY if n == 1 else HOLD) -> World:
    world = World(tmp_path, script)
    world.press_start()
    await world.run(3)
    assert world.broker.units == 1
    return world


async def test_a_close_that_fills_more_than_was_held_leaves_no_position_nobody_asked_for(
    tmp_path: Path,
) -> None:
    world = await holding_world(tmp_path, lambda n: {1: BUY, 4: CLOSE}.get(n, HOLD))
    honest = world.broker.create_order

    async def overfill(order: OrderRequest) -> OrderResult:
        world.broker.create_order = honest  # type: ignore[method-assign]
        world.broker.orders.append(order)
        now_s = world.clock.now_s
        create = world.broker._create(order, now_s)
        fill = world.broker.trade(-3, now_s, client_id=order.client_id, order_id=create.transaction_id)
        return OrderResult(create, fill, None, (), world.broker.last_id, None, {})

    world.broker.create_order = overfill  # type: ignore[method-assign]
    await world.run(4)
    assert world.broker.units == world.trader.book.units == 0
    assert world.trader.state is TradingState.HALTED


async def test_a_position_is_closed_when_its_model_cannot_be_loaded_after_a_restart(tmp_path: Path) -> None:
    world = await holding_world(tmp_path)

    def refuse(_: Any) -> Any:
        raise CheckpointError("the bytes are not what was judged")

    world.models.load = refuse  # type: ignore[method-assign]
    world.start_trader()
    await world.run(2)
    assert world.broker.units == 0


async def test_a_death_right_after_a_foreign_fill_was_booked_does_not_lose_the_halt(tmp_path: Path) -> None:
    world = await holding_world(tmp_path)
    read_log, read_account = world.broker.transactions_since, world.broker.account

    async def trade_meanwhile(since: int) -> Any:
        world.broker.trade(1, world.clock.now_s)
        world.broker.account = die  # type: ignore[method-assign]
        return await read_log(since)

    async def die() -> Any:
        raise PowerCut

    world.broker.transactions_since = trade_meanwhile  # type: ignore[method-assign]
    with pytest.raises(PowerCut):
        await world.trader.desk.reconcile("test")
    world.broker.transactions_since = read_log  # type: ignore[method-assign]
    world.broker.account = read_account  # type: ignore[method-assign]
    world.start_trader()
    await world.run(1)
    assert world.trader.book.units == world.broker.units
    assert world.trader.state is TradingState.HALTED


@pytest.mark.parametrize("transactions_behind", [1, 2])
async def test_a_log_that_lags_behind_the_account_is_waited_for(
    tmp_path: Path, transactions_behind: int
) -> None:
    world = World(tmp_path)
    world.press_start()
    await world.run(1)
    read_log = world.broker.transactions_since
    world.broker.trade(1, world.clock.now_s)
    world.broker.trade(-1, world.clock.now_s)
    world.broker.trade(1, world.clock.now_s)

    async def lag(since: int) -> Any:
        return (await read_log(since))[:-transactions_behind]

    world.broker.transactions_since = lag  # type: ignore[method-assign]
    result = await world.trader.reconciler.reconcile("test")
    assert not result.ok
    assert world.trader.book.units == 1 - transactions_behind % 2
    world.broker.transactions_since = read_log  # type: ignore[method-assign]
    assert (await world.trader.reconciler.reconcile("test")).ok
    assert world.trader.book.units == 1
    assert not [audit for audit in world.journal.audits() if audit[1].startswith("drift")]


def test_a_full_disk_takes_back_the_whole_transaction_and_leaves_the_journal_usable(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages}")

    def fill_up() -> None:
        with journal.transaction():
            journal.audit(0.0, "small")
            for _ in range(100):
                journal.audit(0.0, "large", "x" * 4000)

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill_up()
    journal._db.execute("PRAGMA max_page_count=1000000")
    assert journal.audits() == []
    journal.audit(0.0, "afterwards")
    assert [audit[1] for audit in Journal(tmp_path / "journal.db").audits()] == ["afterwards"]


def test_a_commit_that_fails_is_taken_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")

    class Failing:
        """The connection, whose next COMMIT fails."""

        def __init__(self, db: sqlite3.Connection) -> None:
            self.db = db

        def __getattr__(self, name: str) -> Any:
            return getattr(self.db, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return self.db.execute(statement, *values)

    connection = journal._db
    journal._db = Failing(connection)  # type: ignore[assignment]
    with pytest.raises(sqlite3.OperationalError, match="I/O"), journal.transaction():
        journal.audit(0.0, "lost")
    journal._db = connection
    assert not connection.in_transaction
    assert journal.audits() == []


async def test_a_shutdown_waits_for_an_undecided_entry_and_closes_what_it_brought(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    world.broker.order_faults.append("delayed 30")
    await world.run(1.2)
    assert len(world.trader.executor.undecided) == 1
    world.trader.safety.shut_down("test")
    await world.run(0.1)
    assert world.broker.units == 0
    await world.run(3)
    assert [intent.state for intent in world.journal.intents()][0] is IntentState.FILLED
    assert world.broker.units == world.trader.book.units == 0
    assert world.trader.safety.memory.flatten_reason is None


async def test_a_lost_emergency_order_does_not_hold_up_the_next_one(tmp_path: Path) -> None:
    world = await holding_world(tmp_path)
    world.broker.order_faults.append("lost")
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.run(0.2)
    assert world.broker.units == 0
    assert [order.position_fill for order in world.broker.orders[1:]] == ["REDUCE_ONLY"] * 2
    await world.run(3)
    assert world.broker.units == world.trader.book.units == 0
    assert world.trader.executor.undecided == []


async def test_a_late_emergency_order_beside_a_second_one_opens_nothing(tmp_path: Path) -> None:
    world = await holding_world(tmp_path)
    world.broker.order_faults.append("delayed 30")
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.run(3)
    assert world.broker.units == world.trader.book.units == 0
    assert len(world.journal.trades()) == 1


async def test_an_excess_is_reduced_by_one_order_at_a_time(tmp_path: Path) -> None:
    config = configured(live={"quarantine_seconds": 20})
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD, config=config)
    world.press_start()
    world.broker.order_faults.extend(["oversize 66", "delayed 10"])
    await world.run(3)
    assert world.broker.units == world.trader.book.units == 1
    assert [order.units for order in world.broker.orders] == [1, -65]


async def test_a_clock_ahead_of_the_brokers_decides_on_no_bar_before_it_has_closed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    world.clock.now_s += 30.0
    world.clock.on_advance = lambda until_s: world.broker.advance(until_s - 30.0)
    await world.run(5)
    assert world.points == []
    assert world.trader.feed.stale()


async def test_a_clock_behind_the_brokers_decides_on_no_old_bar(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    world.clock.now_s -= 600.0
    world.clock.on_advance = lambda until_s: world.broker.advance(until_s + 600.0)
    await world.run(15)
    assert world.points == []


async def test_a_price_from_the_future_does_not_freeze_the_quote(tmp_path: Path) -> None:
    world = await holding_world(tmp_path)
    world.broker._emit((world.clock.now_s + 3600.0, 1_000, 1_024))
    await world.run(2)
    assert world.trader.feed.last_quote() == world.broker.quote()
    assert world.trader.feed.counters.impossible == 1
