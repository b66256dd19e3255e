"""What the benchmark of int8 counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.int8 import run
from benchmarks.random_network import random_network
from benchmarks.registry import DESCRIPTIONS, BenchmarkOptions, load_benchmark
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointStore
from swt_core.config.models import ModelConfig
from swt_core.errors import ConfigError
from swt_inference.engine import InferenceEngine
from swt_inference.int8_evaluator import Int8Evaluator
from swt_models.architecture import architecture_name, describe
from swt_models.export import export_weights
from swt_models.observation import ObservationShape

MODEL, SHAPE = ModelConfig(hidden_dim=32, support_bins=21), ObservationShape(128, 9)
SETTINGS = {"sessions": "3", "data.market_days": "40", "data.session_bars": "30"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    ranges = {f"{name}_{edge}_s": 0 for name in ("train", "validation", "test") for edge in ("start", "end")}
    data = CheckpointData(source="x", sha256="0" * 64, instrument="GBP_JPY", synthetic=True, **ranges)
    metadata = CheckpointMetadata(
        architecture=architecture_name(MODEL, SHAPE),
        feature_profile="swt",
        feature_version="1",
        episode=1,
        version="1.0.0",
        config_hash="0" * 64,
        data=data,
        model_settings=describe(MODEL, SHAPE),
        created_s=0.0,
    )
    return CheckpointStore(tmp_path).save(export_weights(random_network(MODEL, SHAPE)), metadata).path


@pytest.mark.slow
def test_it_counts_the_decisions_that_int8_keeps_and_a_broken_int8_keeps_fewer(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BenchmarkOptions(quick=True, settings={**SETTINGS, "checkpoint": str(checkpoint)})
    found = run(options)
    assert found["decisions"] == 3 * 30
    kept = found["kept"]
    assert isinstance(kept, float)
    assert 0.8 <= kept <= 1.0
    assert {"ratio_b1", "ratio_b64", "pips_per_session", "pips_per_session_int8"} < set(found)

    decide = InferenceEngine.decide_batch

    def contrary(self: InferenceEngine, observations: object, masks: object, **more: object) -> object:
        if isinstance(self.evaluator, Int8Evaluator):
            observations = -observations  # type: ignore[operator]
        return decide(self, observations, masks, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(InferenceEngine, "decide_batch", contrary)
    worse = run(options)["kept"]
    assert isinstance(worse, float)
    assert worse < kept


def test_it_is_listed_and_refuses_what_it_does_not_know() -> None:
    assert "int8" in DESCRIPTIONS
    with pytest.raises(ConfigError, match="no benchmark setting 'sesions'"):
        load_benchmark("int8").run(BenchmarkOptions(settings={"sesions": "5"}))
    with pytest.raises(ConfigError, match="sessions"):
        run(BenchmarkOptions(settings={"sessions": "0"}))
