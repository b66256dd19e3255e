"""`swt buffer stats` reads the state that a run saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError, StateError
from swt_core.state import StateDirectory
from swt_training.resume import RunCounters, save_state
from swt_training.saved_replay import read_saved_replay
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]


def test_it_shows_what_the_run_holds(small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path) -> None:
    trainer = trainer_of(small, tmp_path, 4)
    trainer.run()
    held = trainer.replay.statistics()
    result = CliRunner().invoke(app, ["buffer", "stats", "--state-dir", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["episodes"] == 4
    assert (shown["sessions"], shown["steps"]) == (held.sessions, held.steps)
    assert shown["capacity_steps"] == small.training.replay_capacity_steps
    assert shown["minimum_trading_share"] == 0.3
    assert shown["action_shares"] == list(held.action_shares)
    assert shown["age_episodes"][-1] == 3.0
    assert shown["success"]["capacity_sessions"] == 1000
    table = CliRunner().invoke(app, ["buffer", "stats", "--state-dir", str(tmp_path)]).stdout
    for word in ("quota 30%", "HOLD", "age", "success memory"):
        assert word in table


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no training state") as caught:
        read_saved_replay(tmp_path / "nowhere")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "nowhere").exists(), "a reader makes no directories"


def test_a_state_without_a_buffer_is_said_to_be_one(tmp_path: Path) -> None:
    counters = RunCounters(schema_version=1, boundaries_s=(1, 2), bars_sha256="", config_hash="")
    save_state(StateDirectory(tmp_path), counters, {})
    with pytest.raises(StateError, match="no buffer of this version"):
        read_saved_replay(tmp_path)
