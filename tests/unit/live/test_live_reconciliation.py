"""The broker is right, and a query that fails says nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from live_fakes import World, configured, transaction

from swt_broker.records import Position, PositionSide
from swt_core.errors import Unavailable
from swt_core.position import BUY, HOLD
from swt_live.journal_records import IntentState
from swt_live.reconciler import Drift, classify
from swt_live.safety import TradingState

NOTHING = PositionSide(Decimal(0), None, (), Decimal(0), Decimal(0))
FLAT = (Position("GBP_JPY", NOTHING, NOTHING, {}),)


def events(world: World) -> list[str]:
    return [audit[1] for audit in world.journal.audits()]


async def started(tmp_path: Path, *, buy: bool = False, **options: object) -> World:
    world = World(tmp_path, lambda n: BUY if buy and n == 1 else HOLD, **options)  # type: ignore[arg-type]
    world.press_start()
    await world.run(3)
    return world


@pytest.mark.parametrize(
    ("book", "broker", "drift"),
    [
        (0, 0, Drift.NONE),
        (2, 2, Drift.NONE),
        (1, 0, Drift.MISSING),
        (0, -1, Drift.UNEXPECTED),
        (1, -1, Drift.DIRECTION),
        (1, 3, Drift.SIZE),
        (-3, -1, Drift.SIZE),
    ],
)
def test_differences_have_names(book: int, broker: int, drift: Drift) -> None:
    assert classify(book, broker) is drift


async def test_somebody_elses_trade_is_detected_booked_and_halts_entries(tmp_path: Path) -> None:
    world = await started(tmp_path)
    world.broker.trade(1, world.clock.now_s)
    await world.run(1)
    assert world.trader.book.units == 1
    assert world.trader.state is TradingState.HALTED
    assert "foreign_fill" in events(world)
    assert world.broker.orders == []


async def test_a_position_closed_by_somebody_else_is_booked_as_a_trade(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    world.broker.trade(-1, world.clock.now_s, reason="MARKET_ORDER_TRADE_CLOSE")
    await world.run(1)
    assert world.trader.book.units == 0
    [trade] = world.journal.trades()
    assert trade.forced


async def test_somebody_elses_larger_opposite_trade_turns_the_book_around(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    world.broker.trade(-2, world.clock.now_s)
    await world.run(1)
    assert world.trader.book.units == world.broker.units == -1
    assert len(world.journal.trades()) == 1


async def test_a_position_above_the_limit_is_a_violation_and_reduced(tmp_path: Path) -> None:
    world = await started(tmp_path)
    world.broker.trade(5, world.clock.now_s)
    await world.run(2)
    assert world.broker.units == world.trader.book.units == 1
    assert [order.units for order in world.broker.orders] == [-4]
    assert world.broker.orders[0].position_fill == "REDUCE_ONLY"


@pytest.mark.parametrize(
    ("broker_units", "drift"),
    [(0, "drift_missing"), (3, "drift_size"), (-1, "drift_direction")],
)
async def test_what_the_log_does_not_explain_is_adopted(
    tmp_path: Path, broker_units: int, drift: str
) -> None:
    config = configured(trading_safety={"max_position_units": 10})
    world = await started(tmp_path, buy=True, config=config)
    world.broker.units = broker_units
    await world.run(1)
    assert world.trader.book.units == broker_units
    assert drift in events(world)
    assert world.trader.state is TradingState.HALTED
    # What vanished without a fill is in the trade table, marked as what nobody can explain.
    assert world.journal.unexplained_trades() == (broker_units <= 0)
    reasons = [row["reason"] for row in world.journal.rows("SELECT reason FROM trades", ())]
    assert all(reason.startswith("unexplained") for reason in reasons)
    assert "drift" in [event for event, _ in world.alerts.sent]


async def test_an_unexpected_position_at_the_first_start_is_adopted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.broker.units, world.broker.average_points = -1, 186_000
    await world.run(0.1)
    holding = world.trader.book.holding
    assert holding is not None
    assert (holding.units, holding.entry_points) == (-1, 186_000)
    assert "drift_unexpected" in events(world)


async def test_a_failed_reconciliation_changes_nothing_and_stops_entries(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    before = world.trader.book.row.copy()
    world.broker.read_faults = 1
    result = await world.trader.reconciler.reconcile("test")
    assert not result.ok
    assert result.snapshot is None
    assert world.trader.book.units == 1
    assert (world.trader.book.row == before).all()
    assert world.trader.reconciler.failures == 1


async def test_a_log_that_moves_on_under_the_snapshot_is_read_again(tmp_path: Path) -> None:
    world = await started(tmp_path)
    original, calls = world.broker.transactions_since, []

    async def moving(transaction_id: int):  # type: ignore[no-untyped-def]
        calls.append(transaction_id)
        if len(calls) <= 5:
            world.broker.trade(1, world.clock.now_s)
        return await original(transaction_id)

    world.broker.transactions_since = moving  # type: ignore[method-assign]
    result = await world.trader.reconciler.reconcile("test")
    assert result.ok
    assert result.broker_units == world.trader.book.units == world.broker.units
    assert not [event for event in events(world) if event.startswith("drift")]
    world.broker.transactions_since = original  # type: ignore[method-assign]
    result = await world.trader.reconciler.reconcile("test")
    assert result.broker_units == world.trader.book.units == world.broker.units


async def test_a_start_that_cannot_reconcile_does_not_trade(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY)
    world.press_start()
    world.broker.read_faults = 10_000
    await world.run(10)
    assert not world.trader.reconciled
    assert world.broker.orders == []
    world.broker.read_faults = 0
    await world.run(2)
    assert world.broker.orders


async def test_a_restart_takes_up_position_and_cursor_from_the_journal(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    row = world.trader.book.row.copy()
    world.start_trader()
    await world.trader.step()
    assert (world.trader.book.row == row).all()
    assert len(world.journal.fills()) == 1


async def test_other_exposure_is_reported(tmp_path: Path) -> None:
    world = await started(tmp_path)
    fill = transaction(
        world.broker.last_id + 1, "ORDER_FILL", world.clock.now_s,
        instrument="EUR_USD", units=Decimal(7), price=Decimal("1.1"),
    )  # fmt: skip
    world.broker.log.append(fill)
    original = world.broker.account

    async def with_order():  # type: ignore[no-untyped-def]
        from dataclasses import replace

        return replace(await original(), pending_order_count=1)

    world.broker.account = with_order  # type: ignore[method-assign]
    await world.trader.reconciler.reconcile("test")
    assert world.trader.book.units == 0
    assert "foreign_exposure" in events(world)
    assert "foreign_fill" in events(world)


async def test_duplicated_and_shuffled_transactions_are_booked_once(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    log = list(world.broker.log)
    units, fills = world.trader.book.units, len(world.journal.fills())
    assert world.trader.ledger.apply([*reversed(log), *log], complete=True) == []
    assert (world.trader.book.units, len(world.journal.fills())) == (units, fills)


async def test_a_rejection_seen_only_in_the_log_settles_the_intent(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    original = world.broker.create_order

    async def rejected_unheard(order):  # type: ignore[no-untyped-def]
        world.broker.order_faults.append("reject")
        try:
            return await original(order)
        except Exception as error:
            raise Unavailable("connection reset") from error

    world.broker.create_order = rejected_unheard  # type: ignore[method-assign]
    await world.run(3)
    [intent] = world.journal.intents()
    assert (intent.state, intent.detail) == (IntentState.REJECTED, "UNITS_INVALID")


async def test_the_brokers_own_profit_figure_is_cross_checked(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    world.broker.trade(-1, world.clock.now_s)
    fill = world.broker.log[-1]
    fill.raw["quotePL"] = "12345.6"  # type: ignore[index]
    await world.trader.reconciler.reconcile("test")
    assert "pnl_mismatch" in events(world)


async def test_after_an_order_the_accounts_changes_are_read_and_the_whole_account_when_in_doubt(
    tmp_path: Path,
) -> None:
    world = await started(tmp_path, buy=True)
    broker = world.broker
    assert broker.changes_read == 1  # after the order
    assert broker.accounts_read == 2  # at the start, and after the stream was opened
    await world.run(12)
    assert (broker.changes_read, broker.accounts_read) == (3, 2)  # every five minutes
    world.broker.units = 5
    await world.run(1)
    assert broker.accounts_read == 3  # the position check found something else than the book


async def test_drift_that_changes_suggest_is_adopted_from_a_snapshot_only(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    changes = world.broker.changes

    async def wrong(since_id: int):  # type: ignore[no-untyped-def]
        found = await changes(since_id)
        return replace(found, positions=FLAT)

    world.broker.changes = wrong  # type: ignore[method-assign]
    result = await world.trader.reconciler.reconcile("periodic", whole=False)
    assert (result.ok, result.drift, world.trader.book.units) == (True, Drift.NONE, 1)
    assert not [name for name in events(world) if name.startswith("drift")]


async def test_changes_with_a_page_missing_are_not_believed(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    world.broker.trade(-1, world.clock.now_s)
    world.broker.trade(1, world.clock.now_s)
    changes = world.broker.changes

    async def short(since_id: int):  # type: ignore[no-untyped-def]
        found = await changes(since_id)
        return replace(found, transactions=found.transactions[:-1])

    world.broker.changes = short  # type: ignore[method-assign]
    before = world.broker.accounts_read
    result = await world.trader.reconciler.reconcile("periodic", whole=False)
    assert world.broker.accounts_read > before
    assert (result.ok, result.drift, world.trader.book.units) == (True, Drift.NONE, 1)


async def test_changes_carry_balance_and_positions_forward(tmp_path: Path) -> None:
    world = await started(tmp_path)
    fill = world.broker.trade(1, world.clock.now_s)
    fill.raw["accountBalance"] = "99.5"  # type: ignore[index]
    await world.trader.reconciler.reconcile("periodic", whole=False)
    account = world.trader.reconciler.account
    assert account is not None
    assert (account.balance, account.units("GBP_JPY")) == (Decimal("99.5"), 1)
    world.broker.trade(-1, world.clock.now_s)
    await world.trader.reconciler.reconcile("periodic", whole=False)
    account = world.trader.reconciler.account
    assert account is not None
    assert account.positions == ()


async def test_after_a_failure_the_whole_account_is_read(tmp_path: Path) -> None:
    world = await started(tmp_path)
    world.broker.read_faults = 1
    assert not (await world.trader.reconciler.reconcile("periodic", whole=False)).ok
    assert world.trader.reconciler.account is None
    before = world.broker.accounts_read
    assert (await world.trader.reconciler.reconcile("periodic", whole=False)).ok
    assert world.broker.accounts_read == before + 1


async def test_a_vanished_position_is_an_unexplained_trade_at_the_last_price_and_a_person_lifts_the_halt(
    tmp_path: Path,
) -> None:
    world = await started(tmp_path, buy=True)
    bid, _ = world.trader.feed.last_quote() or (0, 0)
    world.broker.units = 0
    await world.trader.reconciler.reconcile("test")
    [trade] = world.journal.trades()
    assert (trade.exit_points, trade.forced) == (bid, True)
    assert world.journal.unexplained_trades() == 1
    assert world.trader.safety.memory.realised_pips == pytest.approx(trade.pnl_pips)
    assert ("drift", "missing: 1 → 0") in world.alerts.sent
    await world.run(3)
    assert world.trader.state is TradingState.HALTED
    world.directory.lower_flag("START_TRADING")
    await world.run(1)
    world.press_start()
    await world.run(1)
    assert world.trader.state is TradingState.ACTIVE


async def test_the_halt_for_a_vanished_position_is_on_disk_with_its_adoption(tmp_path: Path) -> None:
    world = await started(tmp_path, buy=True)
    world.broker.units = 0

    class Died(Exception):
        pass

    def die(*_: object) -> None:
        raise Died

    world.trader.parts.alerts.alert = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        await world.trader.reconciler.reconcile("test")
    # Adoption and halt belong together: neither is in the journal without the other.
    world.alerts = type(world.alerts)()
    world.start_trader()
    world.trader._restore()
    assert world.trader.book.units == 1
    assert world.journal.unexplained_trades() == 0
    assert not world.trader.safety.halted


async def test_a_profit_is_cross_checked_only_where_one_fill_made_the_position(tmp_path: Path) -> None:
    """Of two fills the broker closes the older first; the book knows their average."""
    config = configured(trading_safety={"max_position_units": 10})
    world = await started(tmp_path, buy=True, config=config)
    world.broker.trade(1, world.clock.now_s)
    await world.run(1)
    world.broker.trade(-1, world.clock.now_s)
    world.broker.log[-1].raw["quotePL"] = "12345.6"  # type: ignore[index]
    await world.trader.reconciler.reconcile("test")
    assert world.journal.trades()
    assert "pnl_mismatch" not in events(world)


async def test_an_adopted_position_of_no_known_fill_is_not_cross_checked(tmp_path: Path) -> None:
    world = await started(tmp_path)
    world.broker.units, world.broker.average_points = 1, 186_000
    await world.run(1)
    assert world.trader.book.units == 1
    world.broker.trade(-1, world.clock.now_s)
    world.broker.log[-1].raw["quotePL"] = "12345.6"  # type: ignore[index]
    await world.trader.reconciler.reconcile("test")
    assert world.trader.book.units == 0
    assert "pnl_mismatch" not in events(world)
