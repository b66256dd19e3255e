"""Only a checkpoint with an authorising verdict trades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_fakes import GBP_JPY, ScriptedEngine

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.errors import CheckpointError, ConfigError
from swt_core.position import HOLD
from swt_core.state import write_json
from swt_core.verdict import (
    Decision,
    Verdict,
    VerdictData,
    VerdictStatistics,
    judged_config_hash,
    verdict_path,
)
from swt_live.model_keeper import ModelKeeper
from swt_live.models import ModelSource


class Shelf:
    """Checkpoints, verdicts, and the source that chooses."""

    def __init__(self, tmp_path: Path, **live: Any) -> None:
        self.store = CheckpointStore(tmp_path / "checkpoints")
        self.verdicts = tmp_path / "validation_state"
        self.config = SWTConfig.model_validate({"live": live})
        self.loaded: list[str] = []

    def source(self) -> ModelSource:
        def load(ref: CheckpointRef) -> ScriptedEngine:
            self.store.load(ref)
            self.loaded.append(ref.name)
            return ScriptedEngine(lambda _: HOLD)

        return ModelSource(self.config, self.store, self.verdicts, "features-1", load)

    def checkpoint(
        self, episode: int, *, synthetic: bool = False, features: str = "features-1"
    ) -> CheckpointRef:
        data = CheckpointData(
            source="s", sha256="0" * 64, instrument=GBP_JPY.name, synthetic=synthetic, train_start_s=0,
            train_end_s=1, validation_start_s=2, validation_end_s=3, test_start_s=4, test_end_s=5,
        )  # fmt: skip
        metadata = CheckpointMetadata(
            architecture="swt", feature_profile="swt", feature_version=features, episode=episode,
            version="1.0.0", config_hash="c", data=data, created_s=float(episode),
        )  # fmt: skip
        return self.store.save({"w": np.full(3, episode, np.float32)}, metadata)

    def judge(
        self, ref: CheckpointRef, *, created_s: float = 0.0, synthetic: bool = False, **changes: Any
    ) -> None:
        fields: dict[str, Any] = {
            "checkpoint_name": ref.name,
            "checkpoint_sha256": ref.sha256,
            "config_hash": judged_config_hash(self.config),
            "level": "FULL",
            "decision": Decision.DEPLOY,
            "score": 90.0,
            "grade": "A",
            "data": VerdictData(
                source="s", sha256="d" * 64, instrument=GBP_JPY.name, synthetic=synthetic, start_s=0, end_s=1
            ),
            "statistics": VerdictStatistics(trades=200),
            "created_s": created_s,
            "expires_s": 1000.0,
        }
        write_json(verdict_path(self.verdicts, ref.sha256), Verdict(**(fields | changes)))


def test_the_newest_deploy_verdict_wins_not_the_newest_checkpoint(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, second, third = (shelf.checkpoint(i) for i in (1, 2, 3))
    shelf.judge(first, created_s=20.0)
    shelf.judge(second, created_s=10.0)
    shelf.judge(third, created_s=30.0, decision=Decision.TEST)
    selection = shelf.source().select(100.0)
    assert selection.choice is not None
    assert selection.choice.ref.name == first.name
    assert selection.choice.authorised_until_s == 1000.0
    assert any("says TEST" in reason for reason in selection.refusals)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"decision": Decision.REJECT}, "REJECT"),
        ({"expires_s": 50.0}, "expired"),
        ({"config_hash": "e" * 64}, "configuration"),
        ({"checkpoint_sha256": "e" * 64}, "judges checkpoint"),
    ],
)
def test_a_verdict_that_does_not_fit_authorises_nothing(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    shelf = Shelf(tmp_path)
    ref = shelf.checkpoint(1)
    shelf.judge(ref, **changes)
    selection = shelf.source().select(100.0)
    assert selection.choice is None
    assert word in selection.refusals[0]


def test_no_verdict_and_a_broken_verdict_are_reported_not_fatal(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.checkpoint(1)
    broken = shelf.checkpoint(2)
    path = verdict_path(shelf.verdicts, broken.sha256)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    selection = shelf.source().select(100.0)
    assert selection.choice is None
    assert len(selection.refusals) == 2
    assert "no verdict yet" in selection.refusals[0]


def test_another_feature_version_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, allow_unvalidated=True)
    ref = shelf.checkpoint(1, features="features-2")
    shelf.judge(ref)
    selection = shelf.source().select(100.0)
    assert selection.choice is None
    assert "feature version" in selection.refusals[0]


def test_real_money_needs_real_data_in_verdict_and_training(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, environment="live", confirm_live_account=True)
    shelf.judge(shelf.checkpoint(1), synthetic=True)
    shelf.judge(shelf.checkpoint(2, synthetic=True))
    assert shelf.source().select(100.0).choice is None
    real = shelf.checkpoint(3)
    shelf.judge(real)
    choice = shelf.source().select(100.0).choice
    assert choice is not None
    assert choice.ref.name == real.name


def test_unvalidated_trading_is_for_practice_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allow_unvalidated"):
        Shelf(tmp_path, environment="live", allow_unvalidated=True).source()
    shelf = Shelf(tmp_path, environment="practice")
    shelf.checkpoint(1)
    assert shelf.source().select(0.0).choice is None


def test_allow_unvalidated_takes_the_best_else_the_newest_that_fits(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, allow_unvalidated=True)
    assert shelf.source().select(0.0).choice is None
    old, _ = shelf.checkpoint(1), shelf.checkpoint(2, features="other")
    choice = shelf.source().select(0.0).choice
    assert choice is not None
    assert (choice.ref.name, choice.verdict) == (old.name, None)
    newer = shelf.checkpoint(3)
    shelf.store.mark_best(old)
    choice = shelf.source().select(0.0).choice
    assert choice is not None
    assert choice.ref.name == old.name
    (shelf.store.directory / "best.json").write_text("{")
    selection = shelf.source().select(0.0)
    assert selection.choice is not None
    assert selection.choice.ref.name == newer.name


def test_a_broken_manifest_is_reported(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.checkpoint(1)
    (shelf.store.directory / "manifest.json").write_text("{")
    selection = shelf.source().select(0.0)
    assert selection.choice is None
    assert len(selection.refusals) == 1


def test_the_keeper_swaps_only_when_flat_and_keeps_the_engine_of_the_same_model(tmp_path: Path) -> None:
    shelf, notes = Shelf(tmp_path), []
    keeper = ModelKeeper(shelf.source(), lambda event, detail: notes.append(event))
    first = shelf.checkpoint(1)
    shelf.judge(first, created_s=1.0)
    keeper.refresh(0.0, in_position=False)
    second = shelf.checkpoint(2)
    shelf.judge(second, created_s=2.0)
    keeper.refresh(100.0, in_position=True)
    assert shelf.loaded == [first.name]
    keeper.refresh(100.0, in_position=False)
    keeper.refresh(200.0, in_position=False)
    assert shelf.loaded == [first.name, second.name]
    assert keeper.authorised_until_s == 1000.0
    keeper.refresh(1000.0, in_position=False)
    assert keeper.model is None
    assert notes == ["model_loaded", "model_loaded", "model_withdrawn"]


def test_a_checkpoint_whose_bytes_changed_is_not_loaded(tmp_path: Path) -> None:
    shelf, notes = Shelf(tmp_path), []
    ref = shelf.checkpoint(1)
    shelf.judge(ref)
    ref.path.write_bytes(b"other weights")
    keeper = ModelKeeper(shelf.source(), lambda event, detail: notes.append(event))
    keeper.refresh(0.0, in_position=False)
    assert keeper.model is None
    assert notes == ["model_refused"]
    choice = shelf.source().select(0.0).choice
    assert choice is not None
    with pytest.raises(CheckpointError):
        shelf.source().load(choice)


@pytest.mark.parametrize(("wanted", "episode"), [("best", 1), ("newest", 3), ("name", 2), ("hash", 2)])
def test_a_candidate_on_paper_needs_no_verdict_and_is_named(
    tmp_path: Path, wanted: str, episode: int
) -> None:
    shelf = Shelf(tmp_path)
    refs = {number: shelf.checkpoint(number) for number in (1, 2, 3)}
    shelf.store.mark_best(refs[1])
    name = {"name": refs[2].name, "hash": refs[2].sha256[:12]}.get(wanted, wanted)
    shelf.config = SWTConfig.model_validate({"live": {"shadow_checkpoint": name}})
    choice, why = shelf.source().candidate()
    assert choice is not None
    assert (choice.ref.sha256, why) == (refs[episode].sha256, "")
    # It may trade on paper only: nothing authorises it, and the trader's own choice does not see it.
    assert choice.authorised_until_s == float("-inf")
    assert shelf.source().select(0.0).choice is None
    held, _ = shelf.source().candidate(refs[1].sha256)
    assert held is not None
    assert held.ref.sha256 == refs[1].sha256


@pytest.mark.parametrize(
    ("wanted", "why"),
    [("best", "names no checkpoint"), ("abc.safetensors", "names no checkpoint"), ("newest", "features")],
)
def test_a_candidate_that_is_none_is_refused_in_words(tmp_path: Path, wanted: str, why: str) -> None:
    shelf = Shelf(tmp_path, shadow_checkpoint=wanted)
    shelf.checkpoint(1, features="features-0")
    choice, refusal = shelf.source().candidate()
    assert choice is None
    assert why in refusal


def test_a_broken_best_is_refused_for_the_candidate(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, shadow_checkpoint="best")
    shelf.checkpoint(1)
    (shelf.store.directory / "best.json").write_text("{")
    choice, refusal = shelf.source().candidate()
    assert choice is None
    assert "best.json" in refusal
