"""The learner's optimizer: Muon for the square matrices inside residual blocks, AdamW for everything else.

Muon (Jordan et al. 2024) brings the singular values of a matrix's momentum near each other before it takes
the step, so that a layer's strong directions do not outrun all others; AdamW keeps the embeddings, norms and
heads. Muon's arithmetic is bf16 whatever ``training.bfloat16`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swt_core.config import TrainingConfig
from swt_core.errors import StateError
from swt_models.blocks import ResidualBlock
from swt_training.resume import optimizer_arrays, prefixed, restore_optimizer, under

Arrays = dict[str, NDArray[Any]]

# Of the usual five Newton-Schulz steps three do here, for half the time: directions far weaker than the
# rest stay shorter.
NEWTON_SCHULZ_STEPS = 3
MOMENTUM = 0.9
ADAM, MUON = "adam", "muon"


class LearnerOptimizer:
    """Both optimizers as one.

    Args:
        network: whose parameters are optimised.
        training: learning rate, weight decay and ``hidden_rate_factor``; at 0 AdamW optimises everything.
    """

    def __init__(self, network: nn.Module, training: TrainingConfig) -> None:
        self._factor = training.hidden_rate_factor
        hidden = list(hidden_matrices(network)) if self._factor else []
        known = {id(parameter) for parameter in hidden}
        rest = [parameter for parameter in network.parameters() if id(parameter) not in known]
        rate = training.learning_rate
        adam = torch.optim.AdamW(
            [
                {"params": [p for p in rest if p.ndim > 1], "weight_decay": training.weight_decay},
                {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=rate,
            betas=(0.9, 0.99),
        )
        self._parts: dict[str, torch.optim.Optimizer] = {ADAM: adam}
        if hidden:
            self._parts[MUON] = torch.optim.Muon(
                hidden,
                lr=rate * self._factor,
                # Decay is taken times the rate: the matrices shrink as fast as those of AdamW.
                weight_decay=training.weight_decay / self._factor,
                momentum=MOMENTUM,
                ns_steps=NEWTON_SCHULZ_STEPS,
            )

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for part in self._parts.values():
            part.zero_grad(set_to_none=True)

    def step(self, learning_rate: float) -> None:
        """One step at ``learning_rate``; see `rates`."""
        for name, rate in self.rates(learning_rate).items():
            for group in self._parts[name].param_groups:
                group["lr"] = rate
            self._parts[name].step()

    def rates(self, learning_rate: float) -> dict[str, float]:
        """What ``adam`` and, if used, ``muon`` step at: the latter at ``hidden_rate_factor`` times it."""
        return {name: learning_rate * (self._factor if name == MUON else 1.0) for name in self._parts}

    def moments(self, parameter: Tensor) -> Mapping[str, Any]:
        """What is remembered of a parameter's gradients; nothing before its first step."""
        for part in self._parts.values():
            if parameter in part.state:
                found: Mapping[str, Any] = part.state[parameter]
                return found
        return {}

    def forget(self, parameter: Tensor | None = None) -> None:
        """Forget the gradients of one parameter, or of all."""
        for part in self._parts.values():
            if parameter is None:
                part.state.clear()
            else:
                part.state.pop(parameter, None)

    def arrays(self) -> Arrays:
        """All moments and step counts, to be saved."""
        return {
            key: array
            for name, part in self._parts.items()
            for key, array in prefixed(name, optimizer_arrays(part)).items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The inverse of `arrays`.

        Raises:
            StateError: they are those of other optimizers.
        """
        if unknown := {key.partition("/")[0] for key in arrays} - set(self._parts):
            raise StateError(
                f"the saved optimizer has a part {min(unknown)!r} that this configuration has not",
                remedy="restore the run's configuration, or begin another with --from",
            )
        for name, part in self._parts.items():
            restore_optimizer(part, under(name, arrays))


def hidden_matrices(network: nn.Module) -> Iterator[Tensor]:
    """The square weights of all residual blocks."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            yield block.first.weight
            yield block.second.weight
