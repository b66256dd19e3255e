"""A state directory like one after a day of work, made by the product's own writers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from swt_core.clock import ManualClock
from swt_core.position import ACTION_NAMES, EQUITY, POSITION_FIELDS, SIDE
from swt_core.records import TradeResult
from swt_core.state import StateDirectory, append_jsonl, write_json
from swt_core.verdict import Verdict
from swt_core.workspace import Workspace
from swt_live.journal import Journal
from swt_live.journal_records import DecisionRecord
from swt_live.status import LiveStatus

NOW_S = 1_800_000_000.0
SHA256 = "ab" * 32
HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


def live_status(**changes: object) -> LiveStatus:
    usual: dict[str, object] = {
        "time_s": NOW_S, "environment": "embedded", "state": "ACTIVE", "started": True, "emergency": False,
        "market_open": True, "reconciled": True, "feed_connected": True, "feed_stale": False, "units": -1,
        "equity_pips": 12.5, "realised_pips": 30.0, "trades": 3, "win_rate": 2 / 3,
        "model_name": "checkpoint_a",
    }  # fmt: skip
    return LiveStatus.model_validate(usual | changes)


def verdict(**changes: object) -> Verdict:
    usual: dict[str, object] = {
        "checkpoint_name": "checkpoint_v1.0.0_ep96_arch-a.safetensors", "checkpoint_sha256": SHA256,
        "config_hash": "cd" * 32, "level": "FULL", "decision": "REJECT", "reasons": ("There is no profit.",),
        "score": 27.5, "grade": "F", "created_s": NOW_S - 3600.0, "expires_s": NOW_S + 86_400.0,
        "data": {"source": "bars.parquet", "sha256": "ef" * 32, "instrument": "GBP_JPY", "synthetic": False,
                 "start_s": 1, "end_s": 2},
        "statistics": {"trades": 25, "profit_factor": float("inf")},
    }  # fmt: skip
    return Verdict.model_validate(usual | changes)


def decision(number: int, action: int = 0, **changes: object) -> DecisionRecord:
    row = np.zeros(POSITION_FIELDS)
    row[SIDE], row[EQUITY] = 1.0, float(number)
    text = hashlib.sha256(str(number).encode()).hexdigest()
    values: dict[str, object] = {
        "bar_time_s": int(NOW_S) - 60 * (200 - number), "decided_s": NOW_S, "bars_id": number,
        "bars_sha256": text, "observation_sha256": text, "feature_version": "1", "model_hash": SHA256,
        "position": tuple(row.tolist()), "mask": (True,) * len(ACTION_NAMES), "action": action,
        "searched_action": action, "confidence": 0.6, "root_value": 1.5, "visit_counts": (9, 3, 2, 1),
        "bid_close": 1, "ask_close": 2, "latency_ms": 3.0, "outcome": "none",
    }  # fmt: skip
    return DecisionRecord(**(values | changes))  # type: ignore[arg-type]


def trade(number: int, pnl_pips: float) -> TradeResult:
    start_s = int(NOW_S) - 60 * (200 - number)
    return TradeResult(
        side=1, entry_time_s=start_s - 600, exit_time_s=start_s, entry_points=1, exit_points=2, bars=10,
        pnl_pips=pnl_pips, mae_pips=4.0, mfe_pips=8.0, max_drawdown_pips=5.0, accumulated_drawdown_pips=6.0,
        spread_pips=2.0, slippage_pips=0.0, forced=False,
    )  # fmt: skip


def write_training(workspace: Workspace, rounds: int = 20) -> None:
    StateDirectory(workspace.training_state).beat(ManualClock(NOW_S), "training", {"episodes": 640.0})
    for number in range(rounds):
        row = {
            "episode": 32.0 * (number + 1), "time_s": NOW_S, "Loss/total": 5.0 / (number + 1),
            "Loss/policy": 1e-9, "Performance/self_play_pips": -100.0 + number,
            "Performance/expectancy_pips": -3.0, "Training/buffer_sessions": 32.0 * number,
            "Training/buffer_trading_share": 0.9, "Training/episodes_per_s": 2.0, "Actions/HOLD": 0.9,
        }  # fmt: skip
        append_jsonl(workspace.training_state / "metrics.jsonl", row, durable=False)


def write_verdict(workspace: Workspace, **changes: object) -> Path:
    """A verdict in force and its report."""
    made = verdict(**changes)
    outer = workspace.validation_state / made.checkpoint_sha256
    for directory in (outer, outer / made.level):
        write_json(directory / "verdict.json", made)
    for name in ("report.html", "report.pdf", "report.json", "trades.csv"):
        (outer / made.level / name).write_text(f"<p>{name}</p>")
    return outer / made.level


def write_journal(workspace: Workspace, outcome: str = "none", event: str = "START_TRADING True") -> None:
    workspace.live_state.mkdir(parents=True, exist_ok=True)
    journal = Journal(workspace.live_state / "journal.db")
    for number in range(1, 101):
        journal.record_decision(decision(number, action=1 if number % 40 == 0 else 0, outcome=outcome))
    for number, pips in ((20, 10.0), (50, -5.0), (80, 25.0)):
        journal.record_trade(trade(number, pips), 1, "agent")
    journal.audit(NOW_S, "reconciled", "routine")
    journal.audit(NOW_S, "flags", event)
    journal.close()


def write_everything(root: Path) -> Workspace:
    workspace = Workspace(root)
    write_training(workspace)
    write_verdict(workspace)
    write_journal(workspace)
    StateDirectory(workspace.validation_state).beat(ManualClock(NOW_S), "waiting", {})
    StateDirectory(workspace.live_state).beat(ManualClock(NOW_S), "active", {})
    write_json(workspace.live_state / "status.json", live_status())
    return workspace


def write_hostile(root: Path) -> Workspace:
    """Markup wherever a state file has room for text."""
    workspace = Workspace(root)
    write_training(workspace)
    write_verdict(workspace, checkpoint_name=HOSTILE, reasons=(HOSTILE,), grade=HOSTILE)
    write_journal(workspace, outcome=HOSTILE, event=HOSTILE)
    StateDirectory(workspace.live_state).beat(ManualClock(NOW_S), HOSTILE, {})
    status = live_status(halt_reason=HOSTILE, state=HOSTILE, model_name=HOSTILE, environment=HOSTILE)
    write_json(workspace.live_state / "status.json", status)
    alarms = {
        "schema_version": 1,
        "alarms": [{"schema_version": 1, "name": HOSTILE, "text": HOSTILE, "since_s": 1}],
    }
    (workspace.training_state / "alarms.json").write_text(json.dumps(alarms))
    return workspace
