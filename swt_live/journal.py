"""The trader's memory: a SQLite journal in WAL mode, written before anything is sent.

The order rule (`docs/contracts.md` §13) stands on three promises kept here:

* an intent is on disk (fsynced) before its order leaves, and its client id is unique, so it
  can never be sent twice;
* a broker transaction is applied once: its id is a primary key;
* what belongs together (fill, position, intent, cursor) changes in one SQLite transaction. No ``await``
  happens inside one, so a crash leaves all of it or none.

Decisions, bars as they were known, fills, closed trades and an audit trail lie beside them, so that a day
can be recomputed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from swt_core.records import TradeResult
from swt_live.journal_file import JournalBroken, JournalFile
from swt_live.journal_records import BarRecord, DecisionRecord, FillRecord, Intent, IntentKind, IntentState

JOURNAL_FILE: Final = "journal.db"
__all__ = ["JOURNAL_FILE", "Journal", "JournalBroken"]


class Journal(JournalFile):
    """What the journal holds: intents, fills, trades, bars, decisions."""

    # -- intents ---------------------------------------------------------------------------------

    def write_intent(
        self,
        kind: IntentKind,
        units: int,
        *,
        after_transaction_id: int,
        now_s: float,
        quarantine_s: float,
        reference_points: int,
        bar_time_s: int,
        reason: str,
    ) -> Intent:
        """Put an intent on disk under a new client id; once this returns it may be sent, once."""
        with self.transaction(durable=True):
            row = self._db.execute("SELECT COALESCE(MAX(sequence), 0) + 1 FROM intents").fetchone()
            intent = Intent(
                client_id=f"swt-{int(now_s)}-{kind.value[0]}{row[0]}",
                kind=kind,
                units=units,
                after_transaction_id=after_transaction_id,
                written_s=now_s,
                quarantine_until_s=now_s + quarantine_s,
                reference_points=reference_points,
                bar_time_s=bar_time_s,
                reason=reason,
            )
            self._insert("intents", {"sequence": row[0], **_plain(intent)})
        return intent

    def settle_intent(self, client_id: str, state: IntentState, detail: str, now_s: float) -> None:
        """Note what became of an intent. FILLED is never taken back."""
        self._db.execute(
            "UPDATE intents SET state = ?, detail = ?, settled_s = ? "
            "WHERE client_id = ? AND state != 'FILLED'",
            (state.value, detail, now_s, client_id),
        )

    def intent(self, client_id: str) -> Intent | None:
        row = self._db.execute("SELECT * FROM intents WHERE client_id = ?", (client_id,)).fetchone()
        return None if row is None else _intent(row)

    def open_intents(self) -> list[Intent]:
        """Intents of which nobody knows what became, oldest first."""
        rows = self._db.execute("SELECT * FROM intents WHERE state = 'OPEN' ORDER BY sequence")
        return [_intent(row) for row in rows]

    def intents(self) -> list[Intent]:
        return [_intent(row) for row in self._db.execute("SELECT * FROM intents ORDER BY sequence")]

    def unfilled_close(self, opening_id: str) -> str | None:
        """Why a close that was decided after the order ``opening_id`` did not fill; None without one.

        Only a definite cancellation counts: what is undecided may still fill, a rejection is final.
        """
        row = self._db.execute(
            "SELECT detail FROM intents WHERE kind = 'CLOSE' AND state = 'CANCELLED' AND sequence > "
            "(SELECT sequence FROM intents WHERE client_id = ?) ORDER BY sequence DESC LIMIT 1",
            (opening_id,),
        ).fetchone()
        return None if row is None else str(row[0])

    def entries_since(self, time_s: float) -> int:
        """Entry orders written since ``time_s``."""
        row = self._db.execute(
            "SELECT COUNT(*) FROM intents WHERE kind = 'ENTRY' AND written_s > ?", (time_s,)
        ).fetchone()
        return int(row[0])

    # -- fills and trades ------------------------------------------------------------------------

    def record_fill(self, fill: FillRecord, raw: Mapping[str, Any]) -> bool:
        """Book a fill; False when its transaction is already known."""
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*asdict(fill).values(), json.dumps(raw, default=str)),
        )
        return cursor.rowcount == 1

    def knows_fill(self, transaction_id: int) -> bool:
        row = self._db.execute("SELECT 1 FROM fills WHERE transaction_id = ?", (transaction_id,)).fetchone()
        return row is not None

    def filled_units(self, client_id: str) -> int:
        """Signed units filled for an intent so far."""
        row = self._db.execute(
            "SELECT COALESCE(SUM(units), 0) FROM fills WHERE client_id = ?", (client_id,)
        ).fetchone()
        return int(row[0])

    def filled_late(self, client_id: str) -> bool:
        """Whether an intent was filled after it had been given up."""
        row = self._db.execute("SELECT 1 FROM fills WHERE client_id = ? AND late", (client_id,)).fetchone()
        return row is not None

    def fills(self) -> list[FillRecord]:
        rows = self._db.execute("SELECT * FROM fills ORDER BY transaction_id")
        names = FillRecord.__dataclass_fields__
        return [
            FillRecord(**{n: row[n] for n in names} | {"own": bool(row["own"]), "late": bool(row["late"])})
            for row in rows
        ]

    def record_trade(self, trade: TradeResult, units: int, reason: str, *, unexplained: bool = False) -> int:
        """Book a closed trade; returns its number. ``unexplained``: no fill says how it ended."""
        row = {**asdict(trade), "units": units, "reason": reason, "unexplained": unexplained}
        return self._insert("trades", row)

    def unexplained_trades(self) -> int:
        """How many trades ended without a fill that says how."""
        return int(self._db.execute("SELECT COUNT(*) FROM trades WHERE unexplained").fetchone()[0])

    def trade_count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM trades").fetchone()[0])

    def last_trades(self, count: int) -> list[TradeResult]:
        """The last ``count`` closed trades, oldest first."""
        rows = self._db.execute("SELECT * FROM trades ORDER BY number DESC LIMIT ?", (count,)).fetchall()
        return [_trade(row) for row in reversed(rows)]

    def last_slippages(self, count: int) -> list[float]:
        """Slippage of the last ``count`` own fills whose price at sending was known, pips, oldest first."""
        rows = self._db.execute(
            "SELECT f.slippage_pips FROM fills f JOIN intents i ON i.client_id = f.client_id "
            "WHERE f.own AND i.reference_points > 0 ORDER BY f.transaction_id DESC LIMIT ?",
            (count,),
        ).fetchall()
        return [float(row[0]) for row in reversed(rows)]

    def trades(self, since_s: float = 0.0) -> list[TradeResult]:
        """Closed trades that ended at or after ``since_s``, oldest first."""
        rows = self._db.execute("SELECT * FROM trades WHERE exit_time_s >= ? ORDER BY number", (since_s,))
        return [_trade(row) for row in rows]

    # -- bars and decisions ----------------------------------------------------------------------

    def record_bar(self, bar: BarRecord) -> int:
        return self._insert("bars", asdict(bar))

    def last_bar_id(self) -> int:
        return int(self._db.execute("SELECT COALESCE(MAX(id), 0) FROM bars").fetchone()[0])

    def bars(
        self, since_s: int, *, until_id: int | None = None, until_s: int | None = None
    ) -> list[BarRecord]:
        """Bars that open at or after ``since_s`` as known at record ``until_id``, oldest first."""
        rows = self._db.execute(
            "SELECT b.* FROM bars b JOIN (SELECT MAX(id) AS id FROM bars WHERE time_s >= ? AND time_s <= ? "
            "AND id <= ? GROUP BY time_s) newest ON b.id = newest.id ORDER BY b.time_s",
            (since_s, 2**62 if until_s is None else until_s, 2**62 if until_id is None else until_id),
        )
        return [BarRecord(**{n: row[n] for n in BarRecord.__dataclass_fields__}) for row in rows]

    def last_bars(self, count: int, *, until_id: int, until_s: int) -> list[BarRecord]:
        """The last ``count`` bars up to ``until_s``, as known at record ``until_id``, oldest first."""
        rows = self._db.execute(
            "SELECT b.* FROM bars b JOIN (SELECT MAX(id) AS id, time_s FROM bars WHERE time_s <= ? "
            "AND id <= ? GROUP BY time_s ORDER BY time_s DESC LIMIT ?) newest ON b.id = newest.id "
            "ORDER BY b.time_s",
            (until_s, until_id, count),
        )
        return [BarRecord(**{n: row[n] for n in BarRecord.__dataclass_fields__}) for row in rows]

    def record_decision(self, decision: DecisionRecord) -> int:
        """Note a decision before anything is done about it; returns its number."""
        return self._insert("decisions", _plain(decision))

    def note_outcome(self, decision_number: int, outcome: str) -> None:
        """What was done about a decision."""
        self._db.execute("UPDATE decisions SET outcome = ? WHERE id = ?", (outcome, decision_number))

    def decisions(self, start_s: float, end_s: float) -> list[DecisionRecord]:
        """Decisions on bars that open in ``[start_s, end_s)``, oldest first."""
        rows = self._db.execute(
            "SELECT * FROM decisions WHERE bar_time_s >= ? AND bar_time_s < ? ORDER BY id", (start_s, end_s)
        )
        return [_decision(row) for row in rows]

    def decision(self, number: int) -> DecisionRecord | None:
        """The decision of that number; None when there is none."""
        row = self._db.execute("SELECT * FROM decisions WHERE id = ?", (number,)).fetchone()
        return None if row is None else _decision(row)

    def last_decision_bar_s(self) -> int:
        """The open of the last bar that was decided on; 0 when there is none."""
        return int(self._db.execute("SELECT COALESCE(MAX(bar_time_s), 0) FROM decisions").fetchone()[0])


def _plain(record: Intent | DecisionRecord) -> dict[str, Any]:
    """A record's columns; sequences as JSON."""
    return {
        name: json.dumps(value) if isinstance(value, tuple) else value
        for name, value in asdict(record).items()
    }


def _intent(row: sqlite3.Row) -> Intent:
    values = {name: row[name] for name in Intent.__dataclass_fields__}
    values["kind"], values["state"] = IntentKind(values["kind"]), IntentState(values["state"])
    return Intent(**values)


def _decision(row: sqlite3.Row) -> DecisionRecord:
    values = {n: row[n] for n in DecisionRecord.__dataclass_fields__}
    for name in ("position", "mask", "visit_counts"):
        values[name] = tuple(json.loads(values[name]))
    return DecisionRecord(**values)


def _trade(row: sqlite3.Row) -> TradeResult:
    values = {name: row[name] for name in TradeResult.__dataclass_fields__}
    return TradeResult(**values | {"forced": bool(row["forced"])})
