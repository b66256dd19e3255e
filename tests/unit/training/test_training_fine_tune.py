"""Fine-tuning: a fresh run from a checkpoint's weights, its own learning rate, its whole provenance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from swt_core.checkpoints import CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import ProcessLimitsConfig, SWTConfig
from swt_core.errors import CheckpointError, ConfigError, IncompatibleModelError
from swt_core.pool import SerialPool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_models.export import export_weights
from swt_training.fine_tune import (
    Parent,
    ParentRecord,
    chosen_parent,
    load_parent,
    require_fresh,
    seen_by,
)
from swt_training.resume import saved_counters
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]


def trainer_from(config: SWTConfig, root: Path, parent: Parent | None, episodes: int = 4) -> Trainer:
    workspace, clock = Workspace(root), ManualClock(1_700_000_000.0)
    limits = ProcessLimitsConfig(maximum_episodes=episodes)
    process = ManagedProcess("trainer", limits, StateDirectory(workspace.training_state), clock)
    process.__enter__()
    pools = {"actors": SerialPool(), "selector": SerialPool()}
    return Trainer(config, workspace, clock, process, registry=CollectorRegistry(), parent=parent, **pools)


@pytest.fixture
def parent(small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path) -> Parent:
    trainer_of(small, tmp_path / "parent", 4).run()
    return load_parent(CheckpointStore(tmp_path / "parent" / "checkpoints"), "newest")


def other_market(config: SWTConfig) -> SWTConfig:
    return config.model_copy(update={"data": config.data.model_copy(update={"market_seed": 2})})


def test_it_begins_with_the_parents_weights_and_its_own_learning_rate(
    small: SWTConfig, parent: Parent, tmp_path: Path
) -> None:
    hasty = small.training.model_copy(update={"early_sessions": 512})
    trainer = trainer_from(small.model_copy(update={"training": hasty}), tmp_path / "child", parent)
    for name, array in export_weights(trainer.network).items():
        np.testing.assert_array_equal(array, parent.weights[name])
    rates = trainer.learner.training
    assert rates.learning_rate == small.training.fine_tune_learning_rate != small.training.learning_rate
    assert rates.final_learning_rate <= rates.learning_rate
    assert rates.early_sessions == 0, "what it knows is not to be run over"
    assert trainer.learner.learning_rate() <= rates.learning_rate
    trainer.run()
    newest = CheckpointStore(tmp_path / "child" / "checkpoints").newest()
    assert newest is not None
    assert newest.metadata.extra["parent_sha256"] == parent.record.sha256
    assert newest.metadata.episode == 4


def test_the_same_call_resumes_it_and_so_does_one_without_a_parent(
    small: SWTConfig, parent: Parent, tmp_path: Path
) -> None:
    trainer_from(small, tmp_path / "child", parent).run()
    again = trainer_from(small, tmp_path / "child", parent, 8)
    assert again.counters.round == 2
    alone = trainer_from(small, tmp_path / "child", None, 8)
    assert alone.counters.parent == parent.record
    assert alone.learner.training.learning_rate == small.training.fine_tune_learning_rate


@pytest.mark.parametrize("inside", ["", "checkpoints"])
@pytest.mark.parametrize("which", ["best", "newest"])
def test_another_runs_best_is_named_by_its_directory(
    parent: Parent, tmp_path: Path, inside: str, which: str
) -> None:
    wanted = str(tmp_path / "parent" / inside / which)
    found = load_parent(CheckpointStore(tmp_path / "child" / "checkpoints"), wanted)
    assert found.record.sha256 == parent.record.sha256


def test_a_run_goes_on_without_its_parent_once_that_is_gone(
    small: SWTConfig, parent: Parent, tmp_path: Path
) -> None:
    trainer_from(small, tmp_path / "child", parent).run()
    child, state = tmp_path / "child" / "checkpoints", StateDirectory(tmp_path / "child" / "training_state")
    saved = saved_counters(state)
    assert saved is not None
    CheckpointStore(parent.ref.path.parent).delete(parent.ref)
    assert saved.parent is not None
    asked = saved.parent.asked
    assert asked == "newest"  # as the fixture named it
    assert chosen_parent(CheckpointStore(child), state, asked, saved.parent) is None
    for other in (str(parent.ref.path), str(tmp_path / "elsewhere" / "newest")):
        with pytest.raises(CheckpointError):
            chosen_parent(CheckpointStore(child), state, other, saved.parent)
    fresh = StateDirectory(tmp_path / "fresh")
    with pytest.raises(CheckpointError):
        chosen_parent(CheckpointStore(tmp_path / "none"), fresh, str(parent.ref.path), None)


def test_it_does_not_mix_with_a_run_that_began_otherwise(
    small: SWTConfig, parent: Parent, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path / "scratch", 4).run()
    with pytest.raises(ConfigError, match="began from scratch") as refused:
        trainer_from(small, tmp_path / "scratch", parent, 8)
    assert "--state-dir" in str(refused.value)


def test_it_does_not_compete_with_another_runs_best(parent: Parent, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="checkpoints of another run"):
        require_fresh(
            CheckpointStore(tmp_path / "parent" / "checkpoints"), StateDirectory(tmp_path / "nowhere")
        )
    require_fresh(
        CheckpointStore(tmp_path / "parent" / "checkpoints"),
        StateDirectory(tmp_path / "parent" / "training_state"),
    )


def test_another_architecture_is_refused_naming_both_sides(
    small: SWTConfig, parent: Parent, tmp_path: Path
) -> None:
    wider = small.model_copy(update={"model": small.model.model_copy(update={"hidden_dim": 48})})
    with pytest.raises(IncompatibleModelError, match=r"h32.*h48"):
        trainer_from(wider, tmp_path / "child", parent)


@pytest.mark.parametrize("change", [{"support_min_pips": -600.0}, {"value_transform": True}])
def test_weights_whose_values_mean_other_pips_are_refused(
    small: SWTConfig, parent: Parent, tmp_path: Path, change: dict[str, object]
) -> None:
    doubled = small.model_copy(update={"model": small.model.model_copy(update=change)})
    with pytest.raises(IncompatibleModelError, match=f"model.{next(iter(change))} is"):
        trainer_from(doubled, tmp_path / "child", parent)


def test_what_the_parent_has_read_is_never_judged_on(
    small: SWTConfig, parent: Parent, tmp_path: Path
) -> None:
    """With a smaller training share the new test range would begin where the parent learned."""
    earlier = small.data.model_copy(update={"train_share": 0.4, "validation_share": 0.2})
    with pytest.raises(ConfigError, match="has read bars until"):
        trainer_from(small.model_copy(update={"data": earlier}), tmp_path / "child", parent)


def test_another_simulated_market_shares_no_bars(small: SWTConfig, parent: Parent, tmp_path: Path) -> None:
    trainer_from(other_market(small), tmp_path / "child", parent)


def test_a_model_that_once_learned_from_a_simulation_stays_one(parent: Parent) -> None:
    recorded = parent.record.data.model_copy(update={"synthetic": False, "sha256": "0" * 64})
    assert seen_by(recorded, parent.record).synthetic
    assert not seen_by(recorded, None).synthetic


def test_what_was_read_is_the_union_of_parent_and_child(parent: Parent) -> None:
    own = parent.record.data
    earlier = own.model_copy(update={"train_start_s": own.train_start_s - 1000})
    record = ParentRecord(schema_version=1, name="x", sha256="0" * 64, data=earlier)
    assert seen_by(own, record).train_start_s == own.train_start_s - 1000


def test_no_such_checkpoint_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    for wanted in ("best", "newest", "checkpoint_v1.0.0_ep1_arch-x.safetensors"):
        with pytest.raises(CheckpointError) as refused:
            load_parent(store, wanted)
        assert refused.value.remedy
        assert refused.value.exit_code == 2
