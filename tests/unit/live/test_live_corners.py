"""Branches that a usual day does not reach, each with its own rule."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_fakes import GBP_JPY, FakeFeatures, World
from test_live_emergency import GuardedWorld, WallClock
from test_live_shadow import CANDIDATE, OneCandidate, shadowed

from swt_broker.records import OrderResult, Position, PositionSide
from swt_core.clock import ManualClock
from swt_core.config import TradingConfig
from swt_core.errors import DataError, StateError
from swt_core.position import BUY, CLOSE, HOLD
from swt_core.state import StateDirectory
from swt_live.book import Mark, PositionBook
from swt_live.emergency import close_everything
from swt_live.emergency_watch import POLL_S, EmergencyWatch
from swt_live.journal import Journal
from swt_live.shadow import Champion, Shadow
from swt_live.shadow_journal import ShadowJournal
from swt_live.window import bar_mark


def test_a_bar_told_twice_marks_once() -> None:
    book = PositionBook(GBP_JPY, TradingConfig())
    book.apply_fill(1, 186_000, 185_976, 0.0)
    for time_s, bid in ((60, 186_100), (120, 186_200)):
        book.mark(Mark(time_s, bid, bid + 24))
    row = book.row.copy()
    book.mark(Mark(60, 100, 124))
    assert book.row.tolist() == row.tolist()


def test_an_inner_transaction_is_part_of_the_outer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")

    def both() -> None:
        with journal.transaction():
            with journal.transaction():
                journal.audit(0.0, "inner")
            raise StateError("the outer fails")

    with pytest.raises(StateError):
        both()
    assert journal.audits() == []
    assert journal.decision(1) is None


async def test_entries_are_vetoed_while_anything_is_open_or_unknown(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(1)
    desk = world.trader.desk
    assert desk.veto() is None
    desk.reconciled = False
    assert desk.veto() == "not reconciled"
    desk.reconciled = True
    await world.run(2)
    assert desk.veto() == "a position has to be closed"
    world.broker.order_faults.append("lost")
    world.directory.lower_flag("START_TRADING")
    await world.run(0.2)
    world.press_start()
    assert desk.veto() == "an order is undecided"


async def test_only_the_open_side_is_closed() -> None:
    nothing = PositionSide(Decimal(0), None, (), Decimal(0), Decimal(0))
    short = PositionSide(Decimal(-2), Decimal(186), (1,), Decimal(0), Decimal(0))
    closed: list[str] = []

    class Short:
        async def open_positions(self) -> tuple[Position, ...]:
            return () if closed else (Position("GBP_JPY", nothing, short, {}),)

        async def close_position(self, instrument: str, *, side: str, **_: Any) -> OrderResult:
            closed.append(side)
            return OrderResult(None, object(), None, (), 1, None, {})  # type: ignore[arg-type]

    report = await close_everything(Short(), ManualClock())  # type: ignore[arg-type]
    assert report.flat
    assert closed == ["short"]


# -- the watch -------------------------------------------------------------------------------------


async def test_a_step_that_ends_by_itself_is_not_interrupted(tmp_path: Path) -> None:
    wall, directory = WallClock(0.0), StateDirectory(tmp_path)
    watch = EmergencyWatch(directory, wall)
    gate = asyncio.Event()
    ended: list[str] = []

    async def step() -> None:
        await gate.wait()
        ended.append("by itself")

    async with watch:
        running = asyncio.create_task(watch.guarded(step()))
        await asyncio.sleep(0)
        directory.raise_flag("EMERGENCY_STOP")
        await wall.pass_until(POLL_S, lambda: False)
        gate.set()
        await running
        await wall.pass_until(10 * POLL_S, lambda: wall.now_s > 4 * POLL_S)
    assert ended == ["by itself"]


async def test_a_sleep_that_is_over_and_flags_that_cannot_be_read_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, directory = WallClock(0.0), StateDirectory(tmp_path)
    watch = EmergencyWatch(directory, wall)

    async def nothing() -> None: ...

    over = asyncio.get_running_loop().create_future()
    over.set_result(None)
    directory.raise_flag("EMERGENCY_STOP")
    async with watch:
        await watch.guarded(nothing())
        watch.resting(over)
        await wall.pass_until(1.0, lambda: wall.now_s >= 1.0)
        assert not watch.woke()

        def unreadable(_: str) -> bool:
            raise StateError("input/output error")

        monkeypatch.setattr(directory, "flag", unreadable)
        sleeping = asyncio.get_running_loop().create_future()
        watch.resting(sleeping)
        await wall.pass_until(2.0, lambda: wall.now_s >= 2.0)
        assert not sleeping.done()


async def test_a_step_that_fails_is_the_traders_to_see(tmp_path: Path) -> None:
    world = GuardedWorld(tmp_path, lambda _: HOLD)

    async def broken() -> None:
        raise DataError("a defect")

    world.trader.step = broken  # type: ignore[method-assign]
    with pytest.raises(DataError):
        await world.trader.run()


# -- the shadow ------------------------------------------------------------------------------------


async def test_an_observation_that_is_none_costs_the_candidate_one_decision(tmp_path: Path) -> None:
    world = shadowed(tmp_path, lambda _: HOLD)
    await world.run(3)
    before = world.shadow.memory.decisions
    bars = world.trader.window.bars()

    class Blind(FakeFeatures):
        def market_rows(self, bars: Any, rows: Any) -> Any:
            raise DataError("not finite")

    world.shadow._features = Blind()
    world.shadow.decide(bars, Champion(np.zeros(16), None, None))
    assert world.shadow.refusal == "not finite"
    assert world.shadow.memory.decisions == before


async def test_a_bar_is_decided_on_paper_once(tmp_path: Path) -> None:
    world = shadowed(tmp_path, lambda _: HOLD)
    await world.run(3)
    before = world.shadow.memory.decisions
    world.shadow.decide(world.trader.window.bars(), Champion(world.trader.book.row, None, None))
    assert world.shadow.memory.decisions == before
    assert len(ShadowJournal(world.journal).decisions(CANDIDATE)) == before


async def test_a_close_of_nothing_fills_nothing_and_corrections_reach_the_paper_position(
    tmp_path: Path,
) -> None:
    world = shadowed(tmp_path, lambda n: BUY if n == 1 else HOLD)
    await world.run(5)
    [*_, bar] = world.journal.bars(0)
    from dataclasses import replace

    marked = world.shadow.book.equity_pips
    world.shadow.correct(replace(bar, close_hp=bar.close_hp + 200))
    assert world.shadow.book.equity_pips == pytest.approx(marked + 10.0)
    later = replace(bar, time_s=bar.time_s + 6000)
    world.shadow.correct(later)
    assert bar_mark(later).time_s > world.shadow.memory.last_bar_s
    flat = Shadow(OneCandidate(lambda _: HOLD), world.journal, FakeFeatures(), GBP_JPY, world.config.trading)
    flat.book.adopt(0, 0, 0, 0.0, "")
    flat._remember(pending=CLOSE)
    flat.on_bars([replace(bar, time_s=bar.time_s + 60)])
    assert flat.memory.trades == 0
    assert flat.memory.pending is None
