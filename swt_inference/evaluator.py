"""The one interface through which search sees a model, and its slow reference on torch.

A model answers three questions, each for a batch of rows: what is this observation (h and f), what follows
from an action (φ and ψ), what follows from a chance code (g and f). Search keeps the returned embeddings
and hands them back; it never sees weights or torch.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from swt_core.position import ACTIONS
from swt_models.networks import StochasticMuZeroNetwork

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


class StateEvaluation(NamedTuple):
    """n decision states: embeddings ``[n, H]``, rewards ``[n]`` of the step into them (zero at a root),
    policy logits ``[n, A]``, values ``[n]``; pips."""

    embeddings: Float32
    rewards: Float32
    policy_logits: Float32
    values: Float32


class AfterstateEvaluation(NamedTuple):
    """n afterstates: embeddings ``[n, H]``, chance logits ``[n, C]``, values ``[n]``; pips."""

    embeddings: Float32
    chance_logits: Float32
    values: Float32


class Evaluator(Protocol):
    """A model as search sees it. Returned arrays are valid until the next call."""

    width: int
    actions: int
    codes: int

    def root(self, observations: Float32) -> StateEvaluation:
        """h and f of ``[n, O]``."""
        ...

    def afterstates(self, latents: Float32, actions: Int32) -> AfterstateEvaluation:
        """φ and ψ of latents ``[n, H]`` and actions ``[n]``."""
        ...

    def states(self, afterstates: Float32, codes: Int32) -> StateEvaluation:
        """g and f of afterstates ``[n, H]`` and chance codes ``[n]``."""
        ...


class TorchEvaluator:
    """The networks through torch, on any device: the reference, and the choice for large GPU batches."""

    def __init__(self, network: StochasticMuZeroNetwork, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        self.device = device
        self.width = network.model.hidden_dim
        self.actions = ACTIONS
        self.codes = network.codes

    @torch.inference_mode()
    def root(self, observations: Float32) -> StateEvaluation:
        latents = self.network.represent(self._tensor(observations))
        return self._state(latents, torch.zeros(len(latents), device=self.device))

    @torch.inference_mode()
    def afterstates(self, latents: Float32, actions: Int32) -> AfterstateEvaluation:
        one_hot = self._one_hot(actions, self.actions)
        afterstates = self.network.afterstate(self._tensor(latents), one_hot)
        chance_logits, value_logits = self.network.predict_afterstate(afterstates)
        values = self.network.support.scalar(value_logits)
        return AfterstateEvaluation(_array(afterstates), _array(chance_logits), _array(values))

    @torch.inference_mode()
    def states(self, afterstates: Float32, codes: Int32) -> StateEvaluation:
        one_hot = self._one_hot(codes, self.codes)
        latents, reward_logits = self.network.dynamics(self._tensor(afterstates), one_hot)
        return self._state(latents, self.network.support.scalar(reward_logits))

    def _state(self, latents: torch.Tensor, rewards: torch.Tensor) -> StateEvaluation:
        policy_logits, value_logits = self.network.predict(latents)
        values = self.network.support.scalar(value_logits)
        return StateEvaluation(_array(latents), _array(rewards), _array(policy_logits), _array(values))

    def _tensor(self, array: Float32) -> torch.Tensor:
        return torch.tensor(array, device=self.device)

    def _one_hot(self, indices: Int32, size: int) -> torch.Tensor:
        index = torch.tensor(indices, dtype=torch.long, device=self.device)
        return torch.nn.functional.one_hot(index, size).float()


def _array(tensor: torch.Tensor) -> Float32:
    return tensor.to("cpu", torch.float32).numpy()
