"""`swt demo --json`: one document on standard output, the exit code says whether it earned."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from swt_cli.main import app
from swt_ops import demo


@pytest.mark.parametrize(("low", "code"), [(1.5, 0), (-0.5, 1)])
def test_the_result_is_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: float, code: int
) -> None:
    live = demo.LiveDay("2016-12-19", 1434, 17, 778.2, 1434, 1434, "the demo profile")
    checkpoint, validation = (
        SimpleNamespace(name="checkpoint_a"),
        SimpleNamespace(verdict={"decision": "TEST"}),
    )

    def run(config: Any, workspace: Any, clock: Any, watcher: Any) -> demo.DemoResult:
        watcher.stage("self-play and training")
        watcher.fact("learned from", "2,304 sessions")
        return demo.DemoResult(
            checkpoint,
            validation,
            5.0,
            (low, 9.0),
            live,
            {"report": tmp_path / "report.pdf"},  # type: ignore[arg-type]
        )

    monkeypatch.setattr(demo, "run_demo", run)
    result = CliRunner().invoke(app, ["demo", "--json", "--state-dir", str(tmp_path)])
    assert result.exit_code == code
    found = json.loads(result.stdout)
    assert found["earned"] is (code == 0)
    assert found["live"]["trades"] == 17
    assert found["verdict"] == {"decision": "TEST"}
    assert "learned from" in result.stderr
