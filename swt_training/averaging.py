"""A running average of the learned weights: what actors play, what is judged and published.

Adam at a useful learning rate walks around the optimum, and a greedy policy feels every step of that walk;
the exponential average of its path stands still (Polyak and Juditsky 1992). It starts short, so that it
does not lag behind an agent that has just begun: after n steps it keeps ``min(decay, (1 + n)/(10 + n))``.
"""

from __future__ import annotations

import copy

import torch

from swt_models.export import Weights, export_weights, load_weights
from swt_models.networks import StochasticMuZeroNetwork


class WeightAverage:
    """The average of one network's weights over its learner steps.

    Args:
        network: the network that learns. decay: share of the average kept at each step; 0: no average.

    Attributes:
        network: with the averaged weights; without an average the learning network itself.
        updates: steps averaged since the last restart.
    """

    def __init__(self, network: StochasticMuZeroNetwork, decay: float) -> None:
        self._learning, self.decay, self.updates = network, decay, 0
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False) if decay else network

    def update(self) -> None:
        """Take in the weights of the step just made."""
        if not self.decay:
            return
        self.updates += 1
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.network.parameters()), list(self._learning.parameters()), 1.0 - kept
            )

    def restart(self) -> None:
        """The learning weights have jumped: average from here."""
        if self.decay:
            self.updates = 0
            self.network.load_state_dict(self._learning.state_dict())

    def weights(self) -> Weights:
        """The averaged weights, copied."""
        return export_weights(self.network)

    def restore(self, weights: Weights, updates: int) -> None:
        """Go on from a saved average."""
        if self.decay:
            load_weights(self.network, weights)
            self.updates = updates
