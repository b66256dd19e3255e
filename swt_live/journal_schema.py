"""The journal's layout; a change is a new entry, applied once to older files."""

from __future__ import annotations

from typing import Final

_FIRST: Final = (
    """CREATE TABLE intents (
        sequence INTEGER PRIMARY KEY, client_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        units INTEGER NOT NULL, after_transaction_id INTEGER NOT NULL, written_s REAL NOT NULL,
        quarantine_until_s REAL NOT NULL,
        reference_points INTEGER NOT NULL, bar_time_s INTEGER NOT NULL, reason TEXT NOT NULL,
        state TEXT NOT NULL, detail TEXT NOT NULL, settled_s REAL)""",
    "CREATE INDEX open_intents ON intents (state) WHERE state = 'OPEN'",
    """CREATE TABLE fills (
        transaction_id INTEGER PRIMARY KEY, client_id TEXT, time_s REAL NOT NULL, units INTEGER NOT NULL,
        requested_units INTEGER NOT NULL, price_points INTEGER NOT NULL, opposite_points INTEGER NOT NULL,
        own INTEGER NOT NULL, late INTEGER NOT NULL, slippage_pips REAL NOT NULL, raw TEXT NOT NULL)""",
    """CREATE TABLE trades (
        number INTEGER PRIMARY KEY, side INTEGER NOT NULL, entry_time_s INTEGER NOT NULL,
        exit_time_s INTEGER NOT NULL, entry_points INTEGER NOT NULL, exit_points INTEGER NOT NULL,
        bars INTEGER NOT NULL, pnl_pips REAL NOT NULL, mae_pips REAL NOT NULL, mfe_pips REAL NOT NULL,
        max_drawdown_pips REAL NOT NULL, accumulated_drawdown_pips REAL NOT NULL, spread_pips REAL NOT NULL,
        slippage_pips REAL NOT NULL, forced INTEGER NOT NULL, units INTEGER NOT NULL,
        reason TEXT NOT NULL)""",
    """CREATE TABLE bars (
        id INTEGER PRIMARY KEY, time_s INTEGER NOT NULL, open_hp INTEGER NOT NULL, high_hp INTEGER NOT NULL,
        low_hp INTEGER NOT NULL, close_hp INTEGER NOT NULL, spread_open INTEGER NOT NULL,
        spread_close INTEGER NOT NULL, volume INTEGER NOT NULL, source TEXT NOT NULL)""",
    "CREATE INDEX bars_time ON bars (time_s, id)",
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY, bar_time_s INTEGER NOT NULL, decided_s REAL NOT NULL,
        bars_id INTEGER NOT NULL, bars_sha256 TEXT NOT NULL, observation_sha256 TEXT NOT NULL,
        feature_version TEXT NOT NULL,
        model_hash TEXT NOT NULL, position TEXT NOT NULL, mask TEXT NOT NULL, action INTEGER NOT NULL,
        searched_action INTEGER NOT NULL, confidence REAL NOT NULL, root_value REAL NOT NULL,
        visit_counts TEXT NOT NULL, bid_close INTEGER NOT NULL, ask_close INTEGER NOT NULL,
        latency_ms REAL NOT NULL, outcome TEXT NOT NULL)""",
    "CREATE INDEX decisions_bar ON decisions (bar_time_s)",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY, time_s REAL NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL,
        action TEXT NOT NULL, duration_ms REAL NOT NULL)""",
    "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

_SECOND: Final = (
    "ALTER TABLE trades ADD COLUMN unexplained INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE shadow_decisions (
        id INTEGER PRIMARY KEY, model_hash TEXT NOT NULL, bar_time_s INTEGER NOT NULL,
        action INTEGER NOT NULL, side INTEGER NOT NULL, confidence REAL NOT NULL,
        equity_pips REAL NOT NULL, observation_sha256 TEXT NOT NULL,
        champion_hash TEXT, champion_action INTEGER, champion_side INTEGER NOT NULL,
        champion_equity_pips REAL NOT NULL)""",
    "CREATE UNIQUE INDEX shadow_decisions_bar ON shadow_decisions (model_hash, bar_time_s)",
    """CREATE TABLE shadow_trades (
        number INTEGER PRIMARY KEY, model_hash TEXT NOT NULL, side INTEGER NOT NULL,
        entry_time_s INTEGER NOT NULL, exit_time_s INTEGER NOT NULL, pnl_pips REAL NOT NULL,
        mae_pips REAL NOT NULL, bars INTEGER NOT NULL, forced INTEGER NOT NULL)""",
)

MIGRATIONS: Final = (_FIRST, _SECOND)
