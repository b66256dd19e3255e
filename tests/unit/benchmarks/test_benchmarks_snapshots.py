"""Weights set aside along a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks.snapshots import SnapshotWriter, read_snapshots


def test_snapshots_come_at_growing_distances_and_the_last_one_always(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, first_s=2.0, growth=2.0)
    offered = [float(s) for s in range(1, 20)]
    taken = [s for s in offered if writer.offer(s, lambda: {"w": np.array([1.0], np.float32)})]
    assert taken == [2.0, 4.0, 8.0, 16.0]
    for expected in (True, False):
        assert writer.offer(19.5, lambda: {"w": np.array([7.0], np.float32)}, force=True) is expected
    found = read_snapshots(tmp_path)
    assert [s.elapsed_s for s in found] == [2.0, 4.0, 8.0, 16.0, 19.5]
    assert load_file(found[-1].path)["w"].tolist() == [7.0]


def test_weights_are_not_even_copied_before_they_are_due(tmp_path: Path) -> None:
    def never() -> dict[str, np.ndarray]:
        raise AssertionError("copied")

    assert not SnapshotWriter(tmp_path, first_s=2.0).offer(1.9, never)
    assert read_snapshots(tmp_path) == []


def test_a_late_offer_skips_what_it_missed(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, first_s=1.0, growth=2.0)
    assert writer.offer(9.0, dict)
    assert not writer.offer(15.9, dict)
    assert writer.offer(16.0, dict)
