"""`swt --help` is a map: every command in its place, with examples that work, and completion."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from swt_cli.main import ORDER, app
from swt_cli.reference import examples, walk, written

ROOT = Path(__file__).parents[3]
SWT: Any = typer.main.get_command(app)
COMMANDS = {" ".join(path[1:]): command for path, command in walk(SWT)}
# These run until they are stopped; what they do is `swt status --json`.
WITHOUT_JSON = {"up", "train dashboard", "validator", "practice", "live run"}


@cache
def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_every_command_has_its_place_in_the_order_of_use() -> None:
    shown = [name for name, command in SWT.commands.items() if not command.hidden]
    assert set(shown) == set(ORDER)
    required = {
        *("doctor", "demo", "up", "config", "data", "features", "train", "validate", "compare", "live"),
        *("practice", "emergency-close", "status", "dashboard", "buffer", "watchdog", "bench", "migrate"),
    }
    assert required <= set(shown)
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output
    lines = [line.strip("│ ").split(" ")[0] for line in text.splitlines() if line.startswith("│ ")]
    assert [name for name in lines if name in ORDER] == list(ORDER)
    panels = ("Set up and look around", "Market data and features", "Train and judge", "Trade", "Operate")
    places = [text.index(f"─ {panel} ") for panel in panels]
    assert places == sorted(places)


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_says_what_it_does_and_has_examples(name: str) -> None:
    command = COMMANDS[name]
    assert examples(command.help or ""), "no examples"
    assert all(getattr(parameter, "help", None) for parameter in command.params if parameter.name != "help")


@pytest.mark.parametrize("name", COMMANDS)
def test_its_examples_name_commands_and_options_that_exist(name: str) -> None:
    for line in examples(COMMANDS[name].help or ""):
        words = [word for word in shlex.split(line) if not word.isupper()]
        while "=" in words[0]:
            words.pop(0)
        assert words.pop(0) == "swt", line
        command = SWT
        allowed = options(command)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
            allowed |= options(command)
        assert command.callback is not None, line
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= allowed, f"{line}: {used - allowed}"


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_JSON))
def test_what_it_shows_it_prints_as_json_too(name: str) -> None:
    assert "--json" in options(COMMANDS[name])


def test_the_reference_is_current() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert written(page) == page, "run: python -m swt_cli.reference docs/commands.md"


def test_the_originals_scripts_all_have_an_answer() -> None:
    table = (ROOT / "docs" / "commands.md").read_text()
    for script in (
        *("train.py", "live_trade.py", "validate_checkpoint.py", "benchmark_system.py"),
        *("performance_validator.py", "migration_tools.py", "download_oanda_data.py"),
        *("emergency_close_positions.py", "verify_system.py", "monitor.sh"),
    ):
        assert f"| `{script}` | `swt " in table, script


def swt(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'swt'; from swt_cli.main import main; main()",
            *arguments,
        ],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_shell_completion_installs_and_completes(tmp_path: Path) -> None:
    installed = swt("--install-completion", "bash", HOME=str(tmp_path))
    assert installed.returncode == 0, installed.stderr
    script = (tmp_path / ".bash_completions" / "swt.sh").read_text()
    assert "_SWT_COMPLETE=complete_bash" in script
    assert ".bash_completions/swt.sh" in (tmp_path / ".bashrc").read_text()
    answered = swt(_SWT_COMPLETE="complete_bash", COMP_WORDS="swt d", COMP_CWORD="1")
    assert answered.stdout.split() == ["doctor", "demo", "data", "dashboard"]


BAD = (
    ("doctor --set nonsense", "section.key=value"),
    ("doctor --profile nowhere", "nowhere"),
    ("config show nowhere", "nowhere"),
    ("config check --set training.seed=abc", "training.seed"),
    ("up --practice-mode never", "--practice-mode"),
    ("data check nowhere.parquet", "nowhere.parquet"),
    ("data check broken.parquet", "broken.parquet"),
    ("data import nowhere.zip -o out.parquet", "nowhere.zip"),
    ("data download --from yesterday", "--from"),
    ("features plot broken.parquet -o x.png", "broken.parquet"),
    ("train --from nowhere.safetensors", "nowhere.safetensors"),
    ("train --pool nowhere", "pool.kind"),
    ("buffer stats --state-dir nowhere", "nowhere"),
    ("validate nowhere", "nowhere"),
    ("validate best --level NEVER", "NEVER"),
    ("compare a b", "checkpoints/a"),
    ("bench nowhere", "nowhere"),
    ("bench wst --option nonsense", "nonsense"),
    ("practice --set data.bars_file=nowhere.parquet", "nowhere.parquet"),
    ("live run --set live.environment=never", "live.environment"),
    ("live compare --state-dir nowhere", "nowhere"),
    ("live replay 2024-01-05 --state-dir nowhere", "nowhere"),
    ("emergency-close --yes --environment never", "environment"),
    ("status --stale-after 0", "--stale-after"),
    ("dashboard --port 99999", "--port"),
    ("dashboard --control", "SWT_DASHBOARD_TOKEN"),
    ("dashboard --host ::zz", "--host"),
    ("watchdog --daemon nobody", "nobody"),
    ("migrate config nowhere", "nowhere"),
    ("migrate state nowhere", "nowhere"),
    ("migrate checkpoint nowhere.pth", "nowhere.pth"),
    ("validator --port 99999", "--port"),
    ("train --health-port 99999", "--health-port"),
    ("data index nowhere.parquet", "nowhere.parquet"),
    ("data build nowhere.parquet", "nowhere.parquet"),
    ("data update", "data/GBP_JPY"),
    ("features build nowhere.parquet", "nowhere.parquet"),
    ("features verify nowhere.parquet", "nowhere.parquet"),
    ("demo --profile nowhere", "nowhere"),
    ("bench page --record nowhere.json", "nowhere.json"),
    ("container nobody", "nobody"),
    ("nonsense", "nonsense"),
)


@pytest.mark.parametrize(("line", "named"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_ends_with_2_names_it_and_has_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("SWT_DASHBOARD_TOKEN", "SWT_DASHBOARD_TOKEN_FILE", "SWT_STATE_DIR", "SWT_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "broken.parquet").write_text("nonsense")
    result = CliRunner().invoke(app, line.split(), env={"COLUMNS": "200"})
    ours = result.exception if not isinstance(result.exception, SystemExit) else None
    assert (result.exit_code if ours is None else getattr(ours, "exit_code", ours)) == 2
    text = result.output if ours is None else str(ours)
    assert named in text
    if ours is not None:
        assert "remedy" in text or "allowed" in text or "expected" in text
