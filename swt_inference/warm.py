"""Compile every kernel of search and evaluation once, into numba's cache."""

from __future__ import annotations

import numpy as np

from swt_core.config.models import ModelConfig, SearchConfig
from swt_inference.engine import InferenceEngine
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import MICRO_BARS, MICRO_COLUMNS, ObservationShape


def warm_inference() -> None:
    """Decide once with each algorithm and each kind of observation; seconds cold, at once when cached.

    Processes that are spawned afterwards find the kernels compiled.
    """
    model = ModelConfig(hidden_dim=16, support_bins=3)
    mask = np.array([True, True, True, False])
    for shape in (
        ObservationShape(8, 9),
        ObservationShape.for_profile("micro", MICRO_BARS * MICRO_COLUMNS, 6),
    ):
        network = StochasticMuZeroNetwork(model, shape)
        for algorithm in ("standard", "gumbel"):
            search = SearchConfig(simulations=4, algorithm=algorithm)
            engine = InferenceEngine.from_network(network, search)
            engine.decide(np.zeros(shape.size, np.float32), mask)
