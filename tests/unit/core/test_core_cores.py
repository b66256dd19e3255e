"""Cores that may be used, with and without a container's limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swt_core.cores import available_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def version_1(root: Path, quota: str, period: str = "100000") -> Path:
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    return root


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("3200000 100000", 8)]
)
def test_a_container_may_use_what_its_limit_says(tmp_path: Path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert available_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("400000", 4), ("0", 8)])
def test_older_control_groups_say_it_in_two_files(tmp_path: Path, quota: str, cores: int) -> None:
    assert available_cores(version_1(tmp_path, quota)) == cores


def test_without_a_readable_limit_all_cores_count(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == 8
    (tmp_path / "cpu.max").write_text("nonsense")
    assert available_cores(tmp_path) == 8


def test_a_period_of_nothing_is_no_limit(tmp_path: Path) -> None:
    assert available_cores(version_1(tmp_path, "100000", period="0")) == 8
