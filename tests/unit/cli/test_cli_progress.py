"""A bar on standard error while a command works, and nothing where there is no terminal."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console

from swt_cli import progress
from swt_cli.progress import working

CLI = Path(progress.__file__).parent
# Longer than some seconds on real bars, or over a network.
LONG = {
    "validate.py": {"validate", "_retrain"},
    "compare.py": {"compare"},
    "data.py": {"check", "import_", "index"},
    "data_broker.py": {"download", "update", "build"},
    "features.py": {"build", "verify", "plot"},
    "bench.py": {"bench"},
    "bench_all.py": {"measure_all"},
    "doctor.py": {"doctor"},
    "live.py": {"replay"},
    "migrate.py": {"state"},
    "practice.py": {"practice"},
}


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_bar_names_its_stage_and_its_share() -> None:
    console = terminal()
    with working("reading [bars]", console) as work:
        work.to(1, 4)
        work._shown.refresh()
        assert "reading [bars]" in shown(console)
        assert " 25%" in shown(console)
        work.stage("playing 12 weeks")
        work._shown.refresh()
        last = shown(console).rpartition("\r")[2]
        assert "playing 12 weeks" in last
        assert "%" not in last


def test_it_leaves_nothing_behind_and_is_silent_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=100)
    with working("reading", console) as work:
        work.stage("playing")
        work.to(1, 2)
    assert shown(console) == ""


def test_by_default_it_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with working("reading") as work:
        assert work._shown.console.stderr
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("file", sorted(LONG))
def test_commands_that_take_long_show_one(file: str) -> None:
    functions = {
        node.name: {
            ast.unparse(part.context_expr) for part in ast.walk(node) if isinstance(part, ast.withitem)
        }
        for node in ast.walk(ast.parse((CLI / file).read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    for name in LONG[file]:
        assert any(entered.startswith("working(") for entered in functions[name]), name
