"""Moving an installation's state: checked, saved, never half there."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointStore
from swt_core.errors import ConfigError, CorruptCheckpointError, StateError
from swt_core.state import StateDirectory
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.journal_schema import MIGRATIONS
from swt_ops import migrate_state as module
from swt_ops.migrate_state import migrate_state, survey

DATA = CheckpointData(
    source="regimes",
    sha256="ab" * 32,
    instrument="GBP_JPY",
    synthetic=True,
    train_start_s=0,
    train_end_s=1,
    validation_start_s=1,
    validation_end_s=2,
    test_start_s=2,
    test_end_s=3,
)
METADATA = CheckpointMetadata(
    architecture="swt",
    feature_profile="swt",
    feature_version="1",
    episode=3,
    version="1.0.0",
    config_hash="c",
    data=DATA,
    created_s=1.0,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An installation with a checkpoint, resume state, a verdict and a journal of the first layout."""
    made = tmp_path / "old"
    CheckpointStore(made / "checkpoints").save({"w": np.ones((2, 2), np.float32)}, METADATA)
    for name, file in (("training_state", "resume.json"), ("validation_state", "a/FULL/verdict.json")):
        path = made / name / file
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"schema_version": 1, "value": 7}))
    (made / "live_state").mkdir()
    database = sqlite3.connect(made / "live_state" / JOURNAL_FILE)
    for statement in MIGRATIONS[0]:
        database.execute(statement)
    database.execute("PRAGMA user_version=1")
    database.execute("INSERT INTO state (key, value) VALUES ('kept', 'yes')")
    database.commit()
    database.close()
    return made


def kept(root: Path) -> str:
    journal = Journal(root / "live_state" / JOURNAL_FILE)
    try:
        return str(journal.rows("SELECT value FROM state WHERE key = 'kept'", ())[0]["value"])
    finally:
        journal.close()


def layout(root: Path) -> int:
    database = sqlite3.connect(root / "live_state" / JOURNAL_FILE)
    try:
        return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != ".writer.lock"
    }


def test_a_survey_changes_nothing_and_names_what_is_old(root: Path) -> None:
    before = contents(root)
    old = [item.path for item in survey(root) if item.action == "upgrade"]
    assert old == [f"live_state/{JOURNAL_FILE}"]
    assert contents(root) == before


def test_a_copy_is_upgraded_and_the_original_stays(root: Path, tmp_path: Path) -> None:
    before = contents(root)
    done = migrate_state(root, tmp_path / "new")
    assert done.checkpoints == 1
    assert contents(root) == before
    assert layout(tmp_path / "new") == len(MIGRATIONS)
    assert kept(tmp_path / "new") == "yes"
    assert CheckpointStore(tmp_path / "new" / "checkpoints").list()


def test_in_place_there_is_a_backup_of_everything_as_it_was(root: Path, tmp_path: Path) -> None:
    before = contents(root)
    migrate_state(root, None, backup=tmp_path / "before.tar.gz")
    assert layout(root) == len(MIGRATIONS)
    assert kept(root) == "yes"
    with tarfile.open(tmp_path / "before.tar.gz") as archive:
        archive.extractall(tmp_path / "restored", filter="data")
    assert contents(tmp_path / "restored") == before


def raised(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "value": record["value"] + 1}


def test_state_files_go_through_every_version_between(root: Path, tmp_path: Path) -> None:
    CheckpointStore(root / "checkpoints")
    for manifest in (root / "checkpoints").glob("*.json"):
        manifest.unlink()
    migrate_state(root, None, backup=tmp_path / "b.tar.gz", upgrades={1: raised, 2: raised}, schema=3)
    assert json.loads((root / "training_state" / "resume.json").read_text()) == {
        "schema_version": 3,
        "value": 9,
    }


def test_an_interrupted_migration_in_place_is_run_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for manifest in (root / "checkpoints").glob("*.json"):
        manifest.unlink()
    calls = 0

    def killed(record: dict[str, Any]) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return raised(record)

    with pytest.raises(KeyboardInterrupt):
        migrate_state(root, None, backup=tmp_path / "1.tar.gz", upgrades={1: killed}, schema=2)
    migrate_state(root, None, backup=tmp_path / "2.tar.gz", upgrades={1: raised}, schema=2)
    for path in ("training_state/resume.json", "validation_state/a/FULL/verdict.json"):
        assert json.loads((root / path).read_text()) == {"schema_version": 2, "value": 8}


def test_a_copy_that_fails_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_upgrade", full)
    with pytest.raises(StateError, match="No space"):
        migrate_state(root, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_newer_file_is_refused_before_anything_happens(root: Path, tmp_path: Path) -> None:
    (root / "training_state" / "resume.json").write_text('{"schema_version": 2}')
    assert [i.path for i in survey(root) if i.action == "refuse"] == ["training_state/resume.json"]
    with pytest.raises(StateError, match="has version 2, this version of SWT knows 1"):
        migrate_state(root, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_that_is_not_what_was_promised_stops_it(root: Path, tmp_path: Path) -> None:
    file = next((root / "checkpoints").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptCheckpointError):
        migrate_state(root, None, backup=tmp_path / "b.tar.gz")
    assert layout(root) == 1


def test_a_running_daemon_stops_it(root: Path, tmp_path: Path) -> None:
    with (
        StateDirectory(root / "training_state").writer(),
        pytest.raises(StateError, match="another process"),
    ):
        migrate_state(root, tmp_path / "new")
    migrate_state(root, tmp_path / "new")


def test_nothing_is_written_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        migrate_state(root, None, backup=tmp_path / "b.tar.gz")
    with pytest.raises(ConfigError, match="not empty"):
        migrate_state(root, tmp_path)
    with pytest.raises(ConfigError, match="inside"):
        migrate_state(root, root / "new")
    with pytest.raises(ConfigError, match="backup"):
        migrate_state(root, None)
    assert (tmp_path / "b.tar.gz").read_text() == "mine"


def test_broken_files_and_empty_places_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no state"):
        survey(tmp_path / "nowhere")
    (root / "training_state" / "resume.json").write_text("{")
    with pytest.raises(StateError, match=r"resume\.json is not JSON"):
        survey(root)
    (root / "training_state" / "resume.json").unlink()
    (root / "live_state" / JOURNAL_FILE).write_bytes(b"no database" * 100)
    with pytest.raises(StateError, match="cannot be read"):
        survey(root)
