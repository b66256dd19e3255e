"""Weights in and out of torch, as flat float32 arrays named like the torch parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from swt_core.errors import IncompatibleModelError
from swt_models.architecture import parse_description
from swt_models.networks import StochasticMuZeroNetwork

Weights = dict[str, NDArray[np.float32]]


def export_weights(network: StochasticMuZeroNetwork) -> Weights:
    """Copies of all parameters, C-contiguous float32."""
    return {
        name: np.ascontiguousarray(value.detach().to("cpu", torch.float32).numpy().copy())
        for name, value in network.state_dict().items()
    }


def load_weights(network: StochasticMuZeroNetwork, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Copy ``weights`` into ``network``.

    Raises:
        IncompatibleModelError: names or shapes differ; the message names both sides.
    """
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != given:
        names = sorted(expected.items() ^ given.items())[0][0]
        raise IncompatibleModelError(
            f"weights do not fit the network: {names} is {given.get(names, 'absent')} in the checkpoint "
            f"and {expected.get(names, 'absent')} in the network",
            remedy="use the model configuration the checkpoint was trained with",
        )
    # A copy: torch warns about (and could write through) the read-only arrays of a memory-mapped file.
    tensors = {name: torch.tensor(np.asarray(value, np.float32)) for name, value in weights.items()}
    network.load_state_dict(tensors)


def network_from_description(description: Mapping[str, Any]) -> StochasticMuZeroNetwork:
    """An untrained network of the described architecture."""
    return StochasticMuZeroNetwork(*parse_description(description))
