"""`swt status` from files alone: nothing yet, at work, and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.clock import ManualClock
from swt_core.state import StateDirectory, write_json
from swt_core.workspace import Workspace
from swt_live.status import LiveStatus
from swt_ops.status import DaemonState, InstallationStatus, last_metrics, read_status
from swt_ops.status_view import age_text, idle_reason, status_view

NOW_S = 1_800_000_000.0
RUN = CliRunner()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def look(workspace: Workspace, now_s: float = NOW_S) -> InstallationStatus:
    return read_status(workspace, ManualClock(now_s))


def shown(status: InstallationStatus) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(status_view(status))
    return console.export_text()


def beat(directory: Path, status: str, age_s: float = 0.0) -> None:
    StateDirectory(directory).beat(ManualClock(NOW_S - age_s), status, {"episodes": 3.0})


def live(**changes: object) -> LiveStatus:
    usual: dict[str, object] = {
        "time_s": NOW_S, "environment": "embedded", "state": "ACTIVE", "started": True, "emergency": False,
        "market_open": True, "reconciled": True, "feed_connected": True, "feed_stale": False, "units": 0,
        "model_name": "checkpoint_a",
    }  # fmt: skip
    return LiveStatus.model_validate(usual | changes)


def test_an_empty_workspace_is_not_yet_anything_and_no_alarm(tmp_path: Path) -> None:
    status = look(Workspace(tmp_path / "nowhere"))
    assert [daemon.state for daemon in status.daemons] == [DaemonState.ABSENT] * 3
    assert status.alarms == ()
    assert "none yet" in shown(status)


def test_daemons_are_what_their_heartbeats_say(workspace: Workspace) -> None:
    beat(workspace.training_state, "training", age_s=10)
    beat(workspace.validation_state, "stopped: SIGTERM", age_s=9000)
    beat(workspace.live_state, "active", age_s=400)
    beat(workspace.practice_state, "failed: OSError")
    status = look(workspace)
    assert {d.name: d.state for d in status.daemons} == {
        "trainer": DaemonState.RUNNING,
        "validator": DaemonState.STOPPED,
        "live": DaemonState.STALE,
        "practice": DaemonState.FAILED,
    }
    assert {alarm.source for alarm in status.alarms} == {"live", "practice"}


def test_a_heartbeat_of_the_future_is_an_alarm_with_the_reason(workspace: Workspace) -> None:
    beat(workspace.training_state, "training", age_s=-59)
    beat(workspace.live_state, "active", age_s=-3600)
    status = look(workspace)
    states = {d.name: d.state for d in status.daemons}
    assert (states["trainer"], states["live"]) == (DaemonState.RUNNING, DaemonState.STALE)
    assert [alarm.text for alarm in status.alarms] == [
        "silent: active; its heartbeat is stamped 3600 s in the future: the clock was set back"
    ]


def test_a_broken_file_is_an_alarm_and_the_rest_is_still_there(workspace: Workspace) -> None:
    beat(workspace.training_state, "training")
    write_json(workspace.live_state / "status.json", live(realised_pips=12.5, trades=3))
    for path in (workspace.validation_state / "x" / "verdict.json", workspace.live_state / "heartbeat.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{broken")
    status = look(workspace)
    assert {alarm.source for alarm in status.alarms} == {"validator", "live"}
    assert "+12.5 pips in 3 trades" in shown(status)
    assert "training" in shown(status)


def test_halts_and_dead_feeds_are_alarms(workspace: Workspace) -> None:
    beat(workspace.live_state, "halted")
    write_json(
        workspace.live_state / "status.json",
        live(halt_reason="daily loss", feed_stale=True, undecided_orders=1, emergency=True),
    )
    texts = " ".join(alarm.text for alarm in look(workspace).alarms)
    for word in ("daily loss", "feed is stale", "undecided", "EMERGENCY_STOP"):
        assert word in texts


def test_a_position_left_by_a_dead_trader_is_an_alarm(workspace: Workspace) -> None:
    write_json(workspace.live_state / "status.json", live(units=-1))
    assert [alarm.text for alarm in look(workspace).alarms] == [
        "-1 units were held when the trader was last heard of"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"started": False}, "START_TRADING"),
        ({"market_open": False}, "closed"),
        ({"model_name": None, "model_refusals": ["a: it says REJECT, not DEPLOY"]}, "not DEPLOY"),
        ({"halt_reason": "oversize fill"}, "oversize"),
        ({"entry_refusal": "cool-down"}, "cool-down"),
    ],
)
def test_an_idle_trader_says_why(workspace: Workspace, changes: dict[str, object], reason: str) -> None:
    write_json(workspace.live_state / "status.json", live(**changes))
    assert reason in str(idle_reason(look(workspace)))


def test_the_last_metrics_are_found_behind_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert last_metrics(path) == {}
    row = json.dumps({"episode": 4, "Training/episodes_per_s": 2.5})
    path.write_text(
        "x" * 70_000 + f"\n{row}\n" + '{"episode": 5, "Selection/sqn": 1.0}\n' + '{"episode": 6, "Tr'
    )
    assert last_metrics(path) == {"episode": 4.0, "Training/episodes_per_s": 2.5}


def test_ages_are_told_in_the_unit_that_says_enough() -> None:
    assert [age_text(s) for s in (None, 3.4, 600.0, 9000.0, 864_000.0)] == [
        *("", "3 s ago", "10 min ago", "2 h ago", "10 days ago"),
    ]


def test_the_command_exits_with_1_when_there_are_alarms(workspace: Workspace) -> None:
    assert RUN.invoke(app, ["status", "--state-dir", str(workspace.root)]).exit_code == 0
    write_json(workspace.live_state / "status.json", live(halt_reason="daily loss"))
    result = RUN.invoke(app, ["status", "--json", "--state-dir", str(workspace.root)])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["live"]["halt_reason"] == "daily loss"
