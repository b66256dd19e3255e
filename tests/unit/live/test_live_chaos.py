"""Seeded bad days: faults at the broker, the trader killed anywhere; the invariants hold after each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_fakes import FakeBroker, World, configured

from swt_core.errors import OutcomeUnknown
from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_live.desk import OrderDesk
from swt_live.executor import Executor
from swt_live.journal_records import IntentState
from swt_live.ledger import Ledger
from swt_live.reconciler import Reconciler

FAULTS = ("lost", "applied_lost", "delayed 20", "delayed 130", "reject", "halt", "oversize 66")
MINUTES = 40


class PowerCut(BaseException):
    """The process dies here: nothing after it runs."""


class BadDay:
    """A world in which calls die before or after their effect, and orders meet faults."""

    def __init__(self, tmp_path: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        actions = self.rng.choice([HOLD, HOLD, BUY, SELL, CLOSE, CLOSE], 4000)
        config = configured(trading_safety={"emergency_violations": 1000, "max_slippage_pips": 100.0})
        self.world = World(tmp_path, lambda n: int(actions[n]), config=config, minutes=420)
        self.calm = False
        self.crashes = 0
        self.posted_while_stopped: list[str] = []
        broker = self.world.broker
        for name in ("create_order", "transactions_since", "open_positions", "account", "changes", "candles"):
            setattr(broker, name, self.endanger(getattr(broker, name)))
        broker.before_order = self.before_order

    def endanger(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def endangered(*args: Any, **kwargs: Any) -> Any:
            if not self.calm and self.rng.random() < 0.01:
                raise PowerCut
            result = await call(*args, **kwargs)
            if not self.calm and self.rng.random() < 0.01:
                raise PowerCut
            return result

        return endangered

    def before_order(self, order: Any) -> None:
        if order.position_fill == "OPEN_ONLY" and not self.world.directory.flag("START_TRADING"):
            self.posted_while_stopped.append(order.client_id)
        if not self.calm and self.rng.random() < 0.25:
            self.world.broker.order_faults.append(str(self.rng.choice(FAULTS)))

    async def live(self, minutes: float) -> None:
        until_s = self.world.clock.now_s + 60.0 * minutes
        while self.world.clock.now_s < until_s:
            try:
                await self.world.run((until_s - self.world.clock.now_s) / 60.0)
            except PowerCut:
                self.crashes += 1
                self.world.clock.now_s += float(self.rng.choice([0.0, 3.0, 90.0]))
                self.world.broker.advance(self.world.clock.now_s)
                self.world.start_trader()

    def disturb(self) -> None:
        """Something from outside."""
        world = self.world
        what = self.rng.integers(7)
        if what == 0:
            world.broker.read_faults = int(self.rng.integers(1, 30))
        elif what == 1:
            world.broker.trade(int(self.rng.choice([-1, 1])), world.clock.now_s)
        elif what == 2 and world.broker.streams:
            world.broker.streams[-1].queue.put_nowait(None)
        elif what == 3:
            world.directory.lower_flag("START_TRADING")
        else:
            world.press_start()


async def bad_day(tmp_path: Path, seed: int) -> BadDay:
    """Forty bad minutes, then six calm ones."""
    day = BadDay(tmp_path, seed)
    day.world.press_start()
    for _ in range(MINUTES // 4):
        await day.live(4)
        day.disturb()
    day.calm, day.world.broker.read_faults = True, 0
    await day.live(6)
    return day


def violations(day: BadDay) -> list[str]:
    """Which invariants the day broke."""
    world, broker = day.world, day.world.broker
    posted = [order.client_id for order in broker.orders]
    journaled = {intent.client_id: intent for intent in world.journal.intents()}
    fills = {item.transaction_id: item for item in broker.log if item.is_fill}
    booked = {fill.transaction_id: fill for fill in world.journal.fills()}
    foreign = {number for number, item in fills.items() if item.client_order_id is None}
    drifts = [audit[1] for audit in world.journal.audits() if audit[1].startswith("drift")]
    broken = {
        # Here the broker's log explains everything.
        "the book lost count of the position": bool(drifts),
        "an order was sent twice": len(posted) != len(set(posted)),
        "an order was sent before it was journaled": not set(posted) <= set(journaled),
        "an intent is lost": any(intent.state is IntentState.OPEN for intent in journaled.values()),
        "nothing is reconciled": not world.trader.reconciled,
        "the position drifted": world.trader.book.units != broker.units,
        "an oversize position lasts": abs(broker.units) > 1,
        "an entry was sent while stopped": bool(day.posted_while_stopped),
        "somebody else's trade was not noticed": not foreign <= set(booked),
        "a fill was booked as something else": set(booked) != set(fills)
        or any(fill.units != fills[number].units for number, fill in booked.items())
        or any(booked[number].own for number in foreign),
    }
    return [name for name, is_so in broken.items() if is_so]


@pytest.mark.parametrize("seed", range(10))
async def test_no_schedule_breaks_the_order_rules(tmp_path: Path, seed: int) -> None:
    day = await bad_day(tmp_path, seed)
    assert violations(day) == []


async def test_the_bad_days_are_bad(tmp_path: Path) -> None:
    days = [await bad_day(tmp_path / str(seed), seed) for seed in (10, 24)]
    assert sum(day.crashes for day in days) >= 3
    states = {intent.state for day in days for intent in day.world.journal.intents()}
    assert len(states) == 4


def resend_blindly(patch: pytest.MonkeyPatch) -> None:
    create = FakeBroker.create_order

    async def twice(self: FakeBroker, order: Any) -> Any:
        try:
            return await create(self, order)
        except OutcomeUnknown:
            return await create(self, order)

    patch.setattr(FakeBroker, "create_order", twice)


def read_failure_as_flat(patch: pytest.MonkeyPatch) -> None:
    reconcile = Reconciler.reconcile

    async def flat(self: Reconciler, trigger: str, *, whole: bool = True) -> Any:
        result = await reconcile(self, trigger, whole=whole)
        if not result.ok and self._book.units:
            self._book.adopt(0, 0, 0, 0.0, "")
        return replace(result, ok=True)

    patch.setattr(Reconciler, "reconcile", flat)


def book_what_was_asked_for(patch: pytest.MonkeyPatch) -> None:
    fill = Ledger._fill

    def asked(self: Ledger, transaction: Any, intent: Any) -> Any:
        units = transaction.units if intent is None else Decimal(intent.units)
        return fill(self, replace(transaction, units=units), intent)

    patch.setattr(Ledger, "_fill", asked)


def read_start_once(patch: pytest.MonkeyPatch) -> None:
    read = OrderDesk.read_flags

    def once(self: OrderDesk) -> None:
        if not self.flags.readable:
            read(self)

    patch.setattr(OrderDesk, "read_flags", once)


def journal_after_sending(patch: pytest.MonkeyPatch) -> None:
    submit = Executor.submit

    async def later(self: Executor, order: Any) -> Any:
        try:
            return await submit(self, order)
        except PowerCut:
            # Written after sending, the intent of an order that the process died on was never written.
            self._journal._db.execute("DELETE FROM intents WHERE state = 'OPEN'")
            raise

    patch.setattr(Executor, "submit", later)


@pytest.mark.parametrize(
    ("bug", "seed", "consequence"),
    [
        (resend_blindly, 1, "an order was sent twice"),
        (read_failure_as_flat, 4, "the book lost count of the position"),
        (book_what_was_asked_for, 9, "a fill was booked as something else"),
        (read_start_once, 2, "an entry was sent while stopped"),
        (journal_after_sending, 6, "an order was sent before it was journaled"),
    ],
)
async def test_a_planted_bug_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bug: Callable[[pytest.MonkeyPatch], None],
    seed: int,
    consequence: str,
) -> None:
    bug(monkeypatch)
    assert consequence in violations(await bad_day(tmp_path, seed))
