"""EMERGENCY_STOP at once, whatever the trader is waiting for; and the bounds of orders that must fill."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from live_fakes import GBP_JPY, FakeBroker, World, configured, market

from swt_core.errors import Unavailable
from swt_core.position import BUY, CLOSE, HOLD
from swt_live.emergency_watch import GRACE_S, POLL_S
from swt_live.journal_records import IntentState
from swt_live.order_prices import closing_prices, entry_prices
from swt_live.safety import TradingState


class WallClock:
    """Time that moves to the next sleeper when all tasks wait: what a wall clock shows of a hanging call."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = itertools.count()

    def time_s(self) -> float:
        return self.now_s

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep_until(self, time_s: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (time_s, next(self._serial), future))
        await future

    async def pass_until(self, time_s: float, done: Callable[[], bool]) -> None:
        while self.now_s < time_s and not done():
            for _ in range(50):
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if done() or not self._sleepers:
                return
            self.now_s = max(self.now_s, self._sleepers[0][0])
            heapq.heappop(self._sleepers)[2].set_result(None)


class Hanging:
    """Makes the next call of a broker's method wait for ever."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.hung = asyncio.Event()

    def next_call_of(self, name: str) -> None:
        call: Callable[..., Awaitable[Any]] = getattr(self.broker, name)

        async def hang(*args: Any, **kwargs: Any) -> Any:
            setattr(self.broker, name, call)
            self.hung.set()
            if name == "create_order":
                self.broker.orders.append(args[0])
            await asyncio.Event().wait()

        setattr(self.broker, name, hang)


class GuardedWorld(World):
    """A world whose trader runs as in production, watched by a wall clock."""

    def __init__(self, directory: Path, script: Callable[[int], int], **keywords: Any) -> None:
        self.wall = WallClock(0.0)
        super().__init__(directory, script, **keywords)

    def parts(self) -> dict[str, Any]:
        return {"guard_clock": self.wall}


async def holding(
    tmp_path: Path, script: Callable[[int], int] = lambda n: BUY if n == 1 else HOLD
) -> GuardedWorld:
    world = GuardedWorld(tmp_path, script)
    world.press_start()
    await world.run(3)
    assert world.broker.units == 1
    return world


async def react(world: GuardedWorld, running: asyncio.Task[None]) -> float:
    """Touch EMERGENCY_STOP and return how long it took until a reducing order was sent, wall seconds."""
    before = len(world.broker.orders)
    touched_s = world.wall.now_s
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.wall.pass_until(touched_s + 30.0, lambda: len(world.broker.orders) > before)
    assert len(world.broker.orders) > before, "nothing was sent"
    assert world.broker.orders[-1].position_fill == "REDUCE_ONLY"
    delay_s = world.wall.now_s - touched_s
    world.trader.stop()
    await asyncio.wait([running], timeout=5.0)
    return delay_s


@pytest.mark.parametrize("call", ["open_positions", "changes", "candles"])
async def test_emergency_stop_does_not_wait_for_a_request_that_hangs(tmp_path: Path, call: str) -> None:
    world = await holding(tmp_path)
    hanging = Hanging(world.broker)
    hanging.next_call_of(call)
    running = asyncio.create_task(world.trader.run())
    await asyncio.wait_for(hanging.hung.wait(), 10.0)
    delay_s = await react(world, running)
    assert delay_s <= POLL_S + GRACE_S <= 1.0
    assert world.broker.units == 0


async def test_emergency_stop_does_not_wait_for_an_order_that_hangs(tmp_path: Path) -> None:
    world = await holding(tmp_path, lambda n: BUY if n == 1 else CLOSE if n == 5 else HOLD)
    hanging = Hanging(world.broker)
    hanging.next_call_of("create_order")
    running = asyncio.create_task(world.trader.run())
    await asyncio.wait_for(hanging.hung.wait(), 10.0)
    delay_s = await react(world, running)
    assert delay_s <= 1.0
    assert world.broker.units == 0
    # The order that hung was journaled before it left, and is undecided, not forgotten.
    assert [intent.state for intent in world.journal.intents()][1] is IntentState.OPEN


async def test_emergency_stop_wakes_a_trader_that_sleeps_over_a_position(tmp_path: Path) -> None:
    world = await holding(tmp_path)

    async def sleep_for_ever(_: float) -> None:
        await asyncio.Event().wait()

    world.clock.sleep_until = sleep_for_ever  # type: ignore[method-assign]
    running = asyncio.create_task(world.trader.run())
    for _ in range(200):
        await asyncio.sleep(0)
    assert await react(world, running) <= POLL_S
    assert world.trader.state is TradingState.HALTED


async def test_without_an_emergency_the_watch_interrupts_nothing(tmp_path: Path) -> None:
    world = await holding(tmp_path)
    hanging = Hanging(world.broker)
    hanging.next_call_of("open_positions")
    running = asyncio.create_task(world.trader.run())
    await asyncio.wait_for(hanging.hung.wait(), 10.0)
    await world.wall.pass_until(world.wall.now_s + 20.0, lambda: False)
    assert not running.done()
    assert len(world.broker.orders) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_the_watch_sleeps_while_nothing_is_open(tmp_path: Path) -> None:
    world = GuardedWorld(tmp_path, lambda _: HOLD)

    async def sleep_for_ever(_: float) -> None:
        await asyncio.Event().wait()

    world.clock.sleep_until = sleep_for_ever  # type: ignore[method-assign]
    running = asyncio.create_task(world.trader.run())
    await world.wall.pass_until(1000.0, lambda: False)
    assert world.wall.now_s <= POLL_S + GRACE_S
    world.trader.stop()
    await running


async def test_the_first_emergency_order_does_not_ask_what_is_held(tmp_path: Path) -> None:
    world = await holding(tmp_path)
    world.broker.read_faults = 1000
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.trader.step()
    assert world.broker.units == 0
    assert [order.units for order in world.broker.orders] == [1, -1]


# -- bounds ----------------------------------------------------------------------------------------


def prices(**changes: Any) -> tuple[int, int | None]:
    usual: dict[str, Any] = {
        "fresh": None, "last": None, "marked_points": 0, "distance_pips": 50.0, "tries": 0,
        "instrument": GBP_JPY,
    }  # fmt: skip
    return closing_prices(-1, **usual | changes)


def test_a_closing_bound_is_wide_doubles_and_never_reaches_zero() -> None:
    per_pip = GBP_JPY.points_per_pip
    assert prices(fresh=(186_000, 186_024)) == (186_000, 186_000 - 50 * per_pip)
    assert prices(fresh=(186_000, 186_024), tries=2) == (186_000, 186_000 - 200 * per_pip)
    assert prices(fresh=(186_000, 186_024), tries=50) == (186_000, 1)
    buying = closing_prices(
        1,
        fresh=(186_000, 186_024),
        last=None,
        marked_points=0,
        distance_pips=50.0,
        tries=0,
        instrument=GBP_JPY,
    )
    assert buying == (186_024, 186_024 + 50 * per_pip)


def test_without_a_fresh_quote_the_last_price_known_bounds_at_twice_the_distance() -> None:
    per_pip = GBP_JPY.points_per_pip
    assert prices(last=(186_000, 186_024), marked_points=7) == (0, 186_000 - 100 * per_pip)
    assert prices(marked_points=186_100) == (0, 186_100 - 100 * per_pip)
    assert prices() == (0, None)


def test_an_entry_without_a_fresh_quote_has_no_price() -> None:
    assert entry_prices(1, None, 5.0, GBP_JPY) == (0, None)
    assert entry_prices(-1, (186_000, 186_024), 5.0, GBP_JPY) == (186_000, 186_000 - 50)


async def test_a_close_over_a_gap_fills_after_all(tmp_path: Path) -> None:
    """In the environment it fills at the next open, wherever that is."""
    world = World(tmp_path, lambda n: BUY if n == 1 else CLOSE if n == 3 else HOLD)
    world.press_start()
    await world.run(2)
    assert world.broker.units == 1
    gapping = Gap(world.broker, pips=170.0)
    await world.run(1.2)
    assert gapping.cancelled == 3  # the close's 50 pips, then 50 and 100 were not enough, 200 are
    assert world.broker.units == world.trader.book.units == 0
    kinds = [intent.kind.value for intent in world.journal.intents()]
    assert kinds == ["ENTRY", "CLOSE", "REDUCE", "REDUCE", "REDUCE"]


class Gap:
    """The market fills this far away from the last quote the trader saw."""

    def __init__(self, broker: FakeBroker, pips: float) -> None:
        self.cancelled = 0
        create = broker.create_order
        distance = round(pips * GBP_JPY.points_per_pip)

        async def bounded(order: Any) -> Any:
            bid, ask = broker.quote()
            bound = round(float(order.price_bound) * 10**GBP_JPY.display_precision)
            beyond = ask + distance > bound if order.units > 0 else bid - distance < bound
            if beyond:
                self.cancelled += 1
                broker.order_faults.append("halt")
            return await create(order)

        broker.create_order = bounded  # type: ignore[method-assign]


async def test_a_rejected_close_is_final_and_the_next_decision_decides(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else CLOSE if n == 3 else HOLD)
    world.press_start()
    await world.run(2)
    world.broker.order_faults.append("reject")
    await world.run(3)
    assert world.broker.units == 1
    assert len(world.broker.orders) == 2


async def test_a_spread_that_widened_after_the_close_stops_the_entry(tmp_path: Path) -> None:
    config = configured(trading={"max_entry_spread_pips": 3.0})
    world = World(tmp_path, lambda _: BUY, config=config)
    world.press_start()
    await world.run(0.2)
    wide = (186_000, 186_040)
    world.trader.feed.quote = lambda: wide  # type: ignore[method-assign]
    await world.run(2)
    assert world.broker.orders == []
    assert world.trader.counters.vetoes["spread"] >= 1


async def test_a_broker_that_does_not_say_what_it_holds_is_noticed(tmp_path: Path) -> None:
    world = World(tmp_path, lambda _: HOLD, bars=market(400))
    world.press_start()
    await world.run(1)

    async def lost() -> Any:
        raise Unavailable("no answer")

    world.broker.open_positions = lost  # type: ignore[method-assign]
    await world.run(2)
    assert world.trader.desk.broker_lost_s is not None
    del world.broker.open_positions  # type: ignore[attr-defined]
    await world.run(2)
    assert world.trader.desk.broker_lost_s is None
