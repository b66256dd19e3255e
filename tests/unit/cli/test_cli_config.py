"""`swt config` and the entry point: exit codes, JSON, and errors with a remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swt_cli import main as entry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `swt` as a shell would: arguments in, (exit code, stdout, stderr) out."""
    monkeypatch.setattr(entry, "configure_numba_cache", lambda: Path())
    monkeypatch.delenv("SWT_PROFILE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["swt", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            entry.main()
        code = exit_info.value.code
        assert isinstance(code, int)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_help_lists_the_commands_that_exist(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "config" in out
    assert entry.SETUP in out


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version")[:2] == (0, "swt 0.1.0\n")


def test_a_command_that_does_not_exist_is_refused(run: Run) -> None:
    code, _, err = run("fly")
    assert code == 2
    assert "No such command" in err


def test_show_prints_each_value_with_its_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWT_TRAINING__SEED", "99")
    code, out, _ = run("config", "show", "training", "--profile", "demo", "--set", "training.reward=clean")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("training.")}
    assert "99" in rows["training.seed"]
    assert "environment SWT_TRAINING__SEED" in rows["training.seed"]
    assert "(profile demo)" in rows["training.maximum_minutes"]
    assert "command line training.reward" in rows["training.reward"]
    assert "training.yaml:" in rows["training.learning_rate"]
    assert "config hash" in out


def test_show_as_json_can_be_parsed(run: Run) -> None:
    code, out, _ = run("config", "show", "trading.search", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["values"]["trading.search.simulations"]["value"] == 15
    assert all(key.startswith("trading.search.") for key in document["values"])
    assert len(document["config_hash"]) == 64


def test_show_takes_one_key_and_everything(run: Run) -> None:
    assert list(json.loads(run("config", "show", "data.market", "--json")[1])["values"]) == ["data.market"]
    assert len(json.loads(run("config", "show", "--json")[1])["values"]) > 80


def test_show_of_an_unknown_section_names_the_known(run: Run) -> None:
    code, _, err = run("config", "show", "trade")
    assert code == 2
    assert "no section or key 'trade'" in err
    assert "trading.search" in err


def test_check_says_what_was_checked(run: Run) -> None:
    code, out, _ = run("config", "check", "--profile", "demo")
    assert code == 0
    assert "with profile demo: valid" in out


def test_check_names_line_field_and_what_is_allowed_and_exits_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("\nhidden_dim: [bold]\n")
    code, out, err = run("config", "check", "--config-dir", str(tmp_path))
    assert (code, out) == (2, "")
    assert f"error: {tmp_path / 'model.yaml'}:2: model.hidden_dim: ['bold'] is not allowed" in err
    assert "≥ 16" in err


def test_check_of_episode_13475_lists_each_deviation(run: Run) -> None:
    code, out, _ = run("config", "check", "--profile", "episode_13475")
    assert code == 0
    assert "every locked parameter" in out
    limit = ("--set", "trading_safety.max_position_units=9")
    moved = ("--set", "trading.units=3", "--set", "training.gradient_clip=1", *limit)
    code, _, err = run("config", "check", "--profile", "episode_13475", *moved)
    assert code == 2
    assert "command line trading.units: trading.units is 3, episode 13475 needs 1" in err
    assert "training.gradient_clip is 1.0" in err
    code, out, _ = run("config", "check", "--profile", "episode_13475", "--json", *moved)
    document = json.loads(out)
    assert code == 2
    assert not document["valid"]
    assert {deviation["field"] for deviation in document["deviations"]} == {
        "trading.units",
        "training.gradient_clip",
    }


def test_check_as_json_can_be_parsed(run: Run) -> None:
    code, out, _ = run("config", "check", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["valid"]
    assert document["deviations"] == []


def test_the_profile_may_come_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWT_PROFILE", "micro")
    assert json.loads(run("config", "check", "--json")[1])["profile"] == "micro"
