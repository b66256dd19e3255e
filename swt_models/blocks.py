"""Parts that all five networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-5


def normalise(latent: Tensor) -> Tensor:
    """LayerNorm without parameters, after h, φ and g.

    MuZero scales each latent to [0, 1] by its extremes; here the gradient would pass through two of 256
    entries only, and one outlier would flatten the rest. Zero mean and unit variance bound the latent's
    norm just as well and keep all entries alive.
    """
    return nn.functional.layer_norm(latent, latent.shape[-1:], eps=NORM_EPSILON)


class ResidualBlock(nn.Module):
    """``x + W₂·relu(LayerNorm(W₁x + b₁)) + b₂``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.second = nn.Linear(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.second(torch.relu(self.norm(self.first(inputs))))


class ResidualStack(nn.Sequential):
    """``blocks`` residual blocks of one width."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__(*(ResidualBlock(width) for _ in range(blocks)))


class Heads(nn.Module):
    """``relu(LayerNorm(x))`` and one linear layer per output; the last layers start at zero.

    Zero heads make an untrained network predict 0 pips and a uniform policy: a neutral start for search.
    """

    def __init__(self, width: int, outputs: dict[str, int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.outputs = nn.ModuleDict({name: _zero_linear(width, size) for name, size in outputs.items()})

    def hidden(self, inputs: Tensor) -> Tensor:
        """What every output layer reads."""
        return torch.relu(self.norm(inputs))

    def output(self, name: str, hidden: Tensor) -> Tensor:
        """One output of `hidden`'s rows."""
        result: Tensor = self.outputs[name](hidden)
        return result

    def bias(self, name: str) -> Tensor:
        """The bias of one output layer."""
        layer = self.outputs[name]
        assert isinstance(layer, nn.Linear)
        return layer.bias

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        hidden = self.hidden(inputs)
        return {name: layer(hidden) for name, layer in self.outputs.items()}


class TrunkWithHeads(nn.Module):
    """A residual stack and the heads that read it."""

    def __init__(self, width: int, blocks: int, outputs: dict[str, int]) -> None:
        super().__init__()
        self.trunk = ResidualStack(width, blocks)
        self.heads = Heads(width, outputs)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.heads(self.trunk(inputs))
        return outputs


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
