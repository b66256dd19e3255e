"""The int8 evaluator: exact integers, close to float32, no row influences another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.random_network import random_network
from swt_core.config.models import ModelConfig, SearchConfig
from swt_core.errors import ConfigError, IncompatibleModelError
from swt_core.position import ACTIONS
from swt_inference.devices import create_evaluator
from swt_inference.engine import InferenceEngine
from swt_inference.int8_evaluator import Int8Evaluator
from swt_inference.int8_kernels import int8_matrix, quantise_nb
from swt_inference.int8_tiles import HAS_VNNI, plain_products_nb, vnni_products_nb
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_models.export import export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

SHAPE = ObservationShape(128, 9)
VARIANTS: dict[str, tuple[ObservationShape, dict[str, Any]]] = {
    "default": (SHAPE, {}),
    "deep": (
        SHAPE,
        {"chance": "codebook", "residual_blocks": 2, "support_bins": 51, "value_transform": True},
    ),
    "odd sizes": (SHAPE, {"hidden_dim": 50, "support_bins": 21}),
    "micro": (ObservationShape.for_profile("micro", 288, 6), {"hidden_dim": 128}),
}
PRODUCTS = {"plain": plain_products_nb}
if HAS_VNNI:
    PRODUCTS["vnni"] = vnni_products_nb


@pytest.mark.parametrize("way", PRODUCTS)
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 15, 24])
def test_products_are_the_exact_integers(way: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    # The extremes too: nothing may saturate on the way.
    inputs = rng.integers(0, 256, (24, 64)).astype(np.uint8)
    inputs[0] = 255
    matrix = int8_matrix(np.concatenate([np.ones((64, 40)), -np.ones((64, 30))], axis=1).astype(np.float32))
    integers = np.concatenate([np.full((64, 40), 127), np.full((64, 30), -127)], axis=1)
    sums = np.full((24, matrix.scale.size), 7, np.int32)
    PRODUCTS[way](rows, inputs, matrix.weight, sums)
    assert np.array_equal(sums[:rows, :70], inputs[:rows].astype(np.int64) @ integers)
    assert (sums[:rows, 70:] == 0).all()
    assert (sums[rows:] == 7).all()


def test_a_quantised_row_is_right_to_half_a_step_and_keeps_zero_in_its_range() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((6, 50)).astype(np.float32)
    values[1] = np.abs(values[1]) + 5
    values[2] = -np.abs(values[2]) - 5
    values[3] = 0
    inputs, low, step = np.zeros((6, 52), np.uint8), np.zeros(6, np.float32), np.zeros(6, np.float32)
    quantise_nb(6, values, inputs, low, step)
    back = low[:, None] + step[:, None] * inputs[:, :50]
    assert (np.abs(back - values) <= step[:, None] * 0.51 + 1e-6).all()
    assert (low <= 0).all()
    assert (inputs[:, 50:] == 0).all()


def evaluators(variant: str) -> tuple[Int8Evaluator, NumbaEvaluator, ObservationShape, ModelConfig]:
    shape, settings = VARIANTS[variant]
    model = ModelConfig(**settings)
    weights = export_weights(random_network(model, shape, seed=1))
    return Int8Evaluator(weights, model, shape), NumbaEvaluator(weights, model, shape), shape, model


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_output_is_near_float32(variant: str) -> None:
    fast, exact, shape, _ = evaluators(variant)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((33, shape.size)).astype(np.float32)
    actions = rng.integers(0, ACTIONS, 33).astype(np.int32)
    codes = rng.integers(0, 3, 33).astype(np.int32)
    root = exact.root(observations)
    after = exact.afterstates(root.embeddings, actions)
    # Each network from float32's own input: what is measured is one quantisation, not their sum.
    pairs = [
        (fast.root(observations), root),
        (fast.afterstates(root.embeddings, actions), after),
        (fast.states(after.embeddings, codes), exact.states(after.embeddings, codes)),
    ]
    for mine, theirs in pairs:
        for name, array in mine._asdict().items():
            wanted = getattr(theirs, name)
            spread = max(float(wanted.std()), 1e-6)
            assert np.abs(array - wanted).mean() <= 0.1 * spread, name
    assert np.array_equal(pairs[0][0].embeddings, root.embeddings)


def test_a_row_is_the_same_bits_in_every_batch() -> None:
    fast, _, shape, _ = evaluators("default")
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((32, shape.size)).astype(np.float32)
    actions = rng.integers(0, ACTIONS, 32).astype(np.int32)
    whole = fast.root(observations)
    after = fast.afterstates(whole.embeddings, actions)
    for count in (1, 2, 3, 5, 8, 13, 31):
        part = fast.root(observations[:count])
        for mine, theirs in zip(part, whole, strict=True):
            assert np.array_equal(mine, theirs[:count]), count
        for mine, theirs in zip(
            fast.afterstates(whole.embeddings[:count], actions[:count]), after, strict=True
        ):
            assert np.array_equal(mine, theirs[:count]), count


def test_the_configuration_chooses_it_and_the_default_does_not(
    network: StochasticMuZeroNetwork, observations: NDArray[np.float32], masks: NDArray[np.bool_]
) -> None:
    plain = InferenceEngine.from_network(network, SearchConfig())
    small = InferenceEngine.from_network(network, SearchConfig(evaluator="int8"))
    assert isinstance(plain.evaluator, NumbaEvaluator)
    assert isinstance(small.evaluator, Int8Evaluator)
    mine, theirs = small.decide_batch(observations, masks), plain.decide_batch(observations, masks)
    # Random weights: the hardest case, nothing stands out.
    assert (mine.actions == theirs.actions).mean() >= 0.8
    alone = small.decide(observations[3], masks[3])
    assert alone.visit_counts == tuple(mine.visit_counts[3])


def test_int8_off_the_cpu_and_weights_that_are_not_finite_are_refused() -> None:
    model = ModelConfig(hidden_dim=32, support_bins=21)
    weights = export_weights(random_network(model, SHAPE))
    with pytest.raises(ConfigError, match="int8"):
        create_evaluator(weights, model, SHAPE, "torch-cpu", "int8")
    weights["prediction.trunk.0.first.weight"][0, 0] = np.nan
    with pytest.raises(IncompatibleModelError, match="not finite"):
        create_evaluator(weights, model, SHAPE, "cpu", "int8")
