"""What the dashboard shows of the trader's journal, opened read-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Final

from swt_core.calendar import MINUTE_S
from swt_core.errors import DataError, StateError
from swt_core.position import ACTION_NAMES, EQUITY, HOLD, SIDE
from swt_core.records import TradeResult
from swt_live.compare import Record, compare
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.journal_records import DecisionRecord
from swt_ops.dashboard.courses import thinned
from swt_ops.dashboard.records import Course, Decision, Event, Shadow, ShadowSide, Trade, Trading

_MARKED_S: Final = 3 * 86_400
_POINTS: Final = 800
_TRADES: Final = 5_000
_SHOWN_DECISIONS: Final = 30
_SHOWN_ACTED: Final = 10
_SHOWN_TRADES: Final = 20
_SHOWN_EVENTS: Final = 20
_SEARCHED_EVENTS: Final = 20_000
# What a healthy day is full of.
_ROUTINE: Final = ("reconciled", "filled", "order_answered")


def read_trading(live_state: Path) -> Trading:
    """Equity, decisions, trades and events; empty without a journal.

    Raises:
        StateError: the journal cannot be opened, is of another build, or is damaged.
    """
    path = live_state / JOURNAL_FILE
    if not path.exists():
        return Trading(schema_version=1)
    with _damage_named(path), closing(Journal(path, read_only=True)) as journal:
        last_s = journal.last_decision_bar_s()
        decisions = journal.decisions(last_s - _MARKED_S, last_s + 1) if last_s else []
        trades = journal.last_trades(_TRADES)
        return Trading(
            schema_version=1,
            realised=_realised(trades),
            marked=_marked(decisions, trades),
            decisions=tuple(_decision(record) for record in decisions[: -_SHOWN_DECISIONS - 1 : -1]),
            acted=tuple(
                _decision(record)
                for record in [record for record in decisions if record.action != HOLD][
                    : -_SHOWN_ACTED - 1 : -1
                ]
            ),
            trades=tuple(_trade(trade) for trade in trades[: -_SHOWN_TRADES - 1 : -1]),
            events=_events(journal),
        )


def read_shadow(live_state: Path) -> Shadow | None:
    """The comparison with the latest candidate on paper; None when none has decided.

    Raises:
        StateError: the journal cannot be read.
    """
    try:
        with _damage_named(live_state / JOURNAL_FILE):
            found = compare(live_state)
    except DataError:
        return None
    return Shadow(
        schema_version=1,
        name=found.candidate_name,
        since_s=found.since_s,
        compared=found.compared,
        disagreements=found.disagreements,
        trader=_side(found.champion),
        candidate=_side(found.candidate),
    )


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Whatever damaged bytes do to a reader becomes one error that names the file."""
    try:
        yield
    except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
        raise StateError(
            f"the journal {path} cannot be understood: {error}",
            remedy="stop the trader, copy the file away for inspection, and restore its backup",
        ) from error


def _realised(trades: list[TradeResult]) -> Course | None:
    if not trades:
        return None
    sums = accumulate(trade.pnl_pips for trade in trades)
    points = [(float(trades[0].entry_time_s), 0.0)]
    points += [(float(trade.exit_time_s), pips) for trade, pips in zip(trades, sums, strict=True)]
    return _course("realised", points)


def _marked(decisions: list[DecisionRecord], trades: list[TradeResult]) -> Course | None:
    """Closed trades and the open position at each decided bar's close.

    A trade that ends at a bar's close does so after the decision there, which still saw it open.
    """
    points, realised, number = [], 0.0, 0
    for record in decisions:
        close_s = record.bar_time_s + MINUTE_S
        while number < len(trades) and trades[number].exit_time_s < close_s:
            realised += trades[number].pnl_pips
            number += 1
        points.append((float(close_s), realised + record.position[EQUITY]))
    return _course("marked", points) if points else None


def _course(name: str, points: list[tuple[float, float]]) -> Course:
    kept = thinned(points, _POINTS)
    return Course(schema_version=1, name=name, x=tuple(k[0] for k in kept), y=tuple(k[1] for k in kept))


def _decision(record: DecisionRecord) -> Decision:
    return Decision(
        schema_version=1,
        bar_time_s=record.bar_time_s,
        action=ACTION_NAMES[record.action],
        searched_action=ACTION_NAMES[record.searched_action],
        confidence=record.confidence,
        root_value=record.root_value,
        visits=dict(zip(ACTION_NAMES, record.visit_counts, strict=True)),
        side=int(record.position[SIDE]),
        equity_pips=record.position[EQUITY],
        latency_ms=record.latency_ms,
        outcome=record.outcome,
    )


def _trade(trade: TradeResult) -> Trade:
    return Trade(
        schema_version=1,
        side=trade.side,
        entry_time_s=trade.entry_time_s,
        exit_time_s=trade.exit_time_s,
        pnl_pips=trade.pnl_pips,
        mae_pips=trade.mae_pips,
        bars=trade.bars,
        forced=trade.forced,
    )


def _events(journal: Journal) -> tuple[Event, ...]:
    # The last rows only: a journal of years is not searched for its few events.
    rows = journal.rows(
        "SELECT time_s, event, detail FROM audit WHERE id > (SELECT COALESCE(MAX(id), 0) - ? FROM audit) "
        "AND event NOT IN (?, ?, ?) ORDER BY id DESC LIMIT ?",
        (_SEARCHED_EVENTS, *_ROUTINE, _SHOWN_EVENTS),
    )
    return tuple(
        Event(schema_version=1, time_s=row["time_s"], event=row["event"], detail=row["detail"])
        for row in rows
    )


def _side(record: Record) -> ShadowSide:
    return ShadowSide(
        schema_version=1,
        trades=record.trades,
        pips=record.pips,
        open_pips=record.open_pips,
        win_rate=record.win_rate,
        profit_factor=record.profit_factor,
        max_drawdown_pips=record.max_drawdown_pips,
    )
