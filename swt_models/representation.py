"""Representation networks h: an observation becomes a normalised latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swt_core.config.models import ModelConfig
from swt_models.architecture import TCN_CHANNELS, TCN_DILATIONS, TCN_TAPS
from swt_models.blocks import ResidualStack, normalise
from swt_models.observation import ObservationShape


def representation_network(model: ModelConfig, observation: ObservationShape) -> nn.Module:
    """The network h that fits ``observation``."""
    if observation.kind == "temporal":
        return TemporalRepresentation(model, observation)
    return DirectRepresentation(model, observation)


class DirectRepresentation(nn.Module):
    """``[B, O]`` → Linear, LayerNorm, ReLU → residual blocks → latent ``[B, H]``; no fusion layer."""

    def __init__(self, model: ModelConfig, observation: ObservationShape) -> None:
        super().__init__()
        self.input = nn.Linear(observation.size, model.hidden_dim)
        self.input_norm = nn.LayerNorm(model.hidden_dim)
        self.dropout = nn.Dropout(model.dropout)
        self.trunk = ResidualStack(model.hidden_dim, model.residual_blocks)

    def forward(self, observations: Tensor) -> Tensor:
        hidden = torch.relu(self.input_norm(self.input(observations)))
        latent: Tensor = normalise(self.trunk(self.dropout(hidden)))
        return latent


class CausalLayer(nn.Module):
    """One residual TCN layer: a causal dilated convolution, LayerNorm over channels, ReLU.

    LayerNorm in place of BatchNorm: an observation's latent must not depend on its batch.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(TCN_TAPS, inputs, outputs))
        nn.init.normal_(self.weight, std=(2.0 / (TCN_TAPS * inputs)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.norm = nn.LayerNorm(outputs)
        self.residual = inputs == outputs

    def forward(self, series: Tensor) -> Tensor:
        """``[B, T, inputs]`` → ``[B, T, outputs]``; tap k sees the bar k·dilation before."""
        steps = series.shape[1]
        output = series @ self.weight[0]
        for tap in range(1, TCN_TAPS):
            shift = min(tap * self.dilation, steps)
            delayed = nn.functional.pad(series[:, : steps - shift], (0, 0, shift, 0))
            output = output + delayed @ self.weight[tap]
        output = torch.relu(self.norm(output + self.bias))
        return output + series if self.residual else output


class TemporalRepresentation(nn.Module):
    """TCN over ``[B, bars, columns]`` with attention pooling; the position part is merged after it."""

    def __init__(self, model: ModelConfig, observation: ObservationShape) -> None:
        super().__init__()
        self.shape = observation
        widths = (observation.columns,) + (TCN_CHANNELS,) * len(TCN_DILATIONS)
        self.layers = nn.ModuleList(
            CausalLayer(inputs, outputs, dilation)
            for inputs, outputs, dilation in zip(widths, widths[1:], TCN_DILATIONS, strict=False)
        )
        self.attention = nn.Linear(TCN_CHANNELS, 1)
        self.input = nn.Linear(TCN_CHANNELS + observation.position, model.hidden_dim)
        self.input_norm = nn.LayerNorm(model.hidden_dim)
        self.dropout = nn.Dropout(model.dropout)
        self.trunk = ResidualStack(model.hidden_dim, model.residual_blocks)

    def forward(self, observations: Tensor) -> Tensor:
        market = observations[:, : self.shape.market]
        series = market.reshape(-1, self.shape.bars, self.shape.columns)
        for layer in self.layers:
            series = layer(series)
        weights = torch.softmax(self.attention(series), dim=1)
        pooled = (weights * series).sum(dim=1)
        merged = torch.cat([pooled, observations[:, self.shape.market :]], dim=1)
        hidden = torch.relu(self.input_norm(self.input(merged)))
        latent: Tensor = normalise(self.trunk(self.dropout(hidden)))
        return latent
