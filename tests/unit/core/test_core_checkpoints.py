"""Checkpoints: immutable, hashed, named by numbers, and never half there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors import numpy as safetensors_numpy

from swt_core import checkpoints, state
from swt_core.checkpoints import (
    CheckpointData,
    CheckpointMetadata,
    CheckpointRef,
    CheckpointStore,
    Weights,
    require_compatible,
)
from swt_core.errors import CheckpointError, CorruptCheckpointError, IncompatibleModelError, StateError
from swt_core.ranking import CONTEST, PIPS_PER_SESSION
from swt_core.retention import RetentionRule, apply_retention, plan_retention

DATA = CheckpointData(
    source="regimes",
    sha256="ab" * 32,
    instrument="GBP_JPY",
    synthetic=True,
    train_start_s=0,
    train_end_s=100,
    validation_start_s=200,
    validation_end_s=300,
    test_start_s=400,
    test_end_s=500,
)


def metadata(episode: int = 10, **changes: object) -> CheckpointMetadata:
    values: dict[str, object] = {
        "architecture": "swt",
        "feature_profile": "swt",
        "feature_version": "1a2b",
        "episode": episode,
        "version": "1.0.0",
        "config_hash": "c0ffee",
        "data": DATA,
        "created_s": 1000.0 + episode,
        **changes,
    }
    return CheckpointMetadata.model_validate(values)


def weights(seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    return {
        "head.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "head.bias": np.zeros(3, np.float32),
    }


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


def test_what_was_saved_is_loaded_by_reference_by_name_and_by_path(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata(sqn=2.5, expectancy_pips=3.25, trades=40, extra={"reward": "dense"}))
    assert ref.name == "checkpoint_v1.0.0_ep10_arch-swt.safetensors"
    for key in (ref, ref.name, ref.path, str(ref.path)):
        loaded, loaded_metadata = store.load(key)
        assert loaded_metadata == ref.metadata
        assert loaded_metadata.extra == {"reward": "dense"}
        assert {name: (a.dtype, a.tolist()) for name, a in loaded.items()} == {
            name: (a.dtype, a.tolist()) for name, a in weights().items()
        }


def test_a_path_is_vouched_for_by_the_manifest_beside_it(store: CheckpointStore, tmp_path: Path) -> None:
    ref = store.save(weights(), metadata())
    assert CheckpointStore(tmp_path / "elsewhere").load(ref.path)[1] == ref.metadata


def test_arrays_that_are_views_are_saved_by_value(store: CheckpointStore) -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    ref = store.save({"w": matrix.T, "v": matrix[:, 1], "s": np.float32(3).reshape(())}, metadata())
    loaded, _ = store.load(ref)
    assert loaded["w"].tolist() == matrix.T.tolist()
    assert loaded["v"].tolist() == [1, 5, 9]
    assert loaded["s"].shape == ()


def test_the_same_checkpoint_has_the_same_bytes(tmp_path: Path) -> None:
    refs = [CheckpointStore(tmp_path / name).save(weights(), metadata()) for name in "abcd"]
    assert len({ref.sha256 for ref in refs}) == 1


def test_the_file_is_plain_safetensors(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    assert set(safetensors_numpy.load_file(ref.path)) == {"head.weight", "head.bias"}


@settings(max_examples=25)
@given(position=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    store = CheckpointStore(tmp_path_factory.mktemp("store"))
    ref = store.save(weights(), metadata())
    data = bytearray(ref.path.read_bytes())
    data[position % len(data)] ^= 1 << bit
    ref.path.write_bytes(data)
    for key in (ref, ref.name):
        with pytest.raises(CorruptCheckpointError, match=ref.sha256):
            store.load(key)


def test_a_reference_to_other_bytes_than_the_manifest_lists_is_refused(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    with pytest.raises(CorruptCheckpointError, match="was promised"):
        store.load(CheckpointRef(ref.path, "0" * 64, ref.metadata))


def test_a_file_that_nobody_vouches_for_is_refused(store: CheckpointStore) -> None:
    store.save(weights(), metadata())
    stranger = store.directory / "checkpoint_v9.0.0_ep1_arch-swt.safetensors"
    safetensors_numpy.save_file(dict(weights()), stranger)
    for key in (stranger, stranger.name, "nothing.safetensors"):
        with pytest.raises(CheckpointError, match=r"is not in .*manifest\.json"):
            store.load(key)


def test_a_vanished_file_is_an_error_when_loaded_and_not_listed(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    ref.path.unlink()
    assert store.list() == []
    with pytest.raises(CheckpointError, match="is gone"):
        store.load(ref)


def test_a_path_that_cannot_be_read_is_an_error(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    ref.path.unlink()
    ref.path.mkdir()
    with pytest.raises(CheckpointError, match="cannot read"):
        store.load(ref)


@pytest.mark.parametrize("content", ["garbage", "foreign", "odd-header"])
def test_bytes_that_match_their_hash_but_are_no_checkpoint_are_refused(
    store: CheckpointStore, content: str
) -> None:
    ref = store.save(weights(), metadata())
    data = {
        "garbage": b"not safetensors",
        "foreign": safetensors_numpy.save(dict(weights())),
        "odd-header": safetensors_numpy.save(dict(weights()), {"swt": '{"episode": -1}'}),
    }[content]
    ref.path.write_bytes(data)
    manifest = json.loads((store.directory / "manifest.json").read_text())
    manifest["checkpoints"][ref.name]["sha256"] = checkpoints.hashlib.sha256(data).hexdigest()
    (store.directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptCheckpointError, match="is not an SWT checkpoint"):
        store.load(ref.name)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, "without weights"),
        ({"w": np.zeros(2)}, "float64"),
        ({"w": np.array([1, np.nan], np.float32)}, "w is not finite"),
    ],
)
def test_weights_nobody_could_use_are_never_written(
    store: CheckpointStore, bad: Weights, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        store.save(bad, metadata())
    assert not store.directory.exists()


def test_checkpoints_are_ordered_by_number_not_by_text(store: CheckpointStore) -> None:
    for version, episode in (("1.10.0", 1), ("1.9.0", 1000), ("1.9.0", 9), ("1.9.0", 10)):
        store.save(weights(episode), metadata(episode, version=version))
    assert [(ref.metadata.version, ref.metadata.episode) for ref in store.list()] == [
        ("1.9.0", 9),
        ("1.9.0", 10),
        ("1.9.0", 1000),
        ("1.10.0", 1),
    ]
    newest = store.newest()
    assert newest is not None
    assert newest.metadata.version == "1.10.0"


def test_an_empty_store_has_nothing(store: CheckpointStore) -> None:
    assert store.list() == []
    assert store.newest() is None
    assert store.best() is None
    assert "checkpoints" in repr(store)


def test_the_same_weights_are_published_once(store: CheckpointStore) -> None:
    first = store.save(weights(), metadata())
    again = store.save(weights(), metadata(created_s=5000.0))
    assert again == first
    assert len(store.list()) == 1


def test_a_published_file_never_changes_other_weights_get_the_next_patch(store: CheckpointStore) -> None:
    first = store.save(weights(0), metadata())
    second = store.save(weights(1), metadata())
    third = store.save(weights(2), metadata())
    assert [ref.metadata.version for ref in store.list()] == ["1.0.0", "1.0.1", "1.0.2"]
    assert store.load(first)[1].version == "1.0.0"
    assert (second.metadata.version, third.metadata.version) == ("1.0.1", "1.0.2")
    assert store.load(third.name)[1].version == "1.0.2"


def test_a_vanished_file_is_not_taken_for_published(store: CheckpointStore) -> None:
    first = store.save(weights(), metadata())
    first.path.unlink()
    again = store.save(weights(), metadata())
    assert again.metadata.version == "1.0.1"
    assert store.load(again)[1] == again.metadata


def test_a_crash_before_the_manifest_leaves_the_store_as_it_was(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.save(weights(0), metadata(1))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.save(weights(1), metadata(2))
    assert store.list() == [first]
    orphan = store.directory / "checkpoint_v1.0.0_ep2_arch-swt.safetensors"
    litter = store.directory / ".x.1-1.tmp"
    litter.write_text("")
    assert store.sweep() == [litter]
    assert store.sweep() == []
    assert orphan.exists()
    assert store.load(first)[1] == first.metadata


def test_a_full_disk_keeps_the_last_good_checkpoint(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.save(weights(0), metadata(1))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state.os, "fsync", full)
        with pytest.raises(StateError, match="No space left"):
            store.save(weights(1), metadata(2))
    assert store.list() == [first]
    assert store.sweep() == []
    assert store.load(first)[1] == first.metadata


def test_the_best_is_the_one_that_was_marked_last(store: CheckpointStore) -> None:
    one, two = store.save(weights(1), metadata(1)), store.save(weights(2), metadata(2, sqn=1.5, trades=30))
    store.mark_best(one)
    assert store.best() == one
    store.mark_best(two)
    assert CheckpointStore(store.directory).best() == two
    assert json.loads((store.directory / "best.json").read_text())["sqn"] == 1.5


def test_only_a_published_checkpoint_can_be_best(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    for wrong in (
        CheckpointRef(ref.path, "0" * 64, ref.metadata),
        CheckpointRef(store.directory / "other.safetensors", ref.sha256, ref.metadata),
    ):
        with pytest.raises(CheckpointError, match="is not in"):
            store.mark_best(wrong)
    assert store.best() is None


def test_a_best_that_is_gone_is_an_error_not_a_guess(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    store.mark_best(ref)
    store.delete(ref)
    with pytest.raises(CheckpointError, match=r"best\.json names"):
        store.best()


def test_a_reader_that_races_with_a_new_best_looks_again(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = store.save(weights(1), metadata(1)), store.save(weights(2), metadata(2))
    store.mark_best(old)
    reader = CheckpointStore(store.directory)
    manifest = reader._manifest

    def trainer_moves_on() -> object:
        monkeypatch.setattr(reader, "_manifest", manifest)
        store.mark_best(new)
        store.delete(old)
        return manifest()

    monkeypatch.setattr(reader, "_manifest", trainer_moves_on)
    assert reader.best() == new


def test_deleting_removes_file_and_entry_and_twice_is_fine(store: CheckpointStore) -> None:
    ref, other = store.save(weights(1), metadata(1)), store.save(weights(2), metadata(2))
    store.delete(ref)
    store.delete(ref)
    assert not ref.path.exists()
    assert store.list() == [other]


def test_deleting_never_hits_another_checkpoint_of_the_same_name(store: CheckpointStore) -> None:
    ref = store.save(weights(), metadata())
    with pytest.raises(CheckpointError, match="hashes differ"):
        store.delete(CheckpointRef(ref.path, "0" * 64, ref.metadata))
    assert store.list() == [ref]


@pytest.mark.parametrize("name", ["manifest.json", "best.json"])
def test_a_broken_manifest_is_reported_as_such(store: CheckpointStore, name: str) -> None:
    store.mark_best(store.save(weights(), metadata()))
    (store.directory / name).write_text("{")
    with pytest.raises(CorruptCheckpointError, match=name.replace(".", r"\.")):
        store.best()


def test_an_incompatible_checkpoint_is_refused_naming_both_sides() -> None:
    own = metadata()
    require_compatible(own)
    require_compatible(own, architecture="swt", feature_profile="swt", feature_version="1a2b")
    with pytest.raises(IncompatibleModelError) as caught:
        require_compatible(own, architecture="micro", feature_version="ffff", instrument="EUR_USD")
    message = str(caught.value)
    for part in ("'swt'", "'micro'", "'1a2b'", "'ffff'", "'GBP_JPY'", "'EUR_USD'"):
        assert part in message
    assert "feature profile" not in message


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.0"},
        {"version": "01.0.0"},
        {"version": "1.0.0\n"},
        {"architecture": "../x"},
        {"architecture": ""},
        {"episode": -1},
        {"sqn": float("nan")},
    ],
)
def test_metadata_that_would_make_a_bad_name_or_number_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        metadata(**changes)


def refs(*specs: tuple[float, float | None, int]) -> list[CheckpointRef]:
    """Checkpoints with (hour, expectancy, trades); SQN and pips per session follow the expectancy."""
    return [
        CheckpointRef(
            Path(f"{n}"),
            f"{n}",
            metadata(
                n,
                created_s=hour * 3600.0,
                expectancy_pips=pips,
                sqn=pips,
                trades=trades,
                extra={} if pips is None else {PIPS_PER_SESSION: pips},
            ),
        )
        for n, (hour, pips, trades) in enumerate(specs)
    ]


def kept(all_refs: Sequence[CheckpointRef], rule: RetentionRule, **options: object) -> list[str]:
    gone = {ref.sha256 for ref in plan_retention(all_refs, rule, **options)}  # type: ignore[arg-type]
    return [ref.sha256 for ref in all_refs if ref.sha256 not in gone]


NOTHING = RetentionRule(keep_last=0, keep_hours=0, improvement_pips=1e9)


def test_retention_keeps_the_last_ones() -> None:
    all_refs = refs(*[(0.0, 1.0, 50)] * 6)
    rule = RetentionRule(keep_last=2, keep_hours=0, improvement_pips=1e9)
    assert kept(all_refs, rule) == ["0", "4", "5"]  # the first is an improvement on nothing
    assert kept(all_refs[:1], rule) == ["0"]
    assert kept([], rule) == []


def test_retention_keeps_the_best_of_each_recent_hour() -> None:
    all_refs = refs(
        (0.1, 5.0, 50), (1.1, 1.0, 50), (1.2, 9.0, 10), (1.3, 2.0, 50), (2.5, None, 0), (2.9, None, 0)
    )
    rule = RetentionRule(keep_last=0, keep_hours=2, improvement_pips=1e9)
    # 9.0 comes from ten trades: unreliable, it does not beat a reliable 2.0. Of equals the first stays.
    assert kept(all_refs, rule) == ["0", "3", "4"]


def test_retention_keeps_each_clear_reliable_improvement() -> None:
    all_refs = refs((0, 1.0, 50), (0, 1.4, 50), (0, 1.5, 50), (0, 9.0, 29), (0, None, 50), (0, 2.0, 30))
    rule = RetentionRule(keep_last=0, keep_hours=0, improvement_pips=0.5)
    assert kept(all_refs, rule) == ["0", "2", "5"]


def test_retention_keeps_the_highest_reliable_sqn_for_the_best_is_measured_against_it() -> None:
    all_refs = refs((0, 1.0, 50), (0, 4.0, 50), (0, 9.0, 29), (0, 3.0, 50))
    assert kept(all_refs, NOTHING, best_sha256="3") == ["0", "1", "3"]


def test_retention_measures_each_run_against_its_own_sessions() -> None:
    """Checkpoints of a run whose state is gone may lie beside: their SQN is of other sessions."""
    ours, foreign = refs((0, 1.0, 50), (0, 3.0, 50)), refs((0, 9.0, 50), (0, 8.0, 50))
    foreign = [
        replace(
            ref,
            sha256=f"foreign {ref.sha256}",
            metadata=ref.metadata.model_copy(update={"extra": {**ref.metadata.extra, CONTEST: "other"}}),
        )
        for ref in foreign
    ]
    assert kept([*foreign, *ours], NOTHING) == ["foreign 0", "1"]
    hourly = RetentionRule(keep_last=0, keep_hours=1, improvement_pips=1e9)
    assert kept([*foreign, *ours], hourly) == ["foreign 0", "1"]


def test_retention_never_touches_the_best_or_what_others_need() -> None:
    all_refs = refs(*[(0, None, 0)] * 6)
    assert kept(all_refs, NOTHING) == []
    assert kept(all_refs, NOTHING, best_sha256="2", protected={"0", "4"}) == ["0", "2", "4"]


@given(
    specs=st.lists(
        st.tuples(st.floats(0, 100), st.none() | st.floats(-5, 5), st.integers(0, 60)),
        max_size=30,
    ),
    last=st.integers(0, 6),
    protected=st.sets(st.integers(0, 29).map(str)),
)
def test_whatever_the_rule_the_protected_and_the_newest_stay(
    specs: list[tuple[float, float | None, int]], last: int, protected: set[str]
) -> None:
    all_refs = refs(*specs)
    stay = kept(all_refs, RetentionRule(keep_last=last), best_sha256="3", protected=protected)
    assert (protected | {"3"}) & {ref.sha256 for ref in all_refs} <= set(stay)
    assert len(stay) >= min(last, len(all_refs))


def test_retention_applied_deletes_files_and_reports_them(store: CheckpointStore) -> None:
    saved = [store.save(weights(n), metadata(n)) for n in range(5)]
    store.mark_best(saved[1])
    gone = apply_retention(store, RetentionRule(keep_last=2, keep_hours=0), protected={saved[2].sha256})
    assert gone == [saved[0]]
    assert store.list() == saved[1:]
    assert apply_retention(CheckpointStore(store.directory / "none"), NOTHING) == []


def test_a_file_whose_line_in_the_manifest_found_no_room_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)

    def full(*_: object) -> None:
        raise StateError("no space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(checkpoints, "write_json", full)
        with pytest.raises(StateError):
            store.save(weights(), metadata())
    assert list(tmp_path.iterdir()) == []
    store.save(weights(), metadata())
    assert len(store.list()) == 1
