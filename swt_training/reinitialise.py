"""Optional re-initialisation of weights, against a network that has lost its ability to learn.

``shrink_perturb`` moves every weight towards those of a fresh network (Ash and Adams 2020: shrink, perturb,
repeat); ``heads`` starts the last layers anew (Nikishin et al. 2022). The optimizer forgets what it knew of
the weights that moved. Fresh weights derive from a seed, so a resumed run does the same.
"""

from __future__ import annotations

from typing import Literal

import torch

from swt_core.position import HOLD
from swt_models.networks import StochasticMuZeroNetwork
from swt_training.learner import INITIAL_HOLD_LOGIT, Learner

_HEAD = ".heads.outputs."


def due(before: int, after: int, every: int) -> bool:
    """Whether a multiple of ``every`` steps was passed between two counts; never when it is 0."""
    return every > 0 and after // every > before // every


def reinitialise(learner: Learner, kind: Literal["heads", "shrink_perturb"], keep: float, seed: int) -> None:
    """Re-initialise the learner's weights in place.

    Args:
        keep: share of each weight that ``shrink_perturb`` keeps; ``heads`` keeps nothing of the last layers.
        seed: of the fresh network.
    """
    network = learner.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = StochasticMuZeroNetwork(network.model, network.observation)
    fresh.bias_policy(HOLD, INITIAL_HOLD_LOGIT)
    new = dict(fresh.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if kind == "heads" and _HEAD not in name:
                continue
            share = keep if kind == "shrink_perturb" else 0.0
            parameter.mul_(share).add_(new[name].to(parameter.device), alpha=1.0 - share)
            learner.optimizer.forget(parameter)
    learner.average.restart()
