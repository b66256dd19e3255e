"""The full-screen view: one frame at common sizes."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from dashboard_fakes import HOSTILE, NOW_S, write_everything, write_hostile
from rich.console import Console
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.clock import ManualClock
from swt_core.workspace import Workspace
from swt_ops.dashboard.view import Observer
from swt_ops.terminal import screen, watch


def frame(workspace: Workspace, width: int, height: int) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(screen(Observer(workspace, ManualClock(NOW_S)).view(), width, height), height=height)
    return console.export_text()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_what_matters_is_in_every_frame(tmp_path: Path, width: int, height: int) -> None:
    text = frame(write_everything(tmp_path), width, height)
    lines = text.rstrip("\n").split("\n")
    assert len(lines) == height
    assert max(len(line) for line in lines) <= width
    for word in (
        "trainer",
        "validator",
        "live",
        "running",
        "-1 units",
        "+12.5",
        "+30.0",
        "REJECT",
        "640",
        "none",
    ):
        assert word in text, word


def test_decisions_show_their_visits_where_there_is_room(tmp_path: Path) -> None:
    assert "9/3/2/1" in frame(write_everything(tmp_path), 140, 40)


def test_alarms_stand_at_the_bottom_and_never_fill_the_screen(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    for path in (workspace.live_state, workspace.training_state, workspace.validation_state):
        (path / "heartbeat.json").write_text("{broken")
    for name in ("status.json", "journal.db"):
        (workspace.live_state / name).write_text("{broken")
    text = frame(workspace, 80, 24)
    assert text.index("! live:") < text.index("more: swt status")
    assert "more: swt status" in text
    assert len(text.rstrip("\n").split("\n")) == 24


def test_nothing_yet_and_hostile_text_are_drawn(tmp_path: Path) -> None:
    assert "no status yet" in frame(Workspace(tmp_path / "nothing"), 80, 24)
    hostile = write_hostile(tmp_path)
    (hostile.live_state / "heartbeat.json").write_text(
        '{"time_s": 1800000000, "pid": 1, "status": "[/bold] [red"}'
    )
    text = frame(hostile, 200, 50)
    assert "[/bold] [red" in text
    assert HOSTILE[:20] in text


def test_watching_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stop, frames = threading.Event(), []
    observer = Observer(write_everything(tmp_path), ManualClock(NOW_S))

    def view() -> object:
        frames.append(1)
        if len(frames) == 3:
            stop.set()
        return observer.view()

    console = Console(width=100, height=30, file=io.StringIO(), force_terminal=True)
    watch(view, console, 0.001, stop)  # type: ignore[arg-type]
    assert len(frames) == 3


@pytest.mark.parametrize(
    "arguments", [["status", "--once"], ["dashboard", "--once"], ["dashboard", "--terminal", "--once"]]
)
def test_the_commands_print_one_frame(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, [*arguments, "--state-dir", str(write_everything(tmp_path).root)])
    assert result.exit_code == 0
    assert "REJECT" in result.output


def test_the_snapshot_is_there_for_programs(tmp_path: Path) -> None:
    import json

    result = CliRunner().invoke(
        app, ["dashboard", "--json", "--state-dir", str(write_everything(tmp_path).root)]
    )
    assert json.loads(result.output)["trading"]["decisions"][0]["action"] == "HOLD"


def test_control_without_a_token_is_bad_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["dashboard", "--control", "--state-dir", str(tmp_path)], env={"SWT_DASHBOARD_TOKEN": ""}
    )
    assert getattr(result.exception, "exit_code", None) == 2
    assert "SWT_DASHBOARD_TOKEN" in str(result.exception)
