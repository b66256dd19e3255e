"""`swt migrate` and `swt container` on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swt_cli import main as entry
from swt_cli.main import app
from swt_core.config.loading import PACKAGED_CONFIG_DIR
from swt_core.errors import CheckpointError, ConfigError

RUN = CliRunner()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "old" / "training_state"
    place.mkdir(parents=True)
    (place / "resume.json").write_text('{"schema_version": 1}')
    return place.parent


def test_a_dry_run_shows_and_changes_nothing(root: Path) -> None:
    result = RUN.invoke(app, ["migrate", "state", str(root), "--dry-run"])
    assert result.exit_code == 0
    assert "1 versioned files, 0 to change" in result.output
    assert [path.name for path in root.parent.iterdir()] == ["old"]


def test_in_place_the_backup_lies_beside_it(root: Path) -> None:
    result = RUN.invoke(app, ["migrate", "state", str(root), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert Path(found["backup"]).parent == root.parent
    assert Path(found["backup"]).exists()


def test_a_copy_goes_where_it_is_told(root: Path, tmp_path: Path) -> None:
    result = RUN.invoke(app, ["migrate", "state", str(root), "--to", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "new" / "training_state" / "resume.json").exists()
    assert "0 checkpoints verified" in result.output


def test_a_newer_file_exits_with_1_even_in_a_dry_run(root: Path) -> None:
    (root / "training_state" / "resume.json").write_text('{"schema_version": 99}')
    assert RUN.invoke(app, ["migrate", "state", str(root), "--dry-run"]).exit_code == 1


def test_configuration_is_shown_and_written_on_request(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["migrate", "config", str(PACKAGED_CONFIG_DIR)])
    assert shown.exit_code == 0
    done = RUN.invoke(
        app, ["migrate", "config", str(PACKAGED_CONFIG_DIR), "--to", str(tmp_path / "new"), "--json"]
    )
    assert json.loads(done.output)["written"] == str(tmp_path / "new")
    assert (tmp_path / "new" / "training.yaml").exists()


def test_weights_of_the_configured_network_become_a_checkpoint(tmp_path: Path) -> None:
    import torch

    from swt_core.checkpoints import CheckpointStore
    from swt_core.config import SWTConfig
    from swt_core.instruments import instrument
    from swt_features.processor import FeatureProcessor
    from swt_models.networks import StochasticMuZeroNetwork
    from swt_models.observation import ObservationShape

    config = SWTConfig.model_validate({"model": {"hidden_dim": 16, "support_bins": 11}})
    features = FeatureProcessor(config.features, instrument("GBP_JPY"))
    shape = ObservationShape.for_profile("swt", features.market_size, features.position_size)
    torch.save(StochasticMuZeroNetwork(config.model, shape).state_dict(), tmp_path / "a.pth")
    words = ["migrate", "checkpoint", str(tmp_path / "a.pth"), "--state-dir", str(tmp_path / "state")]
    words += ["--set", "model.hidden_dim=16", "--set", "model.support_bins=11"]
    assert RUN.invoke(app, [*words, "--dry-run"]).exit_code == 0
    assert not (tmp_path / "state").exists()
    result = RUN.invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "swt train --from" in result.output
    assert len(CheckpointStore(tmp_path / "state" / "checkpoints").list()) == 1
    assert "tensors" in json.loads(RUN.invoke(app, [*words, "--json"]).output)
    refused = RUN.invoke(app, words[:-4])
    assert isinstance(refused.exception, CheckpointError)
    assert refused.exception.exit_code == 2


def test_a_container_needs_a_role() -> None:
    result = RUN.invoke(app, ["container", "cook"], env={"SWT_STATE_DIR": "."})
    assert isinstance(result.exception, ConfigError)


def test_only_inside_a_container_do_the_stacks_variables_mean_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["swt", "--version"])
    monkeypatch.setenv("OANDA_API_KEY", "key")
    monkeypatch.delenv("SWT_CONTAINER", raising=False)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 0
    monkeypatch.setenv("SWT_CONTAINER", "live")
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    assert "OANDA_ACCOUNT_ID" in capsys.readouterr().err
