"""A practice account outlives its server: what was answered is on disk, market time included.

One SQLite file in the server's state directory, written before each answer leaves. A server that is killed
and started again is the same account at the same market time, so that the trader meets what it would meet
at a real broker: a connection lost, nothing forgotten. An order that was not answered yet never happened.
"""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from swt_core.calendar import MINUTE_S
from swt_core.errors import StateError
from swt_live.practice.account import Account, OpenTrade, SideTotals
from swt_live.practice.exchange import Exchange

ACCOUNT_FILE: Final = "account.db"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (id INTEGER PRIMARY KEY, time_s REAL NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trades (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""
_TRADE = TypeAdapter(OpenTrade)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Recording(_Record):
    """Which recording an account trades; it never changes under it.

    Attributes:
        source: name of the bars.
        first_s: open of the first bar used, in the recording's own time.
        moved_to_s: the moment a recording was moved to, for real time; None: it was not moved.
    """

    source: str
    instrument: str
    account_id: str
    first_s: int
    moved_to_s: float | None = None


class _Balances(_Record):
    alias: str
    margin_rate: Decimal
    balance: Decimal
    financing: Decimal
    pl: Decimal
    created_s: float
    position_touched_id: int
    open_ids: list[int]
    pending_ids: list[int]
    totals: dict[str, tuple[Decimal, Decimal]]


class AccountKeeper:
    """Keeps one account in ``directory``; one server at a time.

    Attributes:
        recording: what the kept account trades; None while nothing is kept.
        time_s: its market time.

    Raises:
        StateError: the file is broken.
    """

    def __init__(self, directory: Path, *, fresh: bool = False) -> None:
        self.path = directory / ACCOUNT_FILE
        directory.mkdir(parents=True, exist_ok=True)
        if fresh:
            for name in (ACCOUNT_FILE, f"{ACCOUNT_FILE}-wal", f"{ACCOUNT_FILE}-shm"):
                (directory / name).unlink(missing_ok=True)
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            # It survives the death of the process; after a power cut a practice account may begin anew.
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(_SCHEMA)
            recording, time_s = self._fact("recording"), self._fact("time_s")
            self.recording = None if recording is None else Recording.model_validate_json(recording)
            self.time_s = None if time_s is None else float(time_s)
        except (sqlite3.Error, ValidationError, ValueError) as error:
            raise self._broken(error) from error
        self._saved_id = 0
        self._open: set[int] = set()
        self._pending: set[int] = set()

    @property
    def minute_s(self) -> float | None:
        """Where a replay resumes: its current minute's bar is replayed up to ``time_s``."""
        return None if self.time_s is None else self.time_s // MINUTE_S * MINUTE_S

    def attach(self, exchange: Exchange, recording: Recording) -> None:
        """Take the kept account up at its market time; the first time, begin to keep this one.

        The exchange must have been made to start at `minute_s`.

        Raises:
            StateError: the kept account cannot be read.
        """
        if self.recording is None or self.time_s is None:
            self.recording = recording
            self._put("recording", recording.model_dump_json())
        else:
            try:
                self._restore(exchange.account)
            except (sqlite3.Error, ValidationError, ValueError, KeyError) as error:
                raise self._broken(error) from error
            self._note(exchange.account)
            exchange.advance(self.time_s)
        self.save(exchange)

    def save(self, exchange: Exchange) -> None:
        """Keep what has happened since the last call; nothing but the time, most often."""
        account, now_s = exchange.account, exchange.now_s
        if account.log.last_id == self._saved_id:
            if now_s != self.time_s:
                self.time_s = now_s
                self._put("time_s", repr(now_s))
            return
        new = range(self._saved_id + 1, account.log.next_id)
        trades = [i for i in {*self._open, *account.open_ids, *new} if i in account.trades]
        orders = [i for i in {*self._pending, *account.pending_ids, *new} if i in account.orders]
        self._db.execute("BEGIN IMMEDIATE")
        entries = [(i, account.log.times_s[i - 1], json.dumps(account.log.entries[i - 1])) for i in new]
        self._db.executemany("INSERT INTO transactions VALUES (?, ?, ?)", entries)
        bodies = [(i, _TRADE.dump_json(account.trades[i]).decode()) for i in trades]
        self._db.executemany("INSERT OR REPLACE INTO trades VALUES (?, ?)", bodies)
        bodies = [(i, json.dumps(account.orders[i])) for i in orders]
        self._db.executemany("INSERT OR REPLACE INTO orders VALUES (?, ?)", bodies)
        self._put("balances", _balances(account).model_dump_json())
        self._put("time_s", repr(now_s))
        self._db.execute("COMMIT")
        self.time_s = now_s
        self._note(account)

    def close(self) -> None:
        self._db.close()

    def _note(self, account: Account) -> None:
        self._saved_id = account.log.last_id
        self._open, self._pending = set(account.open_ids), set(account.pending_ids)

    def _restore(self, account: Account) -> None:
        text = self._fact("balances")
        if text is None:
            raise KeyError("balances")
        kept = _Balances.model_validate_json(text)
        rows = self._rows("SELECT time_s, body FROM transactions ORDER BY id")
        account.log.times_s[:] = [float(time_s) for time_s, _ in rows]
        account.log.entries[:] = [json.loads(body) for _, body in rows]
        rows = self._rows("SELECT id, body FROM trades ORDER BY id")
        account.trades = {int(number): _TRADE.validate_json(body) for number, body in rows}
        rows = self._rows("SELECT id, body FROM orders ORDER BY id")
        account.orders = {int(number): json.loads(body) for number, body in rows}
        account.open_ids, account.pending_ids = list(kept.open_ids), list(kept.pending_ids)
        account.alias, account.margin_rate = kept.alias, kept.margin_rate
        account.balance, account.financing, account.pl = kept.balance, kept.financing, kept.pl
        account.created_s, account.position_touched_id = kept.created_s, kept.position_touched_id
        account.totals = {side: SideTotals(*parts) for side, parts in kept.totals.items()}

    def _rows(self, query: str) -> list[Any]:
        return self._db.execute(query).fetchall()

    def _fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT body FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, name: str, body: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, body))

    def _broken(self, error: Exception) -> StateError:
        return StateError(
            f"the practice account in {self.path} cannot be read: {error}",
            remedy="begin a new one with `swt practice --fresh`, and a new live_state/ with it",
        )


def _balances(account: Account) -> _Balances:
    return _Balances(
        alias=account.alias,
        margin_rate=account.margin_rate,
        balance=account.balance,
        financing=account.financing,
        pl=account.pl,
        created_s=account.created_s,
        position_touched_id=account.position_touched_id,
        open_ids=account.open_ids,
        pending_ids=account.pending_ids,
        totals={side: (totals.pl, totals.financing) for side, totals in account.totals.items()},
    )
