"""`swt doctor`: exit codes, JSON, and that --warm warms before it looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import swt_ops.doctor
import swt_ops.warm
from swt_cli.main import app
from swt_core.errors import ConfigError
from swt_ops.findings import Examination, Finding, fail, ok, warn

RUN = CliRunner()


def finds(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    found = Examination(schema_version=1, findings=findings)
    monkeypatch.setattr(swt_ops.doctor, "examine", lambda *_: found)


def test_a_warning_exits_with_0_and_a_failure_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    finds(monkeypatch, ok("a", "fine"), warn("b", "odd", "look [there]"))
    result = RUN.invoke(app, ["doctor", "--state-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "look [there]" in result.output
    finds(monkeypatch, ok("a", "fine"), fail("b", "broken", "mend it"))
    assert RUN.invoke(app, ["doctor", "--state-dir", str(tmp_path)]).exit_code == 1


def test_json_carries_every_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    finds(monkeypatch, ok("a", "fine"), fail("b", "broken", "mend it"))
    result = RUN.invoke(app, ["doctor", "--json", "--state-dir", str(tmp_path)])
    body = json.loads(result.stdout)
    assert body["failed"] is True
    assert [(line["name"], line["level"], line["remedy"]) for line in body["findings"]] == [
        ("a", "ok", ""),
        ("b", "fail", "mend it"),
    ]


def test_a_wrong_setting_is_bad_usage() -> None:
    result = RUN.invoke(app, ["doctor", "--set", "live.environment=casino"])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    assert RUN.invoke(app, ["doctor", "--nonsense"]).exit_code == 2


def test_warm_compiles_first_and_then_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[str] = []

    def look(*_: object) -> Examination:
        order.append("look")
        return Examination(schema_version=1, findings=(ok("a", "fine"),))

    monkeypatch.setattr(swt_ops.doctor, "examine", look)
    monkeypatch.setattr(swt_ops.warm, "warm_kernels", lambda note: (note("x"), order.append("warm")))
    assert RUN.invoke(app, ["doctor", "--warm", "--state-dir", str(tmp_path)]).exit_code == 0
    assert order == ["warm", "look"]
