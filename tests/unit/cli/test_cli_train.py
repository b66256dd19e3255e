"""`swt train status` and `swt train dashboard`: training from its state files alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.clock import ManualClock, SystemClock
from swt_core.state import StateDirectory, append_jsonl
from swt_core.workspace import Workspace
from swt_ops import training_dashboard
from swt_training.metric_names import FIGURES

WIDE = {"COLUMNS": "200", "LINES": "60"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    counters = {"episodes": 640.0, "maximum_episodes": 1000.0, "hours": 2.0, "maximum_hours": 24.0}
    StateDirectory(made.training_state).beat(SystemClock(), "training", counters)
    for number in range(1, 21):
        row = {
            "episode": 32.0 * number, "time_s": 100.0 * number, "Training/episodes_per_s": 2.0,
            "Training/learner_sessions": 51.0 * number, "Performance/self_play_pips": -100.0 + number,
            "Rolling/expectancy_pips": -3.0 + number / 10, "Rolling/win_rate": 0.415,
            "Rolling/trades": 77.0, "Rolling/sessions": 88.0, "Rolling/trade_ratio": 0.5,
            "Rolling/confidence": 0.62, "Rolling/action_hold": 0.9, "Rolling/action_buy": 0.05,
            "Rolling/action_sell": 0.02, "Rolling/action_close": 0.03,
            "Rolling/sqn": 2.6, "Loss/total": 5.0 / number, "Loss/policy": float("nan"),
            "Training/buffer_sessions": 32.0 * number, "Training/buffer_trading_share": 0.9,
        }  # fmt: skip
        append_jsonl(made.training_state / "metrics.jsonl", row, durable=False)
    return made


def swt(root: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", *words, "--state-dir", str(root)], env=WIDE)
    return result.exit_code, result.output


def test_the_status_says_how_far_it_is(workspace: Workspace) -> None:
    code, text = swt(workspace.root, "status")
    assert code == 0
    for part in ("trainer running: training", "640 of 1,000", "1,020 sessions", "-80.0 pips", "41.5%"):
        assert part in text, part
    assert "77 trades in 88 sessions" in text


def test_the_same_is_there_for_programs(workspace: Workspace) -> None:
    code, text = swt(workspace.root, "status", "--json")
    assert code == 0
    found = json.loads(text)
    assert found["figures"]["Rolling/win_rate"] == 0.415
    assert found["daemon"]["state"] == "running"


def test_one_frame_has_every_panel_and_no_figure_that_is_not_finite(workspace: Workspace) -> None:
    code, text = swt(workspace.root, "dashboard", "--once")
    assert code == 0
    panels = ("progress", "closed trades, rolling", "actions", "learning", "buffer and checkpoints", "limits")
    for panel in panels:
        assert panel in text, panel
    assert "nan" not in text
    # 90 % of 20 blocks, 5 % of them
    for part in ("90.0% " + 18 * "█", " 5.0% █", "2.60 (good)", "▁"):
        assert part in text, part
    assert "█" * 19 not in text.split("limits")[0]


def test_every_rolling_figure_that_is_shown_is_one_that_the_trainer_writes() -> None:
    source = Path(training_dashboard.__file__).read_text()
    shown = set(re.findall(r'"((?:Rolling|Loss|Training|Selection|Network|Performance)/\w+)"', source))
    shown |= {f"Rolling/action_{name}" for name in training_dashboard._ACTION_COLOURS}
    assert len(shown) > 20
    assert shown <= set(FIGURES)


def test_the_time_to_the_limit_is_the_rest_at_this_pace(workspace: Workspace) -> None:
    # 360 episodes are left, at 2 a second
    _, text = swt(workspace.root, "dashboard", "--once")
    assert re.search(r"to the limit +3 min 00 s", text), text


def test_a_trainer_that_hangs_is_an_alarm(workspace: Workspace) -> None:
    long_ago = ManualClock(SystemClock().time_s() - 3600.0)
    StateDirectory(workspace.training_state).beat(long_ago, "training", {"episodes": 640.0})
    code, text = swt(workspace.root, "status")
    assert code == 1
    assert "alarm silent" in text


def test_nothing_yet_is_said_and_drawn(tmp_path: Path) -> None:
    code, text = swt(tmp_path, "dashboard", "--once")
    assert code == 0
    assert "trainer" in text
    assert "–" in text
