"""A model as search sees it, through torch: the slow reference, and any torch device."""

from __future__ import annotations

import torch

from swt_core.position import ACTIONS
from swt_inference.evaluator import AfterstateEvaluation, Float32, Int32, StateEvaluation
from swt_models.networks import StochasticMuZeroNetwork


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
