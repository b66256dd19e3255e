"""How training goes, as it is told to a person: nothing outdated, nothing better than it is."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console, RenderableType

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointStore
from swt_core.clock import ManualClock
from swt_core.state import StateDirectory, append_jsonl
from swt_core.workspace import Workspace
from swt_ops.dashboard.view import Observer
from swt_ops.status import read_status
from swt_ops.status_view import status_view
from swt_ops.terminal import screen
from swt_ops.training import TrainingView, training_view
from swt_ops.training_dashboard import training_dashboard, training_status

NOW_S = 1_800_000_000.0
TRADING = {
    "Rolling/sessions": 500.0, "Rolling/trades": 80.0, "Rolling/expectancy_pips": 5.0,
    "Rolling/win_rate": 0.7, "Rolling/sqn": 4.1, "Rolling/trade_ratio": 0.2,
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def look(workspace: Workspace) -> TrainingView:
    return training_view(workspace, ManualClock(NOW_S))


def told(shown: RenderableType) -> str:
    console = Console(width=240, height=60, file=io.StringIO(), record=True)
    console.print(shown)
    return console.export_text()


def write(workspace: Workspace, *rows: dict[str, float]) -> None:
    for row in rows:
        append_jsonl(workspace.training_state / "metrics.jsonl", row, durable=False)


def beat(workspace: Workspace, **counters: float) -> None:
    StateDirectory(workspace.training_state).beat(ManualClock(NOW_S), "training", counters)


def publish(workspace: Workspace, **found: object) -> None:
    """A best checkpoint of which the selection found this out."""
    values: dict[str, object] = {
        "architecture": "swt", "feature_profile": "swt", "feature_version": "1a2b", "episode": 4321,
        "version": "1.0.0", "config_hash": "c0ffee", "created_s": NOW_S - 60.0,
        "data": CheckpointData(
            source="regimes", sha256="ab" * 32, instrument="GBP_JPY", synthetic=True, train_start_s=0,
            train_end_s=100, validation_start_s=200, validation_end_s=300, test_start_s=400, test_end_s=500,
        ),
    }  # fmt: skip
    store = CheckpointStore(workspace.checkpoints)
    metadata = CheckpointMetadata.model_validate(values | found)
    store.mark_best(store.save({"weight": np.zeros(2, np.float32)}, metadata))


def test_an_agent_that_stops_trading_shows_no_figures_of_its_last_trades(workspace: Workspace) -> None:
    write(
        workspace,
        TRADING | {"Training/buffer_sessions": 32.0, "Performance/trades": 9.0, "Performance/win_rate": 0.6},
        {"Rolling/sessions": 500.0, "Rolling/trades": 0.0, "Performance/trades": 0.0},
        {"Selection/pips_per_session": 1.0},
    )
    view = look(workspace)
    assert set(view.figures) == {
        *("Rolling/sessions", "Rolling/trades", "Performance/trades", "Selection/pips_per_session"),
        "Training/buffer_sessions",
    }
    assert (view.sqn, view.sqn_class, view.sqn_reliable) == (None, "undefined", False)
    text = told(training_status(view))
    assert "0 trades in 500 sessions" in text
    assert "4.10" not in text


def test_a_selection_does_not_make_the_rolling_figures_undefined(workspace: Workspace) -> None:
    write(workspace, TRADING, {"Selection/pips_per_session": 1.0})
    assert look(workspace).sqn == 4.1


@pytest.mark.parametrize(
    ("trades", "shown"), [(29.0, "4.10 (excellent, unreliable: under 30 trades)"), (30.0, "4.10 (excellent)")]
)
def test_the_class_of_an_sqn_is_marked_below_thirty_trades(
    workspace: Workspace, trades: float, shown: str
) -> None:
    write(workspace, TRADING | {"Rolling/trades": trades})
    view = look(workspace)
    assert view.sqn_reliable == (trades >= 30)
    assert shown in told(training_status(view))
    assert shown in told(training_dashboard(view))


@pytest.mark.parametrize(
    ("trades", "quality"),
    [(12, "SQN 4.10 (excellent, unreliable: under 30 trades)"), (40, "SQN 4.10 (excellent)")],
)
def test_the_best_is_told_with_sqn_and_expectancy_wherever_it_is_shown(
    workspace: Workspace, trades: int, quality: str
) -> None:
    publish(workspace, sqn=4.1, expectancy_pips=1.25, trades=trades)
    view, clock = look(workspace), ManualClock(NOW_S)
    judged = f"{quality}, +1.25 pips a trade, {trades} trades"
    for shown in (
        training_status(view),
        training_dashboard(view),
        screen(Observer(workspace, clock).view(), 240, 60),
        status_view(read_status(workspace, clock)),
    ):
        assert judged in told(shown)
    assert "episode 4,321" in told(training_status(view))
    best = view.training.best
    assert best is not None
    assert best.sqn_reliable == (trades >= 30)


def test_little_room_is_an_alarm_of_the_training_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk neither alarms nor heartbeat of the trainer can be written."""
    beat(workspace)
    assert look(workspace).alarms == ()
    monkeypatch.setattr("swt_ops.status.shutil.disk_usage", lambda _: SimpleNamespace(free=4e8))
    view = look(workspace)
    assert view.failed
    for shown in (training_status(view), training_dashboard(view)):
        assert "only 0.4 GB are free" in told(shown)


@pytest.mark.parametrize(
    ("counters", "limit", "eta_s"),
    [
        ({"episodes": 640.0, "maximum_episodes": 1000.0}, "episodes", 180.0),
        ({"hours": 2.0, "maximum_hours": 2.5, "episodes": 0.0, "maximum_episodes": 1e6}, "hours", 1800.0),
        # 40 checkpoints in 2 hours: the last ten take half an hour
        (
            {"hours": 2.0, "maximum_hours": 24.0, "checkpoints": 40.0, "maximum_checkpoints": 50.0},
            "checkpoints",
            1800.0,
        ),
        ({"hours": 0.0, "maximum_hours": 24.0, "maximum_checkpoints": 50.0}, "hours", 86_400.0),
        ({"checkpoints": 50.0, "maximum_checkpoints": 50.0, "maximum_hours": 24.0}, "checkpoints", 0.0),
        ({"checkpoints": 1.0, "maximum_checkpoints": 50.0}, "", None),
    ],
)
def test_the_limit_that_comes_first_is_named(
    workspace: Workspace, counters: dict[str, float], limit: str, eta_s: float | None
) -> None:
    beat(workspace, **counters)
    write(workspace, {"Training/episodes_per_s": 2.0})
    view = look(workspace)
    assert view.eta_limit == limit
    assert view.eta_s == (None if eta_s is None else pytest.approx(eta_s))
    if limit:
        assert f"({limit})" in told(training_status(view))
