"""Networks with random weights in every layer: untrained heads are zero, and would make search trivial."""

from __future__ import annotations

import torch

from swt_core.config.models import ModelConfig
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape


def random_network(
    model: ModelConfig, observation: ObservationShape, seed: int = 0, head_scale: float = 0.06
) -> StochasticMuZeroNetwork:
    """A network whose heads are random too; the same for the same seed."""
    network = StochasticMuZeroNetwork(model, observation)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            scale = head_scale if parameter.ndim > 1 else 0.1
            mean = 1.0 if name.endswith("norm.weight") else 0.0
            parameter.normal_(mean, scale, generator=generator)
    return network.eval()
