"""Compile every kernel of search and evaluation once, into numba's cache."""

from __future__ import annotations

import numpy as np

from swt_core.config.models import ModelConfig, SearchConfig
from swt_inference.engine import InferenceEngine
from swt_inference.int8_kernels import int8_matrix
from swt_inference.int8_tiles import plain_products_nb
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import MICRO_BARS, MICRO_COLUMNS, ObservationShape


def warm_inference() -> None:
    """Decide once with each algorithm, evaluator and kind of observation; seconds cold, at once when cached.

    Processes that are spawned afterwards find the kernels compiled.
    """
    model = ModelConfig(hidden_dim=16, support_bins=3)
    mask = np.array([True, True, True, False])
    for shape in (
        ObservationShape(8, 9),
        ObservationShape.for_profile("micro", MICRO_BARS * MICRO_COLUMNS, 6),
    ):
        network = StochasticMuZeroNetwork(model, shape)
        for search in (
            SearchConfig(simulations=4),
            SearchConfig(simulations=4, algorithm="gumbel"),
            SearchConfig(simulations=4, evaluator="int8"),
        ):
            engine = InferenceEngine.from_network(network, search)
            engine.decide(np.zeros(shape.size, np.float32), mask)
    # The one that this processor does not use is compiled too: a cache may be moved, and must be whole.
    matrix = int8_matrix(np.ones((4, 4), np.float32))
    inputs, sums = np.ones((2, 4), np.uint8), np.zeros((2, matrix.scale.size), np.int32)
    plain_products_nb(2, inputs, matrix.weight, sums)
