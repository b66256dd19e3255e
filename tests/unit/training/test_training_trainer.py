"""The trainer: exact resume, refusals, checkpoints, and that it learns."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from swt_core.checkpoints import CheckpointStore
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError, StateError
from swt_core.pool import SerialPool
from swt_core.shared_arrays import HeldArrays
from swt_core.state import StateDirectory, write_json
from swt_environments.dataset import load_dataset
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import RolloutResult
from swt_models.export import export_weights
from swt_training.alarms import AlarmName
from swt_training.figures import RoundTimes, round_figures
from swt_training.learner import LossParts
from swt_training.metric_names import FIGURES
from swt_training.metrics import TrainingMetrics
from swt_training.replay import ReplayBuffer
from swt_training.run_config import RUN_CONFIG_FILE, RunConfig, other_configuration, save_run_config
from swt_training.run_setup import fresh_learner
from swt_training.selfplay import PlayTask, play_sessions
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]


def fingerprint(trainer: Trainer) -> dict[str, np.ndarray]:
    arrays = {f"w/{k}": v for k, v in export_weights(trainer.network).items()}
    return arrays | {f"r/{k}": v for k, v in trainer.replay.arrays().items()}


def assert_same(left: Trainer, right: Trainer) -> None:
    first, second = fingerprint(left), fingerprint(right)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert left.counters == right.counters


@pytest.fixture
def uninterrupted(small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path) -> Trainer:
    trainer = trainer_of(small, tmp_path / "whole", 8)
    trainer.run()
    return trainer


def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, uninterrupted: Trainer
) -> None:
    trainer_of(small, tmp_path / "parts", 4).run()
    second = trainer_of(small, tmp_path / "parts", 8)
    assert second.counters.round == 2
    second.run()
    assert_same(uninterrupted, second)


def test_dropout_is_the_same_after_a_resume(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    """It draws from torch's own generator, which no state holds."""
    config = small.model_copy(update={"model": small.model.model_copy(update={"dropout": 0.2})})
    whole = trainer_of(config, tmp_path / "whole", 8)
    whole.run()
    trainer_of(config, tmp_path / "parts", 4).run()
    torch.rand(5)  # whatever else draws from it
    second = trainer_of(config, tmp_path / "parts", 8)
    second.run()
    assert second.counters.round == 4
    assert_same(whole, second)


@pytest.mark.parametrize("head_start_steps", [0, 7])
def test_a_run_resumes_bit_for_bit_across_its_fast_beginning(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, head_start_steps: int
) -> None:
    """The stop lies within the early sessions, once within the head start's rounds, the end behind both."""
    early = {"early_sessions": 21, "head_start_steps": head_start_steps}
    config = small.model_copy(update={"training": small.training.model_copy(update=early)})
    whole = trainer_of(config, tmp_path / "whole", 8)
    whole.run()
    first = trainer_of(config, tmp_path / "parts", 8)
    first._round()
    first._save_state()
    assert 0 < first.counters.learner_sessions < early["early_sessions"]
    assert first.learner.gradient_steps() == 2
    second = trainer_of(config, tmp_path / "parts", 8)
    second.run()
    assert second.learner.gradient_steps() == 1
    assert_same(whole, second)


