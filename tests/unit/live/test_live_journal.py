"""The journal by itself: what was written is read back, only the right file is opened, state is typed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from live_fakes import GBP_JPY
from pydantic import BaseModel

from swt_core.errors import StateError
from swt_core.records import TradeResult
from swt_live.journal import Journal, JournalBroken
from swt_live.journal_records import BarRecord, DecisionRecord, FillRecord, IntentKind
from swt_live.journal_schema import MIGRATIONS
from swt_live.order_prices import entry_prices


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def trade(number: int, pnl: float = 1.0) -> TradeResult:
    return TradeResult(1, 60 * number, 60 * number + 600, 100, 120, 10, pnl, -2.0, 3.0, 4.0, 5.0)


def bar(time_s: int, close: int = 200) -> BarRecord:
    return BarRecord(time_s, 200, 210, 190, close, 4, 4, 7, "stream")


def decision(time_s: int) -> DecisionRecord:
    return DecisionRecord(
        bar_time_s=time_s,
        decided_s=time_s + 60.5,
        bars_id=3,
        bars_sha256="ab",
        observation_sha256="cd",
        feature_version="1a",
        model_hash="ef",
        position=(0.0, 1.5),
        mask=(True, False),
        action=1,
        searched_action=2,
        confidence=0.5,
        root_value=-0.25,
        visit_counts=(3, 12),
        bid_close=100,
        ask_close=104,
        latency_ms=1.25,
        outcome="none",
    )


def test_decisions_come_back_as_they_were_with_what_was_done_about_them(journal: Journal) -> None:
    assert journal.last_decision_bar_s() == 0
    first, second = (journal.record_decision(decision(time_s)) for time_s in (60, 120))
    journal.note_outcome(second, "sent")
    assert journal.decision(first) == decision(60)
    assert journal.decision(99) is None
    found = journal.decisions(60, 180)
    assert [(one.bar_time_s, one.outcome) for one in found] == [(60, "none"), (120, "sent")]
    assert journal.decisions(61, 120) == []
    assert journal.last_decision_bar_s() == 120


def test_trades_are_counted_and_the_last_ones_come_oldest_first(journal: Journal) -> None:
    for number in range(4):
        journal.record_trade(trade(number), units=1, reason="CLOSE", unexplained=number == 3)
    assert journal.trade_count() == 4
    assert journal.unexplained_trades() == 1
    assert journal.last_trades(2) == [trade(2), trade(3)]
    assert journal.trades(since_s=720.0) == [trade(2), trade(3)]


def test_a_window_is_made_of_the_bars_as_they_were_known_then(journal: Journal) -> None:
    ids = [journal.record_bar(bar(time_s)) for time_s in (60, 120, 180)]
    corrected = journal.record_bar(bar(120, close=208))
    assert journal.last_bar_id() == corrected
    assert journal.last_bars(2, until_id=ids[-1], until_s=180) == [bar(120), bar(180)]
    assert journal.last_bars(2, until_id=corrected, until_s=180) == [bar(120, close=208), bar(180)]
    assert journal.last_bars(9, until_id=corrected, until_s=60) == [bar(60)]


def test_slippage_counts_own_fills_whose_price_was_known_when_they_were_sent(journal: Journal) -> None:
    for number, (reference, own) in enumerate([(100, True), (0, True), (100, False), (100, True)]):
        intent = journal.write_intent(
            IntentKind.ENTRY,
            1,
            after_transaction_id=number,
            now_s=float(number),
            quarantine_s=60.0,
            reference_points=reference,
            bar_time_s=0,
            reason="BUY",
        )
        fill = FillRecord(number, intent.client_id, 1.0, 1, 1, 104, 100, own, False, number / 10)
        assert journal.record_fill(fill, {})
        assert not journal.record_fill(fill, {})  # told twice, booked once
    assert journal.last_slippages(5) == [0.0, 0.3]
    assert journal.last_slippages(1) == [0.3]


def test_a_reader_reads_and_can_write_nothing(journal: Journal) -> None:
    journal.record_bar(bar(60))
    reader = Journal(journal.path, read_only=True)
    assert reader.last_bar_id() == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.record_bar(bar(120))
    assert not reader.writable()
    assert journal.writable()


def test_a_reader_refuses_another_layout_and_a_missing_file(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute(f"PRAGMA user_version={len(MIGRATIONS) - 1}")
    with pytest.raises(StateError, match="start the trader of this build once"):
        Journal(journal.path, read_only=True)
    with pytest.raises(JournalBroken, match="cannot open"):
        Journal(tmp_path / "none.db", read_only=True)


def test_a_journal_of_a_newer_build_is_refused(journal: Journal) -> None:
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    with pytest.raises(StateError, match="run the newer build"):
        Journal(journal.path)


class Memory(BaseModel):
    count: int


def test_state_is_kept_under_its_key_and_refused_when_it_is_something_else(journal: Journal) -> None:
    assert journal.load("memory", Memory) is None
    journal.save("memory", Memory(count=1))
    journal.save("memory", Memory(count=2))
    assert journal.load("memory", Memory) == Memory(count=2)
    journal._db.execute("UPDATE state SET value = '{}'")
    with pytest.raises(StateError, match="state 'memory' is not a Memory"):
        journal.load("memory", Memory)


def test_without_a_fresh_quote_an_entry_has_no_price_and_no_bound() -> None:
    assert entry_prices(1, None, 3.0, GBP_JPY) == (0, None)
