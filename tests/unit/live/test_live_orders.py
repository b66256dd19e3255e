"""The order rules: sent once, unknown is not failed, failed is not flat, the broker is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from live_fakes import GBP_JPY, World, configured

from swt_broker.records import OrderRequest
from swt_core.errors import SafetyViolation
from swt_core.position import BUY, CLOSE, HOLD
from swt_live.executor import PlannedOrder
from swt_live.journal_records import IntentKind, IntentState
from swt_live.safety import TradingState


class PowerCut(BaseException):
    """The process dies here: nothing after it runs."""


def buy_at(number: int, close_at: int | None = None):  # type: ignore[no-untyped-def]
    return lambda n: BUY if n == number else CLOSE if n == close_at else HOLD


BUY_ONCE = buy_at(1)


def trading_world(tmp_path: Path, script=BUY_ONCE, **options):  # type: ignore[no-untyped-def]
    world = World(tmp_path, script, **options)
    world.press_start()
    return world


def client_ids(world: World) -> list[str]:
    return [order.client_id for order in world.broker.orders]


async def test_a_crash_between_journal_and_post_never_sends_the_order(tmp_path: Path) -> None:
    world = trading_world(tmp_path)

    def die(_: OrderRequest) -> None:
        raise PowerCut

    world.broker.before_order = die
    with pytest.raises(PowerCut):
        await world.run(5)
    world.broker.before_order = lambda _: None
    [intent] = world.journal.intents()
    assert intent.state is IntentState.OPEN

    world.engine.script = lambda n: BUY
    world.start_trader()
    await world.run(0.8)
    assert world.broker.orders == []
    assert [item.client_id for item in world.trader.executor.undecided] == [intent.client_id]
    await world.run(3)
    given_up = world.journal.intent(intent.client_id)
    assert given_up is not None
    assert given_up.state is IntentState.GIVEN_UP
    assert intent.client_id not in client_ids(world)
    assert len(client_ids(world)) == len(set(client_ids(world))) == 1


async def test_a_crash_after_the_post_finds_the_fill_and_does_not_send_again(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    original = world.broker.create_order

    async def die_after(order: OrderRequest):  # type: ignore[no-untyped-def]
        await original(order)
        raise PowerCut

    world.broker.create_order = die_after  # type: ignore[method-assign]
    with pytest.raises(PowerCut):
        await world.run(5)
    world.broker.create_order = original  # type: ignore[method-assign]
    world.start_trader()
    assert world.trader.book.units == 0
    await world.run(2)
    assert world.trader.book.units == world.broker.units == 1
    assert len(world.broker.orders) == 1
    assert world.journal.intents()[0].state is IntentState.FILLED


async def test_an_unknown_outcome_is_never_resent_and_is_found_in_the_log(tmp_path: Path) -> None:
    world = trading_world(tmp_path, buy_at(1, close_at=6))
    world.broker.order_faults.append("applied_lost")
    await world.run(4)
    assert len(world.broker.orders) == 1
    assert world.trader.book.units == 1
    assert world.journal.intents()[0].state is IntentState.FILLED
    await world.run(5)
    assert world.broker.units == 0
    assert len(world.journal.trades()) == 1


async def test_a_lost_order_blocks_new_ones_until_the_quarantine_is_over(tmp_path: Path) -> None:
    world = trading_world(tmp_path, lambda n: BUY)
    world.broker.order_faults.append("lost")
    await world.run(1.9)
    assert len(world.broker.orders) == 1
    assert world.trader.executor.undecided
    await world.run(2)
    assert world.journal.intents()[0].state is IntentState.GIVEN_UP
    assert len(world.broker.orders) == 2
    assert len(set(client_ids(world))) == 2


async def test_an_order_is_not_given_up_while_the_log_cannot_be_read(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("applied_lost")
    original = world.broker.create_order

    async def then_dark(order: OrderRequest):  # type: ignore[no-untyped-def]
        world.broker.read_faults = 10_000
        return await original(order)

    world.broker.create_order = then_dark  # type: ignore[method-assign]
    await world.run(10)
    assert world.trader.executor.undecided
    assert not world.trader.reconciled
    assert len(world.broker.orders) == 1
    world.broker.read_faults = 0
    await world.run(1)
    assert world.trader.book.units == 1
    assert world.trader.reconciled


async def test_a_fill_after_the_quarantine_is_recognised_booked_and_flattened(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("delayed 400")
    await world.run(7)
    assert world.journal.intents()[0].state is IntentState.GIVEN_UP
    await world.run(8)
    entry, reduce = world.broker.orders
    assert (entry.units, reduce.units, reduce.position_fill) == (1, -1, "REDUCE_ONLY")
    assert world.broker.units == world.trader.book.units == 0
    assert [fill.late for fill in world.journal.fills()] == [True, False]
    assert "late_fill" in [event for event, _ in world.alerts.sent]


async def test_a_fill_inside_the_quarantine_is_kept(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("delayed 20")
    await world.run(4)
    assert world.trader.book.units == world.broker.units == 1
    assert len(world.broker.orders) == 1


async def test_a_rejection_is_final(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("reject")
    await world.run(5)
    assert len(world.broker.orders) == 1
    assert world.journal.intents()[0].state is IntentState.REJECTED
    assert world.trader.executor.undecided == []


async def test_a_taken_but_cancelled_order_is_final_and_fills_nothing(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("halt")
    await world.run(5)
    [intent] = world.journal.intents()
    assert (intent.state, intent.detail) == (IntentState.CANCELLED, "MARKET_HALTED")
    assert world.trader.book.units == 0


async def test_66_filled_for_1_is_booked_reduced_at_once_and_halts_entries(tmp_path: Path) -> None:
    world = trading_world(tmp_path, lambda n: BUY)
    world.broker.order_faults.append("oversize 66")
    await world.run(1.1)
    entry, excess = world.broker.orders
    assert (entry.units, excess.units, excess.position_fill) == (1, -65, "REDUCE_ONLY")
    assert world.broker.units == world.trader.book.units == 1
    assert world.trader.state is TradingState.HALTED
    assert [fill.units for fill in world.journal.fills()] == [66, -65]
    assert "halt" in [event for event, _ in world.alerts.sent]
    await world.run(20)
    assert all(order.units < 0 for order in world.broker.orders[1:])


async def test_66_reported_but_1_held_leaves_the_1_and_halts_entries(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("misreport 66")
    await world.run(3)
    assert world.broker.units == world.trader.book.units == 1
    assert len(world.broker.orders) == 1
    assert world.trader.state is TradingState.HALTED
    assert world.journal.audits("drift_size")


async def test_a_failed_position_query_is_never_read_as_flat(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    await world.run(3)
    assert world.broker.units == 1
    world.broker.read_faults = 25
    world.directory.lower_flag("START_TRADING")
    await world.run(0.3)
    assert world.trader.book.units == 1
    assert world.journal.audits("position_query_failed")
    assert not [a for a in world.journal.audits() if a[1].startswith("drift")]
    await world.run(4)
    assert world.broker.units == world.trader.book.units == 0


async def test_every_order_carries_a_bound_and_a_rounded_price(tmp_path: Path) -> None:
    world = trading_world(tmp_path, buy_at(1, close_at=2))
    await world.run(4)
    for order in world.broker.orders:
        assert order.price_bound is not None
        assert GBP_JPY.price_string(GBP_JPY.to_points(order.price_bound)) == order.price_bound


async def test_nothing_is_sent_before_the_first_reconciliation(tmp_path: Path) -> None:
    world = trading_world(tmp_path, lambda n: BUY)
    world.broker.read_faults = 10_000
    await world.run(5)
    assert world.broker.orders == []
    assert world.trader.counters.decisions == 0
    with pytest.raises(SafetyViolation, match="first reconciliation"):
        await world.trader.executor.submit(PlannedOrder(IntentKind.REDUCE, 1, "test"))
    assert world.journal.intents() == []


async def test_entries_are_asked_for_permission_right_before_they_are_sent(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    await world.run(0.5)
    world.directory.lower_flag("START_TRADING")
    with pytest.raises(SafetyViolation, match="forbidden"):
        await world.trader.executor.submit(PlannedOrder(IntentKind.ENTRY, 1, "test"))
    assert world.journal.intents() == []


async def test_an_undecided_order_stops_entries_and_closes_but_not_an_urgent_reduction(
    tmp_path: Path,
) -> None:
    world = trading_world(tmp_path)
    world.broker.order_faults.append("lost")
    await world.run(1.2)
    for kind in (IntentKind.ENTRY, IntentKind.CLOSE):
        with pytest.raises(SafetyViolation, match="undecided"):
            await world.trader.executor.submit(PlannedOrder(kind, 1, "test"))
    outcome = await world.trader.executor.submit(PlannedOrder(IntentKind.REDUCE, -1, "test"))
    assert outcome.state is IntentState.CANCELLED


async def test_slippage_is_measured_against_the_price_at_sending(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    await world.run(3)
    [fill] = world.journal.fills()
    [intent] = world.journal.intents()
    expected = (fill.price_points - intent.reference_points) / GBP_JPY.points_per_pip
    assert fill.slippage_pips == expected
    assert intent.reference_points > 0


async def test_units_come_from_the_configuration(tmp_path: Path) -> None:
    config = configured(trading={"units": 3}, trading_safety={"max_position_units": 3})
    world = trading_world(tmp_path, buy_at(1, close_at=3), config=config)
    await world.run(6)
    assert [order.units for order in world.broker.orders] == [3, -3]


async def test_an_order_taken_without_an_answer_stays_open_until_the_log_says(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    original = world.broker.create_order

    async def create_only(order: OrderRequest):  # type: ignore[no-untyped-def]
        result = await original(order)
        return replace(result, fill=None)

    world.broker.create_order = create_only  # type: ignore[method-assign]
    await world.run(3)
    assert world.trader.book.units == 1
    assert world.journal.intents()[0].state is IntentState.FILLED
    assert await world.trader.executor.resolve() == []


async def test_the_opposite_price_comes_from_the_fill_else_from_the_feed(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    await world.run(3)
    [fill] = world.journal.fills()
    bare = replace(world.broker.log[-1], transaction_id=9999, raw={}, client_order_id=None)
    world.trader.ledger.apply([bare], complete=False)
    quote = world.trader.feed.last_quote()
    assert quote is not None
    assert fill.price_points - fill.opposite_points == 24
    assert world.journal.fills()[-1].opposite_points == quote[0]


async def test_a_profit_that_agrees_with_the_brokers_raises_no_alarm(tmp_path: Path) -> None:
    world = trading_world(tmp_path)
    await world.run(3)
    world.broker.trade(-1, world.clock.now_s)
    entry, exit_fill = world.broker.log[-2], world.broker.log[-1]
    assert entry.is_fill
    assert entry.price is not None
    assert exit_fill.price is not None
    exit_fill.raw["quotePL"] = str(exit_fill.price - entry.price)  # type: ignore[index]
    await world.trader.reconciler.reconcile("test")
    assert len(world.journal.trades()) == 1
    assert not world.journal.audits("pnl_mismatch")
