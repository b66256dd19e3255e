"""The numba forward equals torch, and no row of a batch influences another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.random_network import random_network
from swt_core.config.models import ModelConfig
from swt_core.errors import ConfigError, IncompatibleModelError
from swt_core.position import ACTIONS
from swt_inference.devices import create_evaluator
from swt_inference.kernels import PADDING, expected_value_nb, peak_nb
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_inference.torch_evaluator import TorchEvaluator
from swt_models.architecture import chance_codes
from swt_models.export import export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

VARIANTS: dict[str, tuple[ObservationShape, dict[str, Any]]] = {
    "default": (ObservationShape(128, 9), {}),
    "codebook": (ObservationShape(128, 9), {"chance": "codebook", "residual_blocks": 2}),
    "small transformed support": (ObservationShape(128, 9), {"support_bins": 51, "value_transform": True}),
    "wide": (ObservationShape(128, 9), {"hidden_dim": 512, "chance_outcomes": 7}),
    "narrow": (
        ObservationShape(330, 9),
        {"hidden_dim": 48, "support_bins": 3, "support_min_pips": -5, "support_max_pips": 5},
    ),
    "micro": (ObservationShape.for_profile("micro", 288, 6), {"hidden_dim": 128}),
}


def evaluators(variant: str) -> tuple[NumbaEvaluator, TorchEvaluator, ObservationShape, ModelConfig]:
    shape, settings = VARIANTS[variant]
    model = ModelConfig(**settings)
    network = random_network(model, shape, seed=1)
    return NumbaEvaluator(export_weights(network), model, shape), TorchEvaluator(network), shape, model


def walk(evaluator: Any, observations: Any, actions: Any, codes: Any) -> list[Any]:
    root = evaluator.root(observations)
    afterstates = evaluator.afterstates(root.embeddings, actions)
    return [root, afterstates, evaluator.states(afterstates.embeddings, codes)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_numba_values_are_torchs_within_a_ten_thousandth(variant: str) -> None:
    fast, reference, shape, model = evaluators(variant)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((32, shape.size)).astype(np.float32)
    actions = rng.integers(0, ACTIONS, 32).astype(np.int32)
    codes = rng.integers(0, chance_codes(model), 32).astype(np.int32)
    found = walk(fast, observations, actions, codes)
    wanted = walk(reference, observations, actions, codes)
    for mine, theirs in zip(found, wanted, strict=True):
        for name, array in mine._asdict().items():
            scale = np.maximum(1.0, np.abs(getattr(theirs, name)))
            assert np.abs((array - getattr(theirs, name)) / scale).max() <= 1e-4, name


@pytest.mark.parametrize("variant", ["default", "micro"])
def test_a_rows_evaluation_is_the_same_bits_in_every_batch(variant: str) -> None:
    fast, _, shape, model = evaluators(variant)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((64, shape.size)).astype(np.float32)
    actions = rng.integers(0, ACTIONS, 64).astype(np.int32)
    codes = rng.integers(0, chance_codes(model), 64).astype(np.int32)
    whole = walk(fast, observations, actions, codes)
    for count in range(1, 64):
        for part, batch in zip(
            walk(fast, observations[:count], actions[:count], codes[:count]), whole, strict=True
        ):
            for mine, theirs in zip(part, batch, strict=True):
                assert np.array_equal(mine, theirs[:count]), count


def test_the_scalar_of_a_head_survives_extreme_logits() -> None:
    atoms = np.zeros(32, np.float32)
    atoms[:21] = np.linspace(-10, 10, 21)
    powers = np.empty(32, np.float32)
    for height in (0.0, 50.0, 1e4, -1e4):
        logits = np.full(32, PADDING)
        logits[:21] = 0.0
        logits[13] = height
        weights = np.exp(logits[:21].astype(np.float64) - logits[:21].max())
        wanted = float((weights * atoms[:21]).sum() / weights.sum())
        assert expected_value_nb(logits, atoms, powers) == pytest.approx(wanted, abs=1e-5)


def test_the_peak_is_the_maximum_wherever_it_lies() -> None:
    scratch = np.empty(304, np.float32)
    for size in (16, 32, 48, 608):
        for place in range(size):
            values = np.full(size, -3, np.float32)
            values[place] = 2
            assert peak_nb(values, scratch) == 2.0


def test_weights_of_another_architecture_are_refused_by_name() -> None:
    shape, _ = VARIANTS["default"]
    weights = export_weights(random_network(ModelConfig(hidden_dim=64), shape))
    with pytest.raises(IncompatibleModelError, match="representation"):
        NumbaEvaluator(weights, ModelConfig(), shape)
    with pytest.raises(IncompatibleModelError, match="temporal"):
        NumbaEvaluator(weights, ModelConfig(hidden_dim=64), VARIANTS["micro"][0])


def test_the_device_decides_which_evaluator_runs() -> None:
    shape, _ = VARIANTS["default"]
    model = ModelConfig(hidden_dim=32, support_bins=21)
    weights = export_weights(random_network(model, shape))
    assert isinstance(create_evaluator(weights, model, shape, "auto"), NumbaEvaluator)
    assert isinstance(create_evaluator(weights, model, shape, "torch-cpu"), TorchEvaluator)
    with pytest.raises(ConfigError, match="device"):
        create_evaluator(weights, model, shape, "no-such-device")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_that_is_there_gets_the_network_and_agrees_with_numba(device: str) -> None:
    if not accelerator_present(device):
        pytest.skip(f"there is no {device} here")
    fast, _, shape, model = evaluators("default")
    weights = export_weights(random_network(model, shape, seed=1))
    there = create_evaluator(weights, model, shape, device)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((8, shape.size)).astype(np.float32)
    actions, codes = rng.integers(0, ACTIONS, 8).astype(np.int32), rng.integers(0, 3, 8).astype(np.int32)
    for mine, theirs in zip(
        walk(there, observations, actions, codes), walk(fast, observations, actions, codes), strict=True
    ):
        for array, wanted in zip(mine, theirs, strict=True):
            assert np.allclose(array, wanted, atol=1e-3 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_that_is_absent_is_refused_with_a_remedy(device: str) -> None:
    if accelerator_present(device):
        pytest.skip(f"there is a {device} here")
    shape, _ = VARIANTS["default"]
    model = ModelConfig(hidden_dim=32, support_bins=21)
    with pytest.raises(ConfigError, match=f"'{device}' cannot be used.*\n.*device cpu"):
        create_evaluator(export_weights(random_network(model, shape)), model, shape, device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_the_network_is_sent_to_the_device_that_was_asked_for(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, _ = VARIANTS["default"]
    model = ModelConfig(hidden_dim=32, support_bins=21)
    sent: list[str] = []

    def to(self: StochasticMuZeroNetwork, where: str) -> StochasticMuZeroNetwork:
        sent.append(where)
        return self

    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *size, device=None, **more: zeros(*size, **more))
    monkeypatch.setattr(StochasticMuZeroNetwork, "to", to)
    found = create_evaluator(export_weights(random_network(model, shape)), model, shape, device)
    assert isinstance(found, TorchEvaluator)
    assert (found.device, sent) == (device, [device])


def accelerator_present(device: str) -> bool:
    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
