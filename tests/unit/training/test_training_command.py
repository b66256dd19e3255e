"""`swt train` as a person starts it: limits, `--from`, what it prints, how it refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import structlog
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.checkpoints import CheckpointMetadata, CheckpointStore
from swt_core.config.models import PoolConfig
from swt_core.errors import ConfigError, SWTError
from swt_core.process import ProcessCounters
from swt_core.ranking import PIPS_PER_SESSION
from swt_core.state import read_json

SETTINGS = {
    "data.market": "regimes", "data.market_days": 30, "data.session_bars": 60, "model.hidden_dim": 32,
    "model.support_bins": 61, "training.actors": 1, "training.sessions_per_step": 3,
    "training.steps_per_round": 2, "training.episodes_per_actor": 2, "training.unroll_batch": 16,
    "training.action_value_roots": 8, "training.selection_sessions": 10, "training.head_start_steps": 2,
    "training.device": "cpu", "trading.search.simulations": 3, "process_limits.maximum_episodes": 6,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The command sends logs to the runner's standard error, which is gone afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def train(root: Path, *words: str, **settings: object) -> tuple[int, str]:
    wanted = {**SETTINGS, **{name.replace("__", "."): value for name, value in settings.items()}}
    overrides = [part for key, value in wanted.items() for part in ("--set", f"{key}={value}")]
    arguments = ["train", "--state-dir", str(root), "--health-port", "0", *overrides, *words]
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, SWTError):  # `swt` itself prints it and ends with its code
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def test_a_checkpoint_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    code, told = train(tmp_path, "--from", str(tmp_path / "checkpoint_none.safetensors"))
    assert code == 2
    assert "checkpoint_none.safetensors" in told
    assert not (tmp_path / "training_state").exists()


def test_pool_ray_is_the_pool_that_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def no_cluster(pool: PoolConfig, *_: object, **__: object) -> None:
        asked.append(pool.kind)
        raise ConfigError("no cluster here")

    monkeypatch.setattr("swt_training.daemon.open_pool", no_cluster)
    assert train(tmp_path, "--pool", "ray") == (2, "no cluster here")
    assert asked == ["ray"]


def test_a_gpu_that_is_absent_is_bad_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, told = train(tmp_path, training__device="cuda")
    assert code == 2
    assert "field training.device is cuda" in told
    assert "training.device to auto or cpu" in " ".join(told.split())


def test_the_end_of_a_run_tells_what_a_trade_of_the_best_earned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "architecture": "swt", "feature_profile": "swt", "feature_version": "1a2b", "episode": 6,
        "version": "1.0.0", "config_hash": "c0ffee", "created_s": 1.0, "sqn": 4.1, "expectancy_pips": 1.25,
        "trades": 12, "extra": {PIPS_PER_SESSION: 2.5},
        "data": {
            "source": "regimes", "sha256": "ab" * 32, "instrument": "GBP_JPY", "synthetic": True,
            "train_start_s": 0, "train_end_s": 100, "validation_start_s": 200, "validation_end_s": 300,
            "test_start_s": 400, "test_end_s": 500,
        },
    }  # fmt: skip
    store = CheckpointStore(tmp_path / "checkpoints")
    metadata = CheckpointMetadata.model_validate(values)
    store.mark_best(store.save({"weight": np.zeros(2, np.float32)}, metadata))
    done = SimpleNamespace(counters=SimpleNamespace(episodes=6, learner_sessions=96))
    monkeypatch.setattr("swt_training.daemon.run_trainer", lambda *_, **__: done)
    code, told = train(tmp_path)
    assert code == 0, told
    judged = "+2.5 pips a session, SQN 4.10 (excellent, unreliable: under 30 trades), +1.25 pips a trade"
    assert judged in told


@pytest.mark.slow
def test_a_run_meets_its_limit_and_another_begins_from_its_best(tmp_path: Path) -> None:
    code, told = train(tmp_path / "first")
    assert code == 0, told
    assert "6 episodes" in told
    parent = CheckpointStore(tmp_path / "first" / "checkpoints").best()
    assert parent is not None
    for _ in range(2):  # the same call goes on with the run that began so: at its limit, it ends at once
        code, told = train(tmp_path / "finer", "--from", str(parent.path))
        assert code == 0, told
        child = CheckpointStore(tmp_path / "finer" / "checkpoints").newest()
        assert child is not None
        assert child.metadata.extra["parent_sha256"] == parent.sha256
        assert child.metadata.episode == 6
    counters = read_json(tmp_path / "finer" / "training_state" / "process.json", ProcessCounters)
    assert counters is not None
    assert (counters.episodes, counters.starts) == (6, 2)
    assert (tmp_path / "finer" / "training_state" / "last_episode.txt").read_text() == "6\n"
    assert child is not None
    code, told = train(tmp_path / "finer", "--from", str(child.path))
    assert code == 2
    assert "began from" in told