def test_a_torn_newest_state_falls_back_to_the_one_before_and_says_so(
    small: SWTConfig,
    trainer_of: TrainerFactory,
    tmp_path: Path,
    uninterrupted: Trainer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "torn"
    trainer_of(small, root, 4).run()
    trainer_of(small, root, 6).run()
    newest = sorted((root / "training_state").glob("resume_*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    # the counters of the process are ahead now, as after a power cut: the work of a round is repeated
    (root / "training_state" / "process.json").unlink()
    capsys.readouterr()
    third = trainer_of(small, root, 8)
    said = capsys.readouterr()
    assert "resume state is broken, trying the one before" in said.out + said.err
    assert third.counters.round == 2
    third.run()
    assert third.counters.round == 4
    assert_same(uninterrupted, third)


def test_behind_a_broken_state_two_sound_ones_are_kept_again(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    run = trainer_of(small, tmp_path, 100)
    for _ in range(5):
        run._round()
        if run.counters.round in (1, 5):
            run._save_state()
    state = tmp_path / "training_state"
    newest = state / "resume_000000005.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    (state / "resume_000000004.safetensors").write_bytes(b"the power went before its record was written")
    after = trainer_of(small, tmp_path, 100)
    for _ in range(2):
        after._round()
        after._save_state()
    assert sorted(path.name for path in state.glob("resume_*")) == [
        "resume_000000002.json",
        "resume_000000002.safetensors",
        "resume_000000003.json",
        "resume_000000003.safetensors",
    ]
    (state / "resume_000000003.safetensors").unlink()
    assert trainer_of(small, tmp_path, 100).counters.round == 2


def test_a_full_disk_does_not_end_a_run_and_is_said(
    small: SWTConfig,
    trainer_of: TrainerFactory,
    tmp_path: Path,
    uninterrupted: Trainer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer = trainer_of(small, tmp_path / "full", 8)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_space)
        full.setattr("swt_core.state._drop_torn_line", no_space)
        full.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", no_space)
        trainer.run()
    assert_same(uninterrupted, trainer)
    said = capsys.readouterr()
    for what in ("checkpoint", "resume state", "metrics", "counters"):
        assert f"{what} not written" in said.out + said.err


def test_a_disk_that_fills_up_while_old_checkpoints_go_does_not_end_a_run(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = small.training.model_copy(update={"keep_last_checkpoints": 1, "keep_improvement_pips": 1e6})
    trainer = trainer_of(small.model_copy(update={"training": kept}), tmp_path, 16)

    def no_space(*_: object) -> None:
        raise StateError("manifest.json cannot be written")

    monkeypatch.setattr("swt_core.checkpoints.CheckpointStore.delete", no_space)
    trainer.run()
    assert trainer.counters.episodes == 16
    assert not trainer._publisher.disk_well
    assert len(CheckpointStore(tmp_path / "checkpoints").list()) > 2


def test_without_room_for_the_actors_weights_it_learns_on_and_says_so(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(small, tmp_path, 100)

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(SerialPool, "share", no_space)
        trainer._round()
        assert trainer.counters.episodes == 0
        assert trainer.counters.learner_steps == small.training.steps_per_round
        assert {alarm.name for alarm in trainer.watch._board.on} == {AlarmName.DISK}
        trainer._select()
    # The actors have room again, selection has not been tried: it still says so.
    trainer._round()
    assert trainer.counters.episodes == 2
    assert {alarm.name for alarm in trainer.watch._board.on} == {AlarmName.DISK}
    trainer._select()
    trainer._round()
    assert trainer.watch._board.on == ()


def test_tensorboard_goes_on_after_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer remembers a failure for ever: it takes another one."""
    metrics = TrainingMetrics(StateDirectory(tmp_path), CollectorRegistry())
    metrics.write(1, 1.0, {"Loss/total": 1.0})
    failed = metrics._writer
    assert failed is not None

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(failed, "add_scalar", no_space)
        metrics.write(2, 2.0, {"Loss/total": 2.0})
    metrics.write(3, 3.0, {"Loss/total": 3.0})
    assert metrics._writer not in (None, failed)
    metrics.close()
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [event.step for event in found.Scalars("Loss/total")] == [1, 3]


def test_without_any_sound_state_it_refuses_rather_than_starts_over(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 4).run()
    for path in (tmp_path / "training_state").glob("resume_*.safetensors"):
        path.write_bytes(b"nothing")
    with pytest.raises(StateError, match="sound"):
        trainer_of(small, tmp_path, 6)


def test_another_configuration_does_not_continue_a_run(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 4).run()
    training = small.training.model_copy(update={"learning_rate": 1e-4})
    named = r"training.learning_rate: the run has 0.002, now it is 0.0001"
    with pytest.raises(ConfigError, match=named) as refused:
        trainer_of(small.model_copy(update={"training": training}), tmp_path, 6)
    assert "gradient_clip" not in str(refused.value)


def test_a_run_of_another_version_is_refused_with_what_can_be_done(small: SWTConfig, tmp_path: Path) -> None:
    """Its settings can't be restored: this version knows others."""
    state = StateDirectory(tmp_path)
    save_run_config(state, small)
    told = other_configuration(state, small)
    assert "restore that configuration" in str(told.remedy)
    record = state.read(RUN_CONFIG_FILE, RunConfig)
    assert record is not None
    settings = {key: value for key, value in record.settings.items() if key != "training.early_sessions"}
    state.write(RUN_CONFIG_FILE, RunConfig(schema_version=1, settings=settings))
    told = other_configuration(state, small)
    assert "training.early_sessions: the run has nothing" in str(told)
    assert "--from" in str(told.remedy)


def test_when_a_run_ends_and_the_order_size_are_no_part_of_what_it_learns(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 4).run()
    training = small.training.model_copy(update={"maximum_minutes": 5.0})
    trading = small.trading.model_copy(update={"units": 500})
    changed = small.model_copy(update={"training": training, "trading": trading})
    assert trainer_of(changed, tmp_path, 6).counters.round == 2


def test_checkpoints_can_be_loaded_and_say_what_was_held_out(
    small: SWTConfig, uninterrupted: Trainer, tmp_path: Path
) -> None:
    store = CheckpointStore(tmp_path / "whole" / "checkpoints")
    best = store.best()
    assert best is not None
    data, splits = best.metadata.data, uninterrupted.dataset.splits
    assert data.synthetic
    assert (data.test_start_s, data.test_end_s) == (splits.test.start_s, splits.test.end_s)
    assert data.train_end_s < data.validation_start_s < data.validation_end_s < data.test_start_s
    engine = InferenceEngine.from_checkpoint(best, small.trading.search, feature_profile="swt")
    weights, _ = store.load(best)
    assert engine.model_hash == best.sha256
    newest = store.newest()
    assert newest is not None
    published = uninterrupted.learner.average.weights()
    for name, array in store.load(newest)[0].items():
        np.testing.assert_array_equal(array, published[name])
    assert weights.keys() == published.keys()


def test_actors_play_with_the_learners_weights(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round's own sessions again: by the weights it began with they are the same, by older ones not."""
    trainer = trainer_of(small, tmp_path, 100)
    tasks: list[PlayTask] = []
    submit = trainer._actors.submit

    def spy(submitted: list[PlayTask]) -> Future[list[RolloutResult]]:
        tasks.extend(submitted)
        return submit(submitted)

    monkeypatch.setattr(trainer._actors, "submit", spy)
    first = trainer.learner.average.weights()
    trainer._round()
    trainer._round()
    newest = trainer.learner.average.weights()
    trainer._round()
    task, held = tasks[-1], trainer.replay.table
    np.testing.assert_array_equal(held.first_rows[-len(task.first_rows) :], task.first_rows)
    values = {}
    for name, weights in (("newest", newest), ("first", first)):
        again = play_sessions(replace(task, weights=HeldArrays(weights))).trajectories
        assert again is not None
        values[name] = again.root_values
    np.testing.assert_array_equal(values["newest"], held.root_values[-len(task.first_rows) :])
    assert not np.array_equal(values["first"], values["newest"])


def test_the_temperature_of_self_play_is_among_the_figures_once_it_plays(small: SWTConfig) -> None:
    learner = fresh_learner(small, load_dataset(small))[1]
    held = ReplayBuffer.configured(small.training, small.data.session_bars).statistics()
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(LossParts)), 0.0)
    losses, times = [LossParts(**nothing)], RoundTimes(1.0, 0.0, 0.0, 1.0)
    assert "Training/temperature" not in round_figures([], losses, learner, held, times)
    found = round_figures([], losses, learner, held, times, temperature=1.25)
    assert found["Training/temperature"] == 1.25
    assert FIGURES["Training/temperature"].metric == "swt_training_temperature"


@pytest.mark.parametrize(("change", "named"), [({"reward": "clean"}, "reward")])
def test_what_is_not_built_is_refused(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, change: dict[str, str], named: str
) -> None:
    training = small.training.model_copy(update=change)
    with pytest.raises(ConfigError, match=named):
        trainer_of(small.model_copy(update={"training": training}), tmp_path, 4)


def test_the_locked_profile_of_episode_13475_trains(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    """Its reward is AMDDP1, learned in the dense form; its observation has its own position features."""
    rate = {"learning_rate": 2e-4, "hidden_rate_factor": 0.0, "early_sessions": 0}
    training = small.training.model_copy(update={"reward": "amddp1", **rate})
    features = small.features.model_copy(update={"profile": "episode_13475"})
    trainer = trainer_of(small.model_copy(update={"training": training, "features": features}), tmp_path, 2)
    trainer.run()
    assert trainer.counters.skipped_steps == 0


def test_the_consistency_loss_trains_its_projector(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    model = small.model.model_copy(update={"consistency_weight": 1.0})
    trainer = trainer_of(small.model_copy(update={"model": model}), tmp_path, 2)
    before = export_weights(trainer.network)
    trainer.run()
    after = export_weights(trainer.network)
    moved = [
        name
        for name in before
        if name.startswith("projector") and not np.array_equal(before[name], after[name])
    ]
    assert moved


@pytest.mark.parametrize("profile", ["micro", "full", "episode_13475"])
def test_every_feature_profile_trains(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, profile: str
) -> None:
    features = small.features.model_copy(update={"profile": profile})
    trainer = trainer_of(small.model_copy(update={"features": features}), tmp_path, 2)
    trainer.run()
    assert trainer.counters.skipped_steps == 0
    assert CheckpointStore(tmp_path / "checkpoints").newest() is not None


def test_a_learned_codebook_trains_its_encoder(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    model = small.model.model_copy(update={"chance": "codebook", "codebook_size": 8})
    trainer = trainer_of(small.model_copy(update={"model": model}), tmp_path, 2)
    before = export_weights(trainer.network)
    trainer.run()
    after = export_weights(trainer.network)
    assert trainer.counters.skipped_steps == 0
    encoder = [name for name in before if name.startswith("encoder") and name.endswith("weight")]
    assert encoder
    for name in encoder:
        assert not np.array_equal(before[name], after[name]), name


def test_a_checkpoint_the_live_trader_has_loaded_is_never_deleted(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    training = small.training.model_copy(update={"keep_last_checkpoints": 1})
    config = small.model_copy(update={"training": training})
    trainer_of(config, tmp_path, 4).run()
    store = CheckpointStore(tmp_path / "checkpoints")
    live = store.newest()
    assert live is not None
    write_json(tmp_path / "live_state" / "status.json", {"model_sha256": live.sha256, "state": "ACTIVE"})
    trainer_of(config, tmp_path, 16).run()
    assert live.sha256 in {ref.sha256 for ref in store.list()}
    newest = store.newest()
    assert newest is not None
    assert newest.sha256 != live.sha256


@pytest.mark.parametrize(("configured", "tasks"), [(0, 3), (2, 2)])
def test_a_round_has_a_task_for_each_worker_unless_their_number_is_written_down(
    small: SWTConfig,
    trainer_of: TrainerFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configured: int,
    tasks: int,
) -> None:
    training = small.training.model_copy(update={"actors": configured})
    trainer = trainer_of(small.model_copy(update={"training": training}), tmp_path, 100)
    monkeypatch.setattr(trainer._actors._pool, "workers", 3)
    trainer._round()
    assert trainer.counters.episodes == tasks * small.training.episodes_per_actor
    assert trainer.counters.learner_steps == small.training.steps_per_round
