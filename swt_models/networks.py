"""The five networks of Stochastic MuZero (Antonoglou et al. 2022) and the chance encoder.

h represents an observation, φ advances a latent by an action to an afterstate, g advances an afterstate by
a chance code to the next latent and a reward, f predicts policy and value of a latent, ψ predicts chance
prior and value of an afterstate. Latents are ``[B, H]`` and normalised after h, φ and g. Actions and codes
enter as one-hot rows through an embedding that is added to the latent, so a straight-through code keeps
its gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swt_core.config.models import ModelConfig
from swt_core.position import ACTIONS
from swt_models.architecture import chance_codes
from swt_models.blocks import ResidualStack, TrunkWithHeads, normalise
from swt_models.observation import ObservationShape
from swt_models.representation import representation_network
from swt_models.support import Support


class StochasticMuZeroNetwork(nn.Module):
    """All trainable parts; batched, differentiable, on any torch device."""

    def __init__(self, model: ModelConfig, observation: ObservationShape) -> None:
        super().__init__()
        self.model = model
        self.observation = observation
        self.support = Support.of(model)
        self.codes = chance_codes(model)
        width, blocks, bins = model.hidden_dim, model.residual_blocks, model.support_bins
        self.representation = representation_network(model, observation)
        self.prediction = TrunkWithHeads(width, blocks, {"value": bins, "policy": ACTIONS})
        self.action_embedding = nn.Linear(ACTIONS, width, bias=False)
        self.afterstate_dynamics = ResidualStack(width, blocks)
        self.afterstate_prediction = TrunkWithHeads(width, blocks, {"value": bins, "chance": self.codes})
        self.chance_embedding = nn.Linear(self.codes, width, bias=False)
        self.state_dynamics = TrunkWithHeads(width, blocks, {"reward": bins})
        for embedding in (self.action_embedding, self.chance_embedding):
            nn.init.normal_(embedding.weight, std=0.5)
        self.encoder = ChanceEncoder(model, observation) if model.chance == "codebook" else None
        self.projector = Projector(width) if model.consistency_weight > 0 else None

    def represent(self, observations: Tensor) -> Tensor:
        """h: ``[B, O]`` → latent ``[B, H]``."""
        latent: Tensor = self.representation(observations)
        return latent

    def predict(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """f: latent → policy logits ``[B, 4]``, value logits ``[B, bins]``."""
        outputs = self.prediction(latents)
        return outputs["policy"], outputs["value"]

    def prediction_hidden(self, latents: Tensor) -> Tensor:
        """f up to its heads, ``[B, H]``: for losses that need one head on all rows and the other on some."""
        return self.prediction.heads.hidden(self.prediction.trunk(latents))

    def policy_logits(self, hidden: Tensor) -> Tensor:
        """The policy head on `prediction_hidden`, ``[B, 4]``."""
        return self.prediction.heads.output("policy", hidden)

    def value_logits(self, hidden: Tensor) -> Tensor:
        """The value head on `prediction_hidden`, ``[B, bins]``."""
        return self.prediction.heads.output("value", hidden)

    def bias_policy(self, action: int, logit: float) -> None:
        """Start from a policy that prefers one action by ``logit``."""
        with torch.no_grad():
            self.prediction.heads.bias("policy")[action] = logit

    def afterstate(self, latents: Tensor, actions: Tensor) -> Tensor:
        """φ: latent and one-hot action ``[B, 4]`` → afterstate ``[B, H]``."""
        return normalise(self.afterstate_dynamics(latents + self.action_embedding(actions)))

    def predict_afterstate(self, afterstates: Tensor) -> tuple[Tensor, Tensor]:
        """ψ: afterstate → chance logits ``[B, C]``, value logits ``[B, bins]``."""
        outputs = self.afterstate_prediction(afterstates)
        return outputs["chance"], outputs["value"]

    def dynamics(self, afterstates: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """g: afterstate and one-hot code ``[B, C]`` → next latent ``[B, H]``, reward logits ``[B, bins]``."""
        hidden = self.state_dynamics.trunk(afterstates + self.chance_embedding(codes))
        return normalise(hidden), self.state_dynamics.heads(hidden)["reward"]

    def encode(self, next_observations: Tensor) -> tuple[Tensor, Tensor]:
        """Chance encoder: ``[B, O]`` → straight-through one-hot code and code probabilities, ``[B, C]``.

        Raises:
            RuntimeError: the model's chance is ``outcomes``: codes are observed, not encoded.
        """
        if self.encoder is None:
            raise RuntimeError("chance outcomes are observed: there is no encoder")
        code: tuple[Tensor, Tensor] = self.encoder(next_observations)
        return code

    def consistency_loss(self, latents: Tensor, targets: Tensor) -> Tensor:
        """SimSiam consistency of EfficientZero (Ye et al. 2021), ``[B]`` in [−1, 1]; targets are detached."""
        if self.projector is None:
            raise RuntimeError("model.consistency_weight is 0: there is no projector")
        loss: Tensor = self.projector(latents, targets)
        return loss


class ChanceEncoder(nn.Module):
    """Maps the *market part* of the next observation to one of C codes.

    The position part is left out: a code stands for what the market did, not for what the agent did.
    """

    def __init__(self, model: ModelConfig, observation: ObservationShape) -> None:
        super().__init__()
        self.market = observation.market
        self.layers = nn.Sequential(
            nn.Linear(observation.market, model.hidden_dim),
            nn.LayerNorm(model.hidden_dim),
            nn.ReLU(),
            ResidualStack(model.hidden_dim, model.residual_blocks),
            nn.Linear(model.hidden_dim, model.codebook_size),
        )

    def forward(self, next_observations: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = torch.softmax(self.layers(next_observations[:, : self.market]), dim=-1)
        hard = nn.functional.one_hot(probabilities.argmax(dim=-1), probabilities.shape[-1])
        hard = hard.to(probabilities.dtype)
        return hard + probabilities - probabilities.detach(), probabilities


def commitment_loss(codes: Tensor, probabilities: Tensor) -> Tensor:
    """‖c − c^e‖² per row, ``[B]``: pulls the encoder's probabilities to the code it chose."""
    return ((codes.detach() - probabilities) ** 2).sum(dim=-1)


class Projector(nn.Module):
    """Projection and prediction heads of the consistency loss."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
        )
        self.predict = nn.Sequential(
            nn.Linear(width, width // 2), nn.LayerNorm(width // 2), nn.ReLU(), nn.Linear(width // 2, width)
        )

    def forward(self, latents: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.project(targets)
        online = self.predict(self.project(latents))
        return -nn.functional.cosine_similarity(online, wanted, dim=-1)
