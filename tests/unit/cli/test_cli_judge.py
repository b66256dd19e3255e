"""`swt validate` and `swt compare` with real checkpoints: a verdict, a comparison, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.random_network import random_network
from swt_cli.main import app
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.workspace import Workspace
from swt_environments.dataset import index_and_split, load_bars
from swt_features.processor import FeatureProcessor
from swt_models.architecture import architecture_name, describe
from swt_models.export import export_weights
from swt_models.observation import ObservationShape
from swt_validation.ledger import read_ledger

SETTINGS = {
    "data": {"market": "regimes", "market_days": 60, "session_bars": 90},
    "model": {"hidden_dim": 16, "support_bins": 11},
    "trading": {"minimum_confidence": 0.3, "search": {"simulations": 2}},
    "validation": {"quick_sessions": 4, "monte_carlo_runs": 50, "permutations": 99},
}
WORDS = [
    word
    for section, keys in SETTINGS.items()
    for key, value in keys.items()
    for word in ("--set", f"{section}.{key}={json.dumps(value) if isinstance(value, dict) else value}")
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two checkpoints that were trained on the configured market's first part."""
    config = SWTConfig.model_validate(SETTINGS)
    bars, source, synthetic = load_bars(config.data)
    _, _, splits = index_and_split(config.data, bars)
    features = FeatureProcessor(config.features, bars.instrument)
    shape = ObservationShape.for_profile(
        config.features.profile, features.market_size, features.position_size
    )
    ranges = {
        f"{name}_{edge}_s": getattr(getattr(splits, name), f"{edge}_s")
        for name in ("train", "validation", "test")
        for edge in ("start", "end")
    }
    data = CheckpointData(
        source=source, sha256=bars.sha256, instrument="GBP_JPY", synthetic=synthetic, **ranges
    )
    workspace = Workspace(tmp_path_factory.mktemp("judged"))
    for episode in (1, 2):
        metadata = CheckpointMetadata(
            architecture=architecture_name(config.model, shape),
            feature_profile=config.features.profile,
            feature_version=features.version,
            episode=episode,
            version="1.0.0",
            config_hash="c",
            data=data,
            model_settings=describe(config.model, shape),
            created_s=float(episode),
        )
        weights = export_weights(random_network(config.model, shape, episode, 0.5))
        CheckpointStore(workspace.checkpoints).save(weights, metadata)
    return workspace.root


def swt(root: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, [*words, "--state-dir", str(root), "--workers", "1", *WORDS])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "checkpoints").glob("*.safetensors"))


def test_a_checkpoint_is_judged_once_and_its_verdict_is_shown_again(root: Path) -> None:
    first = json.loads(swt(root, "validate", "newest", "--level", "QUICK", "--json").stdout)
    assert (first["level"], first["decision"]) == ("QUICK", "REJECT")
    assert first["checkpoint_name"] == names(root)[-1]
    report = root / "validation_state" / first["checkpoint_sha256"] / "QUICK"
    assert (report / "report.pdf").read_bytes()[:5] == b"%PDF-"
    again = swt(root, "validate", "newest", "--level", "quick")
    for part in ("REJECT", "judged before", "p-value, deflated Sharpe", "report.html"):
        assert part in again.stdout, part
    assert len(read_ledger(root / "validation_state")) == 1


def test_two_checkpoints_are_compared_and_both_count_as_tried(root: Path, tmp_path: Path) -> None:
    before = len(read_ledger(root / "validation_state"))
    pages = ["--pdf", str(tmp_path / "c.pdf"), "--html", str(tmp_path / "c.html")]
    words = [*names(root), "--mode", "sessions", "--sessions", "3"]
    shown = swt(root, "compare", *words, *pages).stdout
    for part in ("first", "second", "95 % interval", *(name[:20] for name in names(root))):
        assert part in shown, part
    assert (tmp_path / "c.pdf").read_bytes()[:5] == b"%PDF-"
    assert "<html" in (tmp_path / "c.html").read_text()
    found = json.loads(swt(root, "compare", *words, "--json").stdout)
    assert [found["first"]["name"], found["second"]["name"]] == names(root)
    assert len(read_ledger(root / "validation_state")) == before + 4
