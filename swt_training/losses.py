"""Losses that several parts of a step share."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor

from swt_models.networks import StochasticMuZeroNetwork
from swt_training.placement import placed

Float64 = NDArray[np.float64]

DIFFERENCE_SCALE_PIPS = 5.0


def cross_entropy(network: StochasticMuZeroNetwork, logits: Tensor, values: Float64) -> Tensor:
    """``[B]`` cross-entropy of value or reward logits to the two-hot weights of ``values`` (pips)."""
    target = network.support.two_hot(placed(np.ascontiguousarray(values), logits.device))
    return -(target * torch.log_softmax(logits.float(), dim=-1)).sum(-1)


def sibling_loss(values: Tensor, wanted: Float64, legal: NDArray[np.bool_]) -> Tensor:
    """Huber loss of differences within each row: what a choice rests on.

    Cross-entropy hardly feels it: shifting a distribution that is 40 pips wide by the 4 pips of a spread
    is worth 0.005 nats, yet decides whether to trade.

    Args:
        values: ``[n, k]`` pips, with gradient. wanted: ``[n, k]`` pips. legal: ``[n, k]`` what counts.
    """
    counted = placed(legal, values.device).float()
    error = (values - placed(wanted, values.device).float()) / DIFFERENCE_SCALE_PIPS * counted
    centred = (error - error.sum(-1, keepdim=True) / counted.sum(-1, keepdim=True)) * counted
    loss = nnf.huber_loss(centred, torch.zeros_like(centred), reduction="sum", delta=2.0)
    return loss / counted.sum()
