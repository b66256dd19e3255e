"""One gradient step of Stochastic MuZero with exact path values.

Representation and prediction learn from recorded sessions: the policy by the exact gradient of its own
return, the value by the policy's exact path values. The model (afterstate, chance, dynamics, reward)
learns unrolled along the recorded bars with *any* legal actions, since rewards and values of all of them
are known.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor

from swt_core.config import SearchConfig, TrainingConfig
from swt_core.position import HOLD
from swt_models.networks import StochasticMuZeroNetwork, commitment_loss
from swt_training.batches import SessionBatch
from swt_training.path_values import FLAT, LONG, SHORT, SIDES, occupancy_nb, path_values_nb

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

OFF_PATH_SHARE = 0.3
VALUE_SHARE = 0.2
DIFFERENCE_SCALE_PIPS = 5.0
# An untrained policy that trades at every bar only pays spreads; e³ : 1 for HOLD starts it patient.
INITIAL_HOLD_LOGIT = 3.0
WARM_UP_STEPS = 5


@dataclass(frozen=True)
class LossParts:
    """What one step measured; losses in nats, returns in pips a session."""

    total: float
    policy: float
    value: float
    afterstate_value: float
    action_value: float
    chance: float
    commitment: float
    consistency: float
    reward: float
    model_value: float
    model_policy: float
    search_policy: float
    entropy: float
    gradient_norm: float
    expected_pips: float
    skipped: bool

    def as_dict(self) -> dict[str, float]:
        return {key: float(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Unroll:
    """U roots with K actions each: indices into a `SessionBatch`; ``sides`` is ``[U, K+1]``."""

    sessions: Int64
    steps: Int64
    sides: Int64
    actions: Int64


class Learner:
    """Network, optimizer and the losses; deterministic given its inputs."""

    def __init__(
        self, network: StochasticMuZeroNetwork, training: TrainingConfig, search: SearchConfig
    ) -> None:
        self.network = network
        self.training = training
        self.discount = search.discount
        decayed = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": training.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=training.learning_rate,
            betas=(0.9, 0.99),
        )
        network.bias_policy(HOLD, INITIAL_HOLD_LOGIT)
        self.sessions_seen = 0
        self.skipped_steps = 0

    def learning_rate(self) -> float:
        """Linear warm-up over the first steps, then cosine decay over ``decay_sessions``."""
        t = self.training
        progress = min(1.0, self.sessions_seen / t.decay_sessions)
        decayed = t.final_learning_rate + 0.5 * (t.learning_rate - t.final_learning_rate) * (
            1.0 + float(np.cos(np.pi * progress))
        )
        return decayed * min(
            1.0,
            (self.sessions_seen + 1) / (WARM_UP_STEPS * t.sessions_per_step),
        )

    def step(self, batch: SessionBatch, rng: np.random.Generator) -> LossParts:
        """One optimizer step on a batch of sessions.

        A step whose loss or gradient is not finite is dropped and counted.
        """
        network = self.network
        network.train()
        sessions, steps = batch.codes.shape
        size = batch.observations.shape[-1]
        observations = torch.from_numpy(batch.observations.reshape(-1, size))
        masks = torch.from_numpy(batch.masks)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training.bfloat16):
            latents = network.represent(observations)
            hidden = network.prediction_hidden(latents)
            logits = network.policy_logits(hidden)
        logits = logits.float().view(sessions, steps + 1, SIDES, 4).masked_fill(~masks, -1e9)
        log_policy = torch.log_softmax(logits, dim=-1)
        policy = log_policy.exp()
        hidden = hidden.view(sessions, steps + 1, SIDES, -1)
        with torch.no_grad():
            with torch.autocast("cpu", torch.bfloat16, enabled=self.training.bfloat16):
                estimates = network.value_logits(hidden)
            estimates = network.support.scalar(estimates)
        bootstrap = estimates.numpy().astype(np.float64)
        table = policy.detach().numpy().astype(np.float64)
        # The policy climbs the whole path's return; values are bootstrapped, or noise would drown them.
        q, v = path_values_nb(batch.rewards, table[:, :-1], bootstrap, self.discount, 1.0)
        q_target, v_target = path_values_nb(
            batch.rewards, table[:, :-1], bootstrap, self.discount, self.training.value_trace
        )
        occupancy = occupancy_nb(table[:, :-1])

        weights = (1.0 - OFF_PATH_SHARE) * occupancy + OFF_PATH_SHARE / SIDES
        # What happened in sessions chosen for how they ended is luckier than the market.
        honest = sessions - batch.selected_by_outcome
        weights[honest:] = 0.0
        advantage = (q - v[:, :-1, :, None]) * weights[..., None]
        advantage *= batch.masks[:, :-1]
        policy_loss = -(policy[:, :-1] * torch.from_numpy(advantage).float()).sum() / (honest * steps)
        entropy = -(policy[:, :-1] * log_policy[:, :-1].clamp_min(-50.0)).sum(-1)
        entropy = (entropy * torch.from_numpy(weights).float()).sum() / (honest * steps)

        # Whole bars: what the market did is the same noise for every side and cancels between them.
        chosen = rng.random((sessions, steps)) < VALUE_SHARE
        chosen[honest:] = False
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training.bfloat16):
            value_logits = network.value_logits(hidden[:, :-1][torch.from_numpy(chosen)].flatten(0, 1))
        wanted = v_target[:, :-1][chosen]
        value_loss = cross_entropy(network, value_logits, wanted.ravel()).mean()
        value_loss = value_loss + sibling_loss(
            network.support.scalar(value_logits).view(-1, SIDES), wanted, np.ones(wanted.shape, np.bool_)
        )

        search_loss = self._search_loss(batch, log_policy)
        # What search compares: the network's own value of the state, plus the path's exact advantage.
        q_target += (bootstrap - v_target)[:, :-1, :, None]
        latents = latents.view(sessions, steps + 1, SIDES, -1)
        parts = self._unroll(batch, latents, q_target, bootstrap, table, rng)
        parts["action_value"] = self._action_values(batch, latents, q_target, rng)
        total = (
            policy_loss
            - self.training.entropy_weight * entropy
            + self.training.value_weight * value_loss
            + self.training.search_policy_weight * search_loss
            + self.training.model_weight * sum(parts.values(), torch.zeros(()))
        )
        norm, finite = self.descend(total, sessions)
        return LossParts(
            total=float(total.detach()),
            policy=float(policy_loss.detach()),
            value=float(value_loss.detach()),
            search_policy=float(search_loss.detach()),
            entropy=float(entropy.detach()),
            gradient_norm=norm,
            expected_pips=float((occupancy * (table[:, :-1] * batch.rewards).sum(-1)).sum() / sessions),
            skipped=not finite,
            **{name: float(part.detach()) for name, part in parts.items()},
        )

    def descend(self, total: Tensor, sessions: int) -> tuple[float, bool]:
        """One clipped optimizer step down ``total``; returns the gradient's norm and whether it was finite.

        A step that is not finite is dropped and counted.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        clip = self.training.gradient_clip
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip))
        finite = bool(np.isfinite(norm)) and bool(torch.isfinite(total.detach()))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        if finite:
            self.optimizer.step()
        else:
            self.skipped_steps += 1
        self.sessions_seen += sessions
        return norm, finite

    def _search_loss(self, batch: SessionBatch, log_policy: Tensor) -> Tensor:
        """Cross-entropy of the prior to the search's policy, where self-play really was."""
        replayed, steps = batch.visited_sides.shape
        if not replayed:
            return torch.zeros(())
        sessions = torch.arange(len(batch.first_rows) - replayed, len(batch.first_rows))[:, None]
        at = log_policy[sessions, torch.arange(steps), torch.from_numpy(batch.visited_sides)]
        target = torch.from_numpy(batch.search_policies)
        return -(target * at.clamp_min(-20.0)).sum(-1).mean()

    def _action_values(
        self, batch: SessionBatch, latents: Tensor, q: Float64, rng: np.random.Generator
    ) -> Tensor:
        """Afterstate values of every legal action from every side at random bars: what search compares."""
        network, roots = self.network, self.training.action_value_roots
        sessions, steps = batch.codes.shape
        s = np.repeat(rng.integers(sessions - batch.selected_by_outcome, size=roots), SIDES)
        t = np.repeat(rng.integers(steps, size=roots), SIDES)
        side = np.tile(np.arange(SIDES), roots)
        legal = batch.masks[s, t, side]
        row, action = np.nonzero(legal)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training.bfloat16):
            one_hot = nnf.one_hot(torch.from_numpy(action), 4).float()
            states = latents[s[row], t[row], side[row]]
            _, logits = network.predict_afterstate(network.afterstate(states, one_hot))
        wanted = q[s, t, side]
        values = torch.zeros(wanted.shape)
        values[torch.from_numpy(row), torch.from_numpy(action)] = network.support.scalar(logits)
        return cross_entropy(network, logits, wanted[row, action]).mean() + sibling_loss(
            values, wanted, legal
        )

    def _unroll(
        self,
        batch: SessionBatch,
        latents: Tensor,
        q: Float64,
        v: Float64,
        table: Float64,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """Losses of the model, unrolled K steps along recorded bars with any legal actions.

        The values ``v`` that later latents learn are the network's own of the bars that really followed:
        a target without noise.
        """
        network, count = self.network, self.training.unroll_steps
        honest = len(table) - batch.selected_by_outcome
        unroll = draw_unroll(table[:honest], batch.masks, self.training.unroll_batch, count, rng)
        s = unroll.sessions
        latent = latents[s, unroll.steps, unroll.sides[:, 0]]
        zero = torch.zeros(())
        names = (
            "afterstate_value",
            "chance",
            "commitment",
            "consistency",
            "reward",
            "model_value",
            "model_policy",
        )
        parts = dict.fromkeys(names, zero)
        for k in range(count):
            t, side, after, action = (
                unroll.steps + k,
                unroll.sides[:, k],
                unroll.sides[:, k + 1],
                unroll.actions[:, k],
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=self.training.bfloat16):
                one_hot = nnf.one_hot(torch.from_numpy(action), 4).float()
                afterstate = network.afterstate(latent, one_hot)
                chance_logits, afterstate_value = network.predict_afterstate(afterstate)
                if network.encoder is None:
                    code = torch.from_numpy(batch.codes[s, t])
                    code_one_hot = nnf.one_hot(code, network.codes).float()
                else:
                    following = torch.from_numpy(batch.observations[s, t + 1, after])
                    code_one_hot, probabilities = network.encode(following)
                    code = code_one_hot.argmax(-1).detach()
                    commitment = commitment_loss(code_one_hot, probabilities).mean()
                    parts["commitment"] = parts["commitment"] + commitment
                latent, reward_logits = network.dynamics(afterstate, code_one_hot)
                policy_logits, value_logits = network.predict(latent)
                if network.projector is not None:
                    real = latents[s, t + 1, after].detach()
                    consistency = network.consistency_loss(latent, real).mean()
                    parts["consistency"] = (
                        parts["consistency"] + network.model.consistency_weight * consistency
                    )
            parts["afterstate_value"] = (
                parts["afterstate_value"]
                + cross_entropy(network, afterstate_value, q[s, t, side, action]).mean()
            )
            parts["chance"] = parts["chance"] + nnf.cross_entropy(chance_logits.float(), code)
            parts["reward"] = (
                parts["reward"]
                + cross_entropy(network, reward_logits, batch.rewards[s, t, side, action]).mean()
            )
            parts["model_value"] = (
                parts["model_value"] + cross_entropy(network, value_logits, v[s, t + 1, after]).mean()
            )
            target = torch.from_numpy(table[s, t + 1, after]).float()
            legal = torch.from_numpy(batch.masks[s, t + 1, after])
            log_policy = torch.log_softmax(policy_logits.float().masked_fill(~legal, -1e9), dim=-1)
            parts["model_policy"] = parts["model_policy"] - (target * log_policy).sum(-1).mean()
        return {name: part / count for name, part in parts.items()}


def cross_entropy(network: StochasticMuZeroNetwork, logits: Tensor, values: Float64) -> Tensor:
    """``[B]`` cross-entropy of value or reward logits to the two-hot weights of ``values`` (pips)."""
    target = network.support.two_hot(torch.from_numpy(np.ascontiguousarray(values)))
    return -(target * torch.log_softmax(logits.float(), dim=-1)).sum(-1)


def sibling_loss(values: Tensor, wanted: Float64, legal: NDArray[np.bool_]) -> Tensor:
    """Huber loss of differences within each row: what a choice rests on.

    Cross-entropy hardly feels it: shifting a distribution that is 40 pips wide by the 4 pips of a spread
    is worth 0.005 nats, yet decides whether to trade.

    Args:
        values: ``[n, k]`` pips, with gradient. wanted: ``[n, k]`` pips. legal: ``[n, k]`` what counts.
    """
    counted = torch.from_numpy(legal).float()
    error = (values - torch.from_numpy(wanted).float()) / DIFFERENCE_SCALE_PIPS * counted
    centred = (error - error.sum(-1, keepdim=True) / counted.sum(-1, keepdim=True)) * counted
    loss = nnf.huber_loss(centred, torch.zeros_like(centred), reduction="sum", delta=2.0)
    return loss / counted.sum()


def draw_unroll(
    table: Float64, masks: NDArray[np.bool_], roots: int, count: int, rng: np.random.Generator
) -> Unroll:
    """Random roots on every side, then actions half from the policy and half uniform over the legal ones."""
    sessions, rows = table.shape[:2]
    s = rng.integers(sessions, size=roots)
    t = rng.integers(rows - count, size=roots)
    sides = np.empty((roots, count + 1), np.int64)
    actions = np.empty((roots, count), np.int64)
    sides[:, 0] = rng.integers(SIDES, size=roots)
    for k in range(count):
        legal = masks[s, t + k, sides[:, k]].astype(np.float64)
        uniform = legal / legal.sum(-1, keepdims=True)
        mixed = 0.5 * table[s, t + k, sides[:, k]] + 0.5 * uniform
        threshold = rng.random((roots, 1)) * mixed.sum(-1, keepdims=True)
        actions[:, k] = np.minimum((mixed.cumsum(-1) <= threshold).sum(-1), 3)
        sides[:, k + 1] = np.where(
            actions[:, k] == HOLD, sides[:, k], np.array([0, LONG, SHORT, FLAT])[actions[:, k]]
        )
    return Unroll(s, t, sides, actions)
