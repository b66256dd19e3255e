"""A candidate on paper: the environment's fills, no order, nothing lost in a crash; and the comparison."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from live_fakes import GBP_JPY, FakeFeatures, ScriptedEngine, World, checkpoint_ref, configured

from swt_core.errors import CheckpointError, DataError, StateError
from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_live import shadow as shadow_module
from swt_live.book import PositionBook
from swt_live.compare import compare
from swt_live.journal import Journal
from swt_live.models import LoadedModel, ModelChoice
from swt_live.shadow import Shadow
from swt_live.shadow_journal import ShadowJournal

CANDIDATE = "c" * 64


class OneCandidate:
    """A source with one candidate, which plays a script by bar."""

    def __init__(self, script: Callable[[int], int]) -> None:
        self.engine = ScriptedEngine(script)
        self.choice: ModelChoice | None = ModelChoice(checkpoint_ref(CANDIDATE), None, float("-inf"))
        self.broken = False

    def candidate(self, sha256: str | None = None) -> tuple[ModelChoice | None, str]:
        return self.choice, "" if self.choice else "no candidate"

    def load(self, choice: ModelChoice) -> LoadedModel:
        if self.broken:
            raise CheckpointError("its bytes are wrong")
        return LoadedModel(self.engine, choice, choice.ref.sha256)


class ShadowWorld(World):
    """A world whose trader has a shadow; the champion HOLDs unless told otherwise."""

    def __init__(self, directory: Path, candidate: OneCandidate, script: Callable[[int], int]) -> None:
        self.candidate = candidate
        super().__init__(directory, script)

    def parts(self) -> dict[str, object]:
        shadow = Shadow(
            self.candidate, self.journal, FakeFeatures(), GBP_JPY, self.config.trading, lambda *_: None
        )
        return {"shadow": shadow}

    @property
    def shadow(self) -> Shadow:
        found = self.trader.parts.shadow
        assert found is not None
        return found


def shadowed(
    tmp_path: Path, candidate: Callable[[int], int], champion: Callable[[int], int] = lambda _: HOLD
) -> ShadowWorld:
    world = ShadowWorld(tmp_path, OneCandidate(candidate), champion)
    world.press_start()
    return world


def buy_and_close(number: int) -> int:
    return {2: BUY, 6: CLOSE, 8: SELL, 11: CLOSE}.get(number, HOLD)


async def test_the_candidate_trades_on_paper_and_no_order_is_ever_sent(tmp_path: Path) -> None:
    world = shadowed(tmp_path, buy_and_close)
    await world.run(20)
    trades = ShadowJournal(world.journal).trades(CANDIDATE)
    assert [trade.side for trade in trades] == [1, -1]
    assert world.broker.orders == []
    assert world.journal.intents() == []
    assert world.trader.book.units == 0
    assert world.journal.trades() == []


def test_the_shadow_knows_no_broker() -> None:
    """By construction: neither its arguments nor its imports lead to one."""
    names = set(inspect.signature(Shadow.__init__).parameters)
    assert names == {"self", "candidates", "journal", "features", "instrument", "trading", "note"}
    tree = ast.parse(inspect.getsource(shadow_module))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in imported if module and ("broker" in module or "executor" in module)}


async def test_its_fills_are_the_environments_the_next_bars_open(tmp_path: Path) -> None:
    world = shadowed(tmp_path, buy_and_close)
    await world.run(20)
    first = ShadowJournal(world.journal).trades(CANDIDATE)[0]
    bars = world.bars
    rows = {int(time_s): row for row, time_s in enumerate(bars.time_s)}
    entry, leave = rows[first.entry_time_s], rows[first.exit_time_s]
    decisions = ShadowJournal(world.journal).decisions(CANDIDATE)
    assert rows[decisions[2].bar_time_s] + 1 == entry
    assert rows[decisions[6].bar_time_s] + 1 == leave
    paid = (int(bars.bid_open[leave]) - int(bars.ask_open[entry])) / GBP_JPY.points_per_pip
    assert first.pnl_pips == pytest.approx(paid)
    book = PositionBook(GBP_JPY, world.config.trading)
    book.apply_fill(1, int(bars.ask_open[entry]), int(bars.bid_open[entry]), first.entry_time_s)
    assert decisions[2].equity_pips == 0.0


async def test_a_crash_at_any_bar_changes_nothing(tmp_path: Path) -> None:
    whole = shadowed(tmp_path / "whole", lambda n: BUY if n % 5 == 1 else CLOSE if n % 5 == 3 else HOLD)
    await whole.run(30)
    torn = shadowed(tmp_path / "torn", lambda n: BUY if n % 5 == 1 else CLOSE if n % 5 == 3 else HOLD)
    for _ in range(15):
        await torn.run(2)
        torn.start_trader()
    wanted, found = (ShadowJournal(world.journal) for world in (whole, torn))
    assert len(wanted.trades(CANDIDATE)) >= 4
    assert found.trades(CANDIDATE)[:4] == wanted.trades(CANDIDATE)[:4]
    assert torn.shadow.memory.trades == len(found.trades(CANDIDATE))
    assert torn.shadow.memory.realised_pips == pytest.approx(
        sum(trade.pnl_pips for trade in found.trades(CANDIDATE))
    )


async def test_a_bar_journaled_before_the_crash_is_handed_on_after_it(tmp_path: Path) -> None:
    world = shadowed(tmp_path, lambda n: BUY if n == 2 else HOLD)
    await world.run(6)
    assert world.shadow.book.units == 1
    last_s = world.shadow.memory.last_bar_s
    # The trader died after its own transaction: its journal knows a bar the shadow has not seen.
    world.shadow._remember(last_bar_s=last_s - 120)
    row = world.shadow.book.row.copy()
    world.start_trader()
    assert world.shadow.memory.last_bar_s == last_s
    assert world.shadow.book.row.tolist() == row.tolist()


async def test_a_broken_or_missing_candidate_is_named_and_trading_goes_on(tmp_path: Path) -> None:
    world = shadowed(tmp_path, buy_and_close)
    world.candidate.choice = None
    await world.run(3)
    assert world.shadow.refusal == "no candidate"
    world.candidate.choice, world.candidate.broken = ModelChoice(checkpoint_ref(CANDIDATE), None, 0.0), True
    await world.run(3)
    assert "bytes" in world.shadow.refusal
    assert world.trader.counters.decisions >= 5


async def test_another_candidate_begins_a_ledger_of_its_own(tmp_path: Path) -> None:
    world = shadowed(tmp_path, lambda n: BUY if n == 2 else CLOSE if n == 8 else HOLD)
    await world.run(6)
    other = ModelChoice(checkpoint_ref("d" * 64), None, 0.0)
    world.candidate.choice = other
    await world.run(3)
    assert world.shadow.memory.model_hash == CANDIDATE  # in position: not yet
    await world.run(8)
    assert world.shadow.memory.model_hash == "d" * 64
    assert world.shadow.memory.trades == 0
    assert len(ShadowJournal(world.journal).trades(CANDIDATE)) == 1


async def test_the_comparison_counts_both_on_the_same_bars(tmp_path: Path) -> None:
    world = shadowed(tmp_path, buy_and_close, lambda n: BUY if n == 3 else CLOSE if n == 5 else HOLD)
    await world.run(20)
    found = compare(tmp_path, "")
    assert found.champion.trades == len(world.journal.trades()) == 1
    assert found.candidate.trades == 2
    assert found.champion.pips == pytest.approx(sum(t.pnl_pips for t in world.journal.trades()))
    assert found.bars == found.compared == len(ShadowJournal(world.journal).decisions(CANDIDATE))
    assert found.disagreements == sum(
        count for own, row in found.actions.items() for other, count in row.items() if own != other
    )
    assert 0 < found.same_position < found.compared
    assert found.candidate.max_drawdown_pips > 0
    status = world.shadow.memory
    assert (status.compared, status.disagreed) == (found.compared, found.disagreements)


async def test_the_same_model_beside_itself_never_disagrees(tmp_path: Path) -> None:
    play = lambda n: BUY if n % 4 == 1 else CLOSE if n % 4 == 3 else HOLD  # noqa: E731
    world = shadowed(tmp_path, play, play)
    await world.run(16)
    found = compare(tmp_path)
    assert found.compared >= 12
    assert found.disagreements == 0
    # The last close on paper is filled at the open of a bar that is not over yet.
    assert found.champion.trades - found.candidate.trades in (0, 1)


def test_a_comparison_needs_a_journal_and_a_candidate(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        compare(tmp_path)
    Journal(tmp_path / "journal.db").close()
    with pytest.raises(DataError, match="no candidate"):
        compare(tmp_path)


def test_a_journal_of_another_layout_is_not_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal._db.execute("PRAGMA user_version=1")
    journal.close()
    with pytest.raises(StateError, match="layout 1"):
        compare(tmp_path)


async def test_the_week_ends_flat_on_paper_too(tmp_path: Path) -> None:
    from live_fakes import market

    friday_s = 1_705_096_800 - 120 * 60  # Friday 2024-01-12 22:00 UTC is 17:00 New York
    bars = market(119, start_s=friday_s)
    candidate = OneCandidate(lambda n: BUY if n == 1 else HOLD)
    world = ShadowWorld.__new__(ShadowWorld)
    world.candidate = candidate
    World.__init__(world, tmp_path, lambda _: HOLD, bars=bars, start_row=45, config=configured())
    world.press_start()
    await world.run(20)
    # The engine is deaf from now on: whatever it wants, it is not asked.
    world.shadow.model = None
    world.candidate.choice = None
    await world.run(60)
    assert world.shadow.book.units == 0
    assert [trade.forced for trade in ShadowJournal(world.journal).trades(CANDIDATE)] == [True]
