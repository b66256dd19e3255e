"""Small random models and roots that the inference tests share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.random_network import random_network
from swt_core.config.models import ModelConfig
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

SHAPE = ObservationShape(128, 9)


@pytest.fixture(scope="session")
def network() -> StochasticMuZeroNetwork:
    """A random network of the default architecture."""
    return random_network(ModelConfig(), SHAPE, seed=3)


@pytest.fixture(scope="session")
def observations() -> NDArray[np.float32]:
    """64 observations of the default profile."""
    return np.random.default_rng(5).standard_normal((64, SHAPE.size)).astype(np.float32)


@pytest.fixture(scope="session")
def masks() -> NDArray[np.bool_]:
    """Legal actions of 64 roots: flat ones, ones in a position, flat ones that may not enter."""
    rows = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 0, 0, 0]], np.bool_)
    return np.tile(rows, (16, 1))
