"""One root for everything: every command that reads or writes state takes --state-dir and SWT_STATE_DIR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from swt_cli.main import app

COMMANDS = (
    *("train", "buffer stats", "validate", "validator", "practice", "up", "status"),
    *("live run", "live start", "live stop", "live status", "live emergency-stop", "live replay"),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_it_takes_the_root_of_the_state_directories(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    assert options["--state-dir"].envvar == "SWT_STATE_DIR"
    assert options["--state-dir"].default == Path("state")
    assert not {"--live-state", "--checkpoints", "--validation-state", "--state"} & options.keys()


def test_the_environment_names_the_root(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["live", "start"], env={"SWT_STATE_DIR": str(tmp_path)})
    assert result.exit_code == 0
    assert (tmp_path / "live_state" / "START_TRADING").exists()
