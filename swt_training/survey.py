"""A whole batch seen without gradient, and the bars that then get one.

Path values need the policy at every bar and side, a gradient does not: neighbouring bars look almost
alike. So everything is surveyed without gradient, and the losses are taken at some bars of each session,
one drawn from each stretch of equal length: the mean over them is unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swt_models.networks import StochasticMuZeroNetwork
from swt_training.batches import SessionBatch
from swt_training.path_values import SIDES
from swt_training.placement import bfloat16_autocast, device_of, placed

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Values change slowly from bar to bar: the returns are bootstrapped at every fourth.
BOOTSTRAP_EVERY_BARS = 4
# So many rows at once stay in a processor's cache from layer to layer; a GPU takes all in one.
CHUNK_ROWS = 1024


@dataclass(frozen=True)
class Survey:
    """What the network says of a `SessionBatch` as it is.

    Attributes:
        policy: ``[S, T+1, 3, 4]`` action probabilities, 0 where illegal.
        latents: ``[S, T+1, 3, H]``, without gradient.
        bootstrap: ``[S, T+1, 3]`` values in pips at every `BOOTSTRAP_EVERY_BARS`-th bar and the last, else 0.
    """

    policy: Float64
    latents: Tensor
    bootstrap: Float64


def survey(network: StochasticMuZeroNetwork, batch: SessionBatch, bfloat16: bool) -> Survey:
    """Policy everywhere, values where returns are bootstrapped; leaves the network in training mode."""
    sessions, bars = batch.masks.shape[:2]
    network.eval()
    device = device_of(network)
    with torch.no_grad(), bfloat16_autocast(device, bfloat16):
        observations = placed(batch.observations.reshape(-1, batch.observations.shape[-1]), device)
        rows = CHUNK_ROWS if device.type == "cpu" else len(observations)
        found = [_latents(network, some) for some in torch.split(observations, rows)]
        latents, hidden = (torch.cat(parts) for parts in zip(*found, strict=True))
        logits = network.policy_logits(hidden).float().view(sessions, bars, SIDES, 4)
        policy = torch.softmax(logits.masked_fill(~placed(batch.masks, device), -1e9), dim=-1)
        hidden = hidden.view(sessions, bars, SIDES, -1)
        at = np.unique(np.append(np.arange(0, bars, BOOTSTRAP_EVERY_BARS), bars - 1))
        values = network.support.scalar(network.value_logits(hidden[:, at]))
    network.train()
    bootstrap = np.zeros((sessions, bars, SIDES))
    bootstrap[:, at] = values.cpu().numpy()
    return Survey(
        policy.cpu().numpy().astype(np.float64),
        latents.view(sessions, bars, SIDES, -1),
        bootstrap,
    )


def _latents(network: StochasticMuZeroNetwork, observations: Tensor) -> tuple[Tensor, Tensor]:
    latents = network.represent(observations)
    return latents, network.prediction_hidden(latents)


def values_now(network: StochasticMuZeroNetwork, observations: Float32, bfloat16: bool) -> Float64:
    """What the network as it is values states at, ``[..., O]`` → ``[...]`` pips, without gradient."""
    device, size = device_of(network), observations.shape[-1]
    network.eval()
    with torch.no_grad(), bfloat16_autocast(device, bfloat16):
        _, hidden = _latents(network, placed(observations.reshape(-1, size), device))
        found: NDArray[np.float32] = network.support.scalar(network.value_logits(hidden)).cpu().numpy()
    network.train()
    return found.astype(np.float64).reshape(observations.shape[:-1])


def last_first_bar(steps: int, share: float) -> int:
    """The latest bar that can be the first of those that `draw_bars` draws."""
    return int(_edges(steps, share)[1]) - 1


def draw_bars(sessions: int, steps: int, share: float, rng: np.random.Generator) -> Int64:
    """``[S, B]`` ascending bars of each session, one from each of B equal stretches of its ``steps``."""
    edges = _edges(steps, share)
    widths = np.diff(edges)
    drawn: Int64 = edges[:-1] + (rng.random((sessions, len(widths))) * widths).astype(np.int64)
    return drawn


def _edges(steps: int, share: float) -> Int64:
    return np.linspace(0, steps, max(1, round(share * steps)) + 1).astype(np.int64)
