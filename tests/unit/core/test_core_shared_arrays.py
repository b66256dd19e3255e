"""Shared arrays in files: who owns them, when they go, and where they lie when memory is full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swt_core import shared_arrays
from swt_core.shared_arrays import ArrayFiles, sweep

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3).T}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    found = ArrayFiles(tmp_path).share(ARRAYS).load()
    assert found["weight"].tobytes() == np.ascontiguousarray(ARRAYS["weight"]).tobytes()
    assert found["weight"].shape == (3, 2)


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    files = ArrayFiles(tmp_path)
    first, second, third = (files.share(ARRAYS) for _ in range(3))
    assert [shared.path.exists() for shared in (first, second, third)] == [False, True, True]


def test_the_living_keep_what_is_theirs_and_the_dead_lose_it(tmp_path: Path) -> None:
    living = ArrayFiles(tmp_path)
    dead = tmp_path / "swt-actors-dead"
    dead.mkdir()
    (dead / "owner.lock").touch()
    (dead / "1.safetensors").touch()
    assert sweep(tmp_path) == [dead]
    assert living.path.is_dir()
    assert not dead.exists()


def test_a_new_owner_sweeps_at_its_start(tmp_path: Path) -> None:
    dead = tmp_path / "swt-actors-dead"
    dead.mkdir()
    (dead / "owner.lock").touch()
    files = ArrayFiles(tmp_path)
    assert list(tmp_path.iterdir()) == [files.path]


def test_a_directory_without_a_lock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "swt-actors-somebody-elses").mkdir()
    assert sweep(tmp_path) == []


def test_closing_leaves_nothing(tmp_path: Path) -> None:
    files = ArrayFiles(tmp_path)
    files.share(ARRAYS)
    files.close()
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_ram_disk_is_left_for_the_ordinary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    monkeypatch.setattr(shared_arrays.tempfile, "gettempdir", lambda: str(disk))
    files = ArrayFiles(memory)
    save = shared_arrays.save_file

    def full(arrays: dict[str, np.ndarray], path: Path) -> None:
        if memory in path.parents:
            raise OSError(28, "No space left on device")
        save(arrays, path)

    monkeypatch.setattr(shared_arrays, "save_file", full)
    shared = files.share(ARRAYS)
    assert disk in shared.path.parents
    assert set(shared.load()) == {"weight"}
    assert list(memory.iterdir()) == []


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_arrays.tempfile, "gettempdir", lambda: str(tmp_path))

    def full(arrays: dict[str, np.ndarray], path: Path) -> None:
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(shared_arrays, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        ArrayFiles(tmp_path).share(ARRAYS)
