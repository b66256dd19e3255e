"""`swt up`: which processes it starts, on which ports, and its exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swt_cli.main import app
from swt_ops.stack import Stack


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Stack]:
    """What would have been run; nothing is."""
    found: list[Stack] = []

    def run_stack(stack: Stack, *_: Any) -> int:
        found.append(stack)
        return 1 if any("never" in word for spec in stack.specs for word in spec.command) else 0

    monkeypatch.setattr("swt_ops.up.run_stack", run_stack)
    for name in ("SWT_BROKER_TOKEN", "SWT_BROKER_TOKEN_FILE", "SWT_PROFILE", "SWT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return found


def command(stack: Stack, name: str) -> str:
    (spec,) = [spec for spec in stack.specs if spec.name == name]
    return " ".join(spec.command)


def test_ports_pace_profile_and_settings_reach_the_processes(started: list[Stack], tmp_path: Path) -> None:
    words = ["up", "--profile", "demo", "--state-dir", str(tmp_path), "--trainer-port", "9001"]
    words += ["--validator-port", "9002", "--practice-mode", "accelerated", "--practice-speed", "30"]
    words += ["--practice-port", "9095", "--set", "training.seed=3"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.exception
    (stack,) = started
    assert [spec.name for spec in stack.specs] == ["practice", "trainer", "validator", "live"]
    assert "--health-port 9001" in command(stack, "trainer")
    assert "--port 9002" in command(stack, "validator")
    assert "--mode accelerated" in command(stack, "practice")
    assert "--speed 30.0" in command(stack, "practice")
    assert "--port 9095" in command(stack, "practice")
    for spec in stack.specs:
        assert "--profile demo" in " ".join(spec.command), spec.name
        assert "--set training.seed=3" in " ".join(spec.command), spec.name
    assert f"swt live start --state-dir {tmp_path}" in result.output.replace("\n", "")


def test_the_exit_code_is_the_stacks(started: list[Stack], tmp_path: Path) -> None:
    words = ["up", "--state-dir", str(tmp_path), "--set", "data.bars_file=never.parquet"]
    assert CliRunner().invoke(app, words).exit_code == 1
    assert len(started) == 1
