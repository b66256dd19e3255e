"""NaN and infinity: a step is dropped and counted; repeated, the last good state returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from swt_core.checkpoints import CheckpointStore
from swt_core.config import SWTConfig, TrainerAlarmsConfig
from swt_core.state import read_json, read_jsonl
from swt_models.export import export_weights
from swt_training.alarms import ALARMS_FILE, AlarmName, TrainerAlarms
from swt_training.recovery import TrainingDiverged
from swt_training.resume import load_state
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]


def poison(trainer: Trainer) -> None:
    """What a broken step would leave: a weight that is no number."""
    with torch.no_grad():
        next(trainer.network.parameters())[0, 0] = float("nan")


def poison_losses(trainer: Trainer, steps: range, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the loss of some learner steps NaN, where it is really taken down the gradient."""
    descend, step = trainer.learner.descend, [0]

    def broken(total: torch.Tensor, *rest: object) -> object:
        step[0] += 1
        return descend(total * float("nan") if step[0] - 1 in steps else total, *rest)

    monkeypatch.setattr(trainer.learner, "descend", broken)


def raised(root: Path) -> set[str]:
    found = read_json(root / "training_state" / ALARMS_FILE, TrainerAlarms)
    return set() if found is None else {alarm.name for alarm in found.alarms}


def test_one_bad_step_is_dropped_counted_alarmed_and_forgotten(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(small, tmp_path, 100)
    poison_losses(trainer, range(1, 2), monkeypatch)
    trainer._round()
    assert trainer.counters.skipped_steps == 1
    assert trainer.counters.rollbacks == 0
    assert raised(tmp_path) == {AlarmName.NOT_FINITE}
    trainer._round()
    assert trainer.counters.skipped_steps == 1
    assert raised(tmp_path) == set()
    assert all(np.isfinite(array).all() for array in export_weights(trainer.network).values())


def test_a_bad_second_step_of_a_batch_is_counted_but_the_batch_was_none(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite first steps lie between them: they are no row of bad steps, and no reason to go back."""
    early = small.training.model_copy(update={"early_sessions": 100})
    trainer = trainer_of(small.model_copy(update={"training": early}), tmp_path, 100)
    poison_losses(trainer, range(1, 100, 2), monkeypatch)
    for _ in range(3):
        trainer._round()
    assert trainer.counters.skipped_steps == trainer.counters.learner_steps == 6
    assert trainer.counters.averaged_steps == 6
    assert trainer.counters.rollbacks == 0
    assert raised(tmp_path) == {AlarmName.NOT_FINITE}


def test_bad_steps_in_a_row_bring_the_last_good_state_back_without_old_moments(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(small, tmp_path, 100)
    trainer._round()
    trainer._save_state()
    good = export_weights(trainer.network)
    poison_losses(trainer, range(3), monkeypatch)
    trainer._round()
    assert trainer.counters.rollbacks == 0
    trainer._round()
    assert trainer.counters.rollbacks == 1
    assert trainer.counters.skipped_steps == 3
    assert AlarmName.ROLLED_BACK in raised(tmp_path)
    for name, array in export_weights(trainer.network).items():
        np.testing.assert_array_equal(array, good[name])
    assert not trainer.learner.optimizer.arrays()
    rows = read_jsonl(tmp_path / "training_state" / "metrics.jsonl")
    assert rows[-1]["Training/rollbacks"] == 1.0
    assert rows[-1]["Alarm/rolled_back"] == 1.0
    trainer._round()
    assert trainer.counters.rollbacks == 1
    assert trainer.learner.optimizer.arrays()


def test_weights_that_are_no_numbers_never_reach_an_actor_a_state_or_a_checkpoint(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer = trainer_of(small, tmp_path, 8)
    trainer._round()
    poison(trainer)
    trainer.run()
    assert trainer.counters.rollbacks == 1
    saved = load_state(trainer.state)
    assert saved is not None
    for name, array in saved[1].items():
        if name.startswith("weights/"):
            assert np.isfinite(array).all(), name
    assert CheckpointStore(tmp_path / "checkpoints").list()
    assert np.isfinite(trainer.replay.table.root_values).all()


def test_a_run_that_cannot_stay_finite_ends_with_the_reason(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    alarms = TrainerAlarmsConfig(nonfinite_steps=1, maximum_rollbacks=2)
    trainer = trainer_of(small.model_copy(update={"trainer_alarms": alarms}), tmp_path, 100)
    for _ in range(2):
        poison(trainer)
        trainer._round()
    poison(trainer)
    with pytest.raises(TrainingDiverged, match="after 2 returns to the last good state"):
        trainer._round()


def test_a_run_without_any_finite_step_ends_however_often_it_saves(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = TrainerAlarmsConfig(nonfinite_steps=2, maximum_rollbacks=3)
    trainer = trainer_of(small.model_copy(update={"trainer_alarms": alarms}), tmp_path, 100)
    poison_losses(trainer, range(1000), monkeypatch)

    def rounds() -> None:
        for _ in range(10):
            trainer._round()
            trainer._save_state()

    with pytest.raises(TrainingDiverged, match="after 3 returns"):
        rounds()


def test_returns_with_progress_between_them_end_no_run(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    alarms = TrainerAlarmsConfig(nonfinite_steps=1, maximum_rollbacks=1)
    trainer = trainer_of(small.model_copy(update={"trainer_alarms": alarms}), tmp_path, 100)
    for _ in range(3):
        poison(trainer)
        trainer._round()
        trainer._round()
        trainer._save_state()
    assert trainer.counters.rollbacks == 3


def test_returns_are_counted_over_restarts(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    first = trainer_of(small, tmp_path, 4)
    poison(first)
    first.run()
    second = trainer_of(small, tmp_path, 8)
    poison(second)
    second.run()
    assert second.counters.rollbacks == 2
