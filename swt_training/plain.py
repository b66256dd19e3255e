"""The plain algorithm: one gradient step of Stochastic MuZero as published (Antonoglou et al. 2022).

Policy targets are the search's visit shares, value targets λ- or n-step returns of the actions taken, reward
targets what they paid; nothing counterfactual, no path values. It is what the price-taker's advantage
(`swt_training.learner`) is measured against, and takes the rewards that are not Markov in (bar, side).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor

from swt_training.learner import Learner, LossParts
from swt_training.losses import cross_entropy
from swt_training.placement import bfloat16_autocast, placed
from swt_training.plain_batch import PlainBatch
from swt_training.returns import lambda_returns, n_step_returns

Float64 = NDArray[np.float64]

# MuZero halves the gradient that enters the dynamics at each unrolled step.
DYNAMICS_GRADIENT = 0.5


def plain_step(learner: Learner, batch: PlainBatch, rng: np.random.Generator) -> LossParts:
    """One optimizer step on recorded sessions; a step that is not finite is dropped and counted.

    Sessions chosen by their outcome teach the policy alone: returns, rewards and moves of lucky sessions
    are luckier than the market.
    """
    network, training = learner.network, learner.training
    network.train()
    sessions, steps = batch.actions.shape
    count, roots = training.unroll_steps, training.unroll_batch
    returns = value_targets(learner, batch)
    s, t = rng.integers(sessions, size=roots), rng.integers(steps - count, size=roots)
    device = learner.device
    unbiased = placed((s < sessions - batch.selected_by_outcome).astype(np.float32), device)
    names = ("policy", "value", "afterstate_value", "chance", "commitment", "consistency", "reward")
    parts = dict.fromkeys((*names, "model_policy", "model_value"), torch.zeros(()))

    def counted(losses: Tensor) -> Tensor:
        return (losses * unbiased).sum() / unbiased.sum().clamp_min(1.0)

    def predictions(latent: Tensor, at: NDArray[np.int64], prefix: str) -> None:
        policy_logits, value_logits = network.predict(latent)
        legal = placed(batch.masks[s, at], device)
        log_policy = torch.log_softmax(policy_logits.float().masked_fill(~legal, -1e9), dim=-1)
        target = placed(batch.policies[s, at], device)
        searched = target.sum(-1).clamp_max(1.0)
        loss = -(target * log_policy.clamp_min(-20.0)).sum(-1)
        parts[prefix + "policy"] = parts[prefix + "policy"] + loss.sum() / searched.sum().clamp_min(1.0)
        value = cross_entropy(network, value_logits, returns[s, at])
        parts[prefix + "value"] = parts[prefix + "value"] + counted(value)

    with bfloat16_autocast(device, training.bfloat16):
        latent = network.represent(placed(batch.observations[s, t], device))
        predictions(latent, t, "")
        for k in range(count):
            at = t + k
            one_hot = nnf.one_hot(placed(batch.actions[s, at], device), 4).float()
            afterstate = network.afterstate(latent, one_hot)
            chance_logits, afterstate_value = network.predict_afterstate(afterstate)
            following = placed(batch.observations[s, at + 1], device)
            if network.encoder is None:
                code = placed(batch.codes[s, at], device)
                code_one_hot = nnf.one_hot(code, network.codes).float()
            else:
                code_one_hot, probabilities = network.encode(following)
                code = code_one_hot.argmax(-1).detach()
                apart = ((code_one_hot.detach() - probabilities) ** 2).sum(-1)
                parts["commitment"] = parts["commitment"] + counted(apart)
            latent, reward_logits = network.dynamics(afterstate, code_one_hot)
            if network.projector is not None:
                with torch.no_grad():
                    real = network.represent(following)
                apart = network.consistency_loss(latent, real)
                parts["consistency"] = parts["consistency"] + network.model.consistency_weight * apart.mean()
            chance = nnf.cross_entropy(chance_logits.float(), code, reduction="none")
            q = cross_entropy(network, afterstate_value, returns[s, at])
            reward = cross_entropy(network, reward_logits, batch.rewards[s, at])
            parts["chance"] = parts["chance"] + counted(chance)
            parts["afterstate_value"] = parts["afterstate_value"] + counted(q)
            parts["reward"] = parts["reward"] + counted(reward)
            predictions(latent, at + 1, "model_")
            latent = DYNAMICS_GRADIENT * latent + (1.0 - DYNAMICS_GRADIENT) * latent.detach()
    parts = {name: part if name in ("policy", "value") else part / count for name, part in parts.items()}
    values = parts["value"] + parts["model_value"] + parts["afterstate_value"]
    others = ("policy", "model_policy", "chance", "commitment", "consistency", "reward")
    total = training.value_weight * values + sum((parts[name] for name in others), torch.zeros(()))
    norm, finite = learner.descend(total)
    learner.sessions_seen += sessions
    shares = np.clip(batch.policies, 1e-9, 1.0)
    return LossParts(
        total=float(total.detach()),
        action_value=0.0,
        search_policy=float(parts["policy"].detach()),
        entropy=float(-(batch.policies * np.log(shares)).sum(-1).mean()),
        gradient_norm=norm,
        expected_pips=float(batch.rewards.sum() / sessions),
        skipped=not finite,
        **{name: float(part.detach()) for name, part in parts.items()},
    )


def value_targets(learner: Learner, batch: PlainBatch) -> Float64:
    """``[S, T]`` returns of the actions taken, bootstrapped by searched values, pips.

    The network values the flat state that ends a session. Sessions nobody searched have no values to
    bootstrap from: their whole return counts.
    """
    training, network = learner.training, learner.network
    with torch.no_grad():
        _, logits = network.predict(network.represent(placed(batch.observations[:, -1], learner.device)))
        last = network.support.scalar(logits).cpu().numpy().astype(np.float64)
    values = np.concatenate([batch.root_values.astype(np.float64), last[:, None]], axis=1)
    searched = batch.policies[:, 0].sum(-1) > 0
    whole = lambda_returns(batch.rewards, values, learner.discount, np.ones(len(values)))
    if training.td_steps:
        found = n_step_returns(batch.rewards, values, learner.discount, training.td_steps)
    else:
        trace = np.full(len(values), training.value_trace)
        found = lambda_returns(batch.rewards, values, learner.discount, trace)
    return np.where(searched[:, None], found, whole)
