"""The model's losses: recorded bars unrolled with any legal actions, since all their outcomes are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor

from swt_core.position import HOLD
from swt_models.networks import StochasticMuZeroNetwork, commitment_loss
from swt_training.batches import SessionBatch
from swt_training.losses import cross_entropy, sibling_loss
from swt_training.path_values import FLAT, LONG, SHORT, SIDES
from swt_training.placement import placed
from swt_training.survey import Survey

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

MODEL_PARTS = (
    "afterstate_value",
    "chance",
    "commitment",
    "consistency",
    "reward",
    "model_value",
    "model_policy",
)


@dataclass(frozen=True)
class Unroll:
    """U roots with K actions each: indices into a `SessionBatch`.

    Attributes:
        sessions, steps: ``[U]`` session and bar of the root. columns: ``[U]`` which of the drawn bars it is.
        sides: ``[U, K+1]`` side before each action and after the last. actions: ``[U, K]``.
    """

    sessions: Int64
    columns: Int64
    steps: Int64
    sides: Int64
    actions: Int64


def draw_unroll(
    policy: Float64, masks: NDArray[np.bool_], bars: Int64, roots: int, count: int, rng: np.random.Generator
) -> Unroll:
    """Random roots on every side, then actions half from the policy and half uniform over the legal ones.

    Args:
        policy: ``[S, T+1, 3, 4]``. masks: the same shape or more sessions. bars: ``[S, B]`` possible roots.
        roots: U. count: K.
    """
    latest = policy.shape[1] - 1 - count
    columns = int(np.searchsorted(bars.max(axis=0), latest, side="right"))
    s = rng.integers(len(policy), size=roots)
    column = rng.integers(columns, size=roots)
    t = bars[s, column]
    sides = np.empty((roots, count + 1), np.int64)
    actions = np.empty((roots, count), np.int64)
    sides[:, 0] = rng.integers(SIDES, size=roots)
    for k in range(count):
        legal = masks[s, t + k, sides[:, k]].astype(np.float64)
        uniform = legal / legal.sum(-1, keepdims=True)
        mixed = 0.5 * policy[s, t + k, sides[:, k]] + 0.5 * uniform
        threshold = rng.random((roots, 1)) * mixed.sum(-1, keepdims=True)
        actions[:, k] = np.minimum((mixed.cumsum(-1) <= threshold).sum(-1), 3)
        sides[:, k + 1] = np.where(
            actions[:, k] == HOLD, sides[:, k], np.array([0, LONG, SHORT, FLAT])[actions[:, k]]
        )
    return Unroll(s, column, t, sides, actions)


def action_value_loss(
    network: StochasticMuZeroNetwork, latents: Tensor, wanted: Float64, legal: NDArray[np.bool_]
) -> Tensor:
    """Afterstate values of every legal action of some states: what search compares.

    Args:
        latents: ``[n, H]``, with gradient. wanted: ``[n, 4]`` pips. legal: ``[n, 4]``.
    """
    row, action = np.nonzero(legal)
    one_hot = nnf.one_hot(placed(action, latents.device), 4).float()
    _, logits = network.predict_afterstate(network.afterstate(latents[row], one_hot))
    values = torch.zeros(wanted.shape, device=latents.device)
    values[torch.from_numpy(row), torch.from_numpy(action)] = network.support.scalar(logits)
    return cross_entropy(network, logits, wanted[row, action]).mean() + sibling_loss(values, wanted, legal)


def unroll_losses(
    network: StochasticMuZeroNetwork,
    batch: SessionBatch,
    seen: Survey,
    unroll: Unroll,
    latent: Tensor,
    action_values: Float64,
    state_values: Float64,
) -> dict[str, Tensor]:
    """Losses of the model over K steps, each the mean over roots and steps, by `MODEL_PARTS`.

    Args:
        latent: ``[U, H]`` of the roots, with gradient.
        action_values: ``[U, K]`` what the afterstates are worth.
        state_values: ``[U, K+1]`` the network's own values of the bars that really followed: a target
            without noise for the latents after the root.
    """
    s, count, device = unroll.sessions, unroll.actions.shape[1], latent.device
    parts = dict.fromkeys(MODEL_PARTS, torch.zeros(()))
    for k in range(count):
        t, side, after = unroll.steps + k, unroll.sides[:, k], unroll.sides[:, k + 1]
        action = unroll.actions[:, k]
        afterstate = network.afterstate(latent, nnf.one_hot(placed(action, device), 4).float())
        chance_logits, afterstate_value = network.predict_afterstate(afterstate)
        if network.encoder is None:
            code = placed(batch.codes[s, t], device)
            code_one_hot = nnf.one_hot(code, network.codes).float()
        else:
            code_one_hot, probabilities = network.encode(placed(batch.observations[s, t + 1, after], device))
            code = code_one_hot.argmax(-1).detach()
            parts["commitment"] = parts["commitment"] + commitment_loss(code_one_hot, probabilities).mean()
        latent, reward_logits = network.dynamics(afterstate, code_one_hot)
        policy_logits, value_logits = network.predict(latent)
        if network.projector is not None:
            apart = network.consistency_loss(latent, seen.latents[s, t + 1, after]).mean()
            parts["consistency"] = parts["consistency"] + network.model.consistency_weight * apart
        rewards = batch.rewards[s, t, side, action]
        target = placed(seen.policy[s, t + 1, after], device).float()
        legal = placed(batch.masks[s, t + 1, after], device)
        log_policy = torch.log_softmax(policy_logits.float().masked_fill(~legal, -1e9), dim=-1)
        found = {
            "afterstate_value": cross_entropy(network, afterstate_value, action_values[:, k]).mean(),
            "chance": nnf.cross_entropy(chance_logits.float(), code),
            "reward": cross_entropy(network, reward_logits, rewards).mean(),
            "model_value": cross_entropy(network, value_logits, state_values[:, k + 1]).mean(),
            "model_policy": -(target * log_policy).sum(-1).mean(),
        }
        for name, loss in found.items():
            parts[name] = parts[name] + loss
    return {name: part / count for name, part in parts.items()}
