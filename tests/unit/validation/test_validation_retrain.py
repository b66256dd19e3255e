"""A walk-forward with a model of its own for each fold."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.config.loading import load_config
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_core.pool import SerialPool
from swt_core.workspace import Workspace
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.synthetic import synthetic_bars
from swt_environments.dataset import index_and_split, load_bars
from swt_environments.reference import regime_filter
from swt_inference.rollout import RulePolicy
from swt_validation.ledger import read_ledger, trial_matrix
from swt_validation.players import PolicyPlayer, Setting
from swt_validation.report import WalkForward
from swt_validation.retrain import (
    FoldPlan,
    TrainingFailed,
    plan_folds,
    train_by_command,
    walk_forward_retrained,
)

CONFIG = SWTConfig.model_validate({"data": {"market": "regimes"}})
BARS = synthetic_bars("regimes", 60, 5, instrument("GBP_JPY"))
PLANS = plan_folds(BARS, CONFIG, "rolling", 2, 1, 8)


def filter_player(ref: CheckpointRef, pool: object) -> PolicyPlayer:
    def policy(setting: Setting) -> RulePolicy:
        return RulePolicy(
            regime_filter(setting.bars, drift_pips=1.0, sigma_pips=3.0, switch_probability=1 / 60)
        )

    return PolicyPlayer(policy)


@dataclass
class Trainer:
    """Saves a checkpoint that knows its ranges, as `swt train` does with the settings it is given."""

    trained: list[CheckpointData] = field(default_factory=list)
    fail_at: int | None = None

    def __call__(self, workspace: Workspace, overrides: Sequence[str]) -> None:
        if len(self.trained) == self.fail_at:
            raise TrainingFailed("no")
        data = load_config(None, None, {}, list(overrides)).config.data
        bars, source, _ = load_bars(data)
        _, _, splits = index_and_split(data, bars)
        ranges = {
            f"{name}_{edge}_s": getattr(getattr(splits, name), f"{edge}_s")
            for name in ("train", "validation", "test")
            for edge in ("start", "end")
        }
        known = CheckpointData(
            source=source, sha256=bars.sha256, instrument="GBP_JPY", synthetic=True, **ranges
        )
        self.trained.append(known)
        metadata = CheckpointMetadata(
            architecture="a",
            feature_profile="swt",
            feature_version="f",
            episode=1,
            version="1.0.0",
            config_hash="c",
            data=known,
            created_s=0.0,
        )
        CheckpointStore(workspace.checkpoints).save({"w": np.zeros(2, np.float32)}, metadata)


def walk(
    directory: Path, trainer: Trainer, told: list[str] | None = None, minutes: float = 60.0
) -> WalkForward:
    return walk_forward_retrained(
        bars=BARS,
        config=CONFIG,
        scheme="rolling",
        plans=PLANS,
        directory=directory,
        train=trainer,
        minutes=minutes,
        state=directory / "validation_state",
        pool=SerialPool(),
        clock=ManualClock(0.0),
        progress=(told if told is not None else []).append,
        player=filter_player,
    )


def test_each_fold_is_trained_before_and_played_on_its_own_weeks(tmp_path: Path) -> None:
    trainer = Trainer()
    found = walk(tmp_path, trainer)
    assert len(trainer.trained) == len(found.folds) == 2
    for fold, data, plan in zip(found.folds, trainer.trained, PLANS, strict=True):
        assert data.train_end_s < data.validation_start_s
        assert data.validation_end_s < fold.start_s
        assert fold.start_s == BARS.time_s[plan.test] + 60
        assert fold.weeks == 1
        assert fold.annual_pips > 0
        assert fold.in_sample_annual_pips > 0
    assert found.folds[0].end_s <= found.folds[1].start_s
    assert found.t_statistic is not None
    assert found.efficiency == pytest.approx(
        np.mean([f.annual_pips for f in found.folds])
        / np.mean([f.in_sample_annual_pips for f in found.folds])
    )
    assert json.loads((tmp_path / "walk_forward.json").read_text())["robustness"] == found.robustness


def test_a_walk_that_was_cut_short_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed):
        walk(tmp_path, Trainer(fail_at=1))
    trainer = Trainer()
    told: list[str] = []
    found = walk(tmp_path, trainer, told)
    assert len(trainer.trained) == 1
    assert told[0] == "fold 1 of 2: done before"
    assert found == walk(tmp_path / "afresh", Trainer())


def test_a_fold_of_other_minutes_is_another_fold(tmp_path: Path) -> None:
    walk(tmp_path, Trainer(), minutes=0.01)
    trainer = Trainer()
    walk(tmp_path, trainer, minutes=120.0)
    assert len(trainer.trained) == 2
    again = Trainer()
    walk(tmp_path, again, minutes=120.0)
    assert again.trained == []


def test_each_look_at_a_folds_weeks_is_a_trial(tmp_path: Path) -> None:
    found = walk(tmp_path, Trainer())
    walk(tmp_path, Trainer())
    trials = read_ledger(tmp_path / "validation_state")
    assert [trial.level for trial in trials] == ["RETRAIN", "RETRAIN"]
    for trial, fold in zip(trials, found.folds, strict=True):
        assert trial.test_start_s <= fold.start_s < fold.end_s <= trial.test_end_s
        assert len(trial.weeks) == len(trial.weekly_returns) == fold.weeks
    # Disjoint folds do not shrink what a longer trial is compared on; each counts as one.
    weeks = tuple(week for trial in trials for week in trial.weeks)
    weeks = (*weeks, *range(max(weeks) + 1, max(weeks) + 9))
    whole = trials[0].model_copy(
        update={
            "checkpoint_sha256": "e" * 64,
            "level": "FULL",
            "test_end_s": trials[1].test_end_s,
            "weeks": weeks,
            "weekly_returns": tuple(0.001 * number for number in range(len(weeks))),
        }
    )
    matrix = trial_matrix(trials, whole)
    assert matrix.count == matrix.effective == 3
    assert matrix.returns.shape == (1, len(weeks))


def test_anchored_folds_begin_with_the_first_week_and_rolling_ones_move() -> None:
    anchored = plan_folds(BARS, CONFIG, "anchored", 2, 1, 8)
    weeks = build_session_index(BARS, check_quality(BARS)).weeks
    assert {plan.low for plan in anchored} == {max(0, int(weeks[0, 0]) - 256)}
    assert PLANS[0].low < PLANS[1].low
    assert [plan.test for plan in anchored] == [plan.test for plan in PLANS] == weeks[-2:, 0].tolist()
    assert isinstance(PLANS[0], FoldPlan)
    assert PLANS[-1].high == len(BARS)


def test_too_few_weeks_are_refused() -> None:
    with pytest.raises(DataError, match="whole weeks are too few"):
        plan_folds(BARS, CONFIG, "rolling", 4, 4, 52)


def test_a_trainer_that_fails_is_quoted(tmp_path: Path) -> None:
    program = "import sys; print(' '.join(sys.argv[1:])); print('it broke'); sys.exit(3)"
    with pytest.raises(TrainingFailed, match="status 3: it broke"):
        train_by_command([sys.executable, "-c", program], 0.5)(Workspace(tmp_path), ["data.x=1"])
    assert f"--state-dir {tmp_path} --minutes 0.5 --set data.x=1" in (tmp_path / "train.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_trains_and_plays_every_fold(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from swt_cli.main import app

    words = ["validate", "--walk-forward-retrain", "--state-dir", str(tmp_path), "--folds", "2", "--json"]
    words += ["--fold-weeks", "1", "--train-weeks", "6", "--minutes", "1.0", "--workers", "1"]
    settings = ["data.market=regimes", "data.market_days=50", "model.hidden_dim=16", "model.support_bins=21"]
    settings += ["trading.search.simulations=2", "training.actors=1"]
    found = CliRunner().invoke(app, [*words, *(w for text in settings for w in ("--set", text))])
    assert found.exit_code == 0, found.output
    assert len(json.loads(found.stdout)["folds"]) == 2
    assert (tmp_path / "walk_forward" / "rolling" / "walk_forward.json").exists()
    assert [trial.level for trial in read_ledger(tmp_path / "validation_state")] == ["RETRAIN"] * 2
