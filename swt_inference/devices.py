"""Which evaluator runs a set of weights: numba on the CPU, torch on an accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import ModelConfig
from swt_core.errors import ConfigError
from swt_inference.evaluator import Evaluator
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_models.observation import ObservationShape


def create_evaluator(
    weights: Mapping[str, NDArray[np.float32]],
    model: ModelConfig,
    observation: ObservationShape,
    device: str = "cpu",
    arithmetic: Literal["float32", "int8"] = "float32",
) -> Evaluator:
    """The evaluator for ``device``.

    ``cpu`` is the numba evaluator; ``auto`` too, because one decision at a time is faster there than on an
    accelerator; anything else is a torch device (``cuda``, ``mps``; ``torch-cpu``: the reference).
    ``arithmetic`` ``int8`` exists on the CPU alone.

    Raises:
        ConfigError: torch does not know or have the device, or it has no such arithmetic.
    """
    if device in ("cpu", "auto"):
        if arithmetic == "int8":
            from swt_inference.int8_evaluator import Int8Evaluator

            return Int8Evaluator(weights, model, observation)
        return NumbaEvaluator(weights, model, observation)
    if arithmetic != "float32":
        raise ConfigError(
            f"trading.search.evaluator is {arithmetic!r}, which device {device!r} does not have",
            remedy="use device cpu, or trading.search.evaluator=float32",
        )
    # Here, not above: actors, validation and live trading start seconds earlier without torch.
    import torch

    from swt_inference.torch_evaluator import TorchEvaluator
    from swt_models.export import load_weights
    from swt_models.networks import StochasticMuZeroNetwork

    name = "cpu" if device == "torch-cpu" else device
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {device!r} cannot be used: {reason}", remedy="use device cpu") from error
    network = StochasticMuZeroNetwork(model, observation)
    load_weights(network, weights)
    return TorchEvaluator(network, name)
