"""One learner step of Stochastic MuZero with exact path values.

Representation and prediction learn from recorded sessions: the policy by the exact gradient of its own
return, the value by the policy's exact path values. In the fast beginning a batch serves more than one
gradient step; the later ones still climb the return of the policy that was surveyed. The model (afterstate,
chance, dynamics, reward) learns unrolled along the recorded bars with *any* legal actions, since rewards and
values of all of them are known.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swt_core.config import SearchConfig, TrainingConfig
from swt_core.position import HOLD
from swt_models.networks import StochasticMuZeroNetwork
from swt_training.averaging import WeightAverage
from swt_training.batches import SessionBatch
from swt_training.losses import cross_entropy, sibling_loss
from swt_training.model_losses import action_value_loss, draw_unroll, unroll_losses
from swt_training.optimizer import LearnerOptimizer
from swt_training.path_values import SIDES, occupancy_nb, path_values_nb
from swt_training.placement import bfloat16_autocast, device_of, placed
from swt_training.survey import BOOTSTRAP_EVERY_BARS, Survey, draw_bars, survey, values_now

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

OFF_PATH_SHARE = 0.3
# An untrained policy that trades at every bar only pays spreads; e³ : 1 for HOLD starts it patient.
INITIAL_HOLD_LOGIT = 3.0
WARM_UP_STEPS = 3


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
class _Lesson:
    """What one batch teaches: the survey, and path values of the policy as it was then.

    Attributes:
        advantage: ``[S, T, 3, 4]`` of the whole path. edge: the same with bootstrapped values.
        values: ``[S, T+1, 3]`` bootstrapped. occupancy: ``[S, T, 3]``.
    """

    seen: Survey
    advantage: Float64
    edge: Float64
    values: Float64
    occupancy: Float64


class Learner:
    """Network, optimizer and the losses; deterministic given its inputs."""

    def __init__(
        self, network: StochasticMuZeroNetwork, training: TrainingConfig, search: SearchConfig
    ) -> None:
        self.network, self.device = network, device_of(network)
        self.training = training
        self.discount = search.discount
        self.optimizer = LearnerOptimizer(network, training)
        network.bias_policy(HOLD, INITIAL_HOLD_LOGIT)
        self.average = WeightAverage(network, training.weight_averaging)
        self.sessions_seen = 0
        self.skipped_steps = 0

    def learning_rate(self) -> float:
        """Linear warm-up over the first steps, then cosine decay over ``decay_sessions``.

        Over the ``early_sessions`` it falls from ``early_rate_factor`` times that to once.
        """
        t = self.training
        progress = min(1.0, self.sessions_seen / t.decay_sessions)
        decayed = t.final_learning_rate + 0.5 * (t.learning_rate - t.final_learning_rate) * (
            1.0 + float(np.cos(np.pi * progress))
        )
        first = self._first_sessions()
        warm = min(1.0, (self.sessions_seen + first) / (WARM_UP_STEPS * first))
        return decayed * warm * (1.0 + (t.early_rate_factor - 1.0) * self._early_share())

    def _early_share(self) -> float:
        """What is left of the fast beginning, 1 to 0; the plain algorithm has none."""
        sessions = self.training.early_sessions if self.training.algorithm == "path_value" else 0
        return max(0.0, 1.0 - self.sessions_seen / sessions) if sessions else 0.0

    def gradient_steps(self) -> int:
        """How many gradient steps the next batch of sessions gets."""
        return self.training.early_gradient_steps if self._early_share() > 0.0 else 1

    def batch_sessions(self) -> int:
        """Sessions of the next step: in the fast beginning few at first, then half as many as were seen.

        What is learned first is learned from few sessions as well; later the noise of a batch is what
        limits a step. So batches grow (Smith et al. 2018), up to ``sessions_per_step``.
        """
        if self._early_share() == 0.0:
            return self.training.sessions_per_step
        return min(self.training.sessions_per_step, max(self._first_sessions(), self.sessions_seen // 2))

    def _first_sessions(self) -> int:
        t = self.training
        early = t.early_sessions > 0 and t.algorithm == "path_value"
        return min(t.early_sessions_per_step, t.sessions_per_step) if early else t.sessions_per_step

    def step(self, batch: SessionBatch, rng: np.random.Generator) -> LossParts:
        """Learn from a batch of sessions: one gradient step, in the fast beginning some.

        The survey and its path values serve all of them, as the batch of a policy gradient does; each
        draws its own bars. Sessions chosen for how they ended teach the policy only what search made of
        them: what happened in them is luckier than the market. A step whose loss or gradient is not finite
        is dropped and counted, and ends the batch. Returns the figures of the first step: the later ones
        have seen the batch.
        """
        lesson = self._lesson(batch)
        count = self.gradient_steps()
        first = self._gradient_step(batch, lesson, count, rng)
        for _ in range(count - 1):
            if first.skipped or self._gradient_step(batch, lesson, count, rng).skipped:
                break
        self.sessions_seen += len(batch.first_rows)
        return first

    def _lesson(self, batch: SessionBatch) -> _Lesson:
        training = self.training
        seen = survey(self.network, batch, training.bfloat16)
        table = seen.policy[:, :-1]
        # The policy climbs the whole path's return; values are bootstrapped, or noise would drown them.
        q, v = path_values_nb(batch.rewards, table, seen.bootstrap, self.discount, 1.0)
        q_target, v_target = path_values_nb(
            batch.rewards, table, seen.bootstrap, self.discount, training.value_trace, BOOTSTRAP_EVERY_BARS
        )
        return _Lesson(
            seen=seen,
            advantage=q - v[:, :-1, :, None],
            edge=q_target - v_target[:, :-1, :, None],
            values=v_target,
            occupancy=occupancy_nb(table),
        )

    def _gradient_step(
        self, batch: SessionBatch, lesson: _Lesson, count: int, rng: np.random.Generator
    ) -> LossParts:
        """One of ``count`` gradient steps, which share the model's roots between them."""
        network, training = self.network, self.training
        sessions, steps = batch.codes.shape
        honest = sessions - batch.selected_by_outcome
        seen, occupancy, edge = lesson.seen, lesson.occupancy, lesson.edge
        table = seen.policy[:, :-1]
        bars = draw_bars(sessions, steps, training.gradient_share, rng)
        each, drawn = np.arange(sessions)[:, None], bars.shape[1]
        with self._autocast():
            size = batch.observations.shape[-1]
            latents = network.represent(placed(batch.observations[each, bars].reshape(-1, size), self.device))
            hidden = network.prediction_hidden(latents)
            policy_logits = network.policy_logits(hidden)
            value_logits = network.value_logits(
                hidden.view(sessions, drawn, SIDES, -1)[:honest].flatten(0, 2)
            )
        latents = latents.view(sessions, drawn, SIDES, -1)
        masks = placed(batch.masks[each, bars], self.device)
        logits = policy_logits.float().view(sessions, drawn, SIDES, 4).masked_fill(~masks, -1e9)
        log_policy = torch.log_softmax(logits, dim=-1)
        policy = log_policy.exp()

        weights = (1.0 - OFF_PATH_SHARE) * occupancy[each, bars] + OFF_PATH_SHARE / SIDES
        weights[honest:] = 0.0
        advantage = lesson.advantage[each, bars] * weights[..., None] * batch.masks[each, bars]
        policy_loss = -(policy * placed(advantage, self.device).float()).sum() / (honest * drawn)
        entropy = -(policy * log_policy.clamp_min(-50.0)).sum(-1)
        entropy = (entropy * placed(weights, self.device).float()).sum() / (honest * drawn)

        # Whole bars: what the market did is the same noise for every side and cancels between them.
        wanted = lesson.values[each, bars][:honest].reshape(-1, SIDES)
        values = network.support.scalar(value_logits).view(-1, SIDES)
        value_loss = cross_entropy(network, value_logits, wanted.ravel()).mean()
        value_loss = value_loss + sibling_loss(values, wanted, np.ones(wanted.shape, np.bool_))

        search_loss = self._search_loss(batch, bars, log_policy)
        # What search compares: the network's own value of the state, plus the path's exact advantage.
        own = values.detach().double().cpu().numpy().reshape(honest, drawn, SIDES)
        with self._autocast():
            parts = self._model_losses(batch, seen, bars[:honest], latents, edge, count, rng)
            parts["action_value"] = self._action_values(batch, bars[:honest], latents, edge, own, count, rng)
        total = (
            policy_loss
            - self.training.entropy_weight * entropy
            + self.training.value_weight * value_loss
            + self.training.search_policy_weight * search_loss
            + self.training.model_weight * sum(parts.values(), torch.zeros(()))
        )
        norm, finite = self.descend(total)
        return LossParts(
            total=float(total.detach()),
            policy=float(policy_loss.detach()),
            value=float(value_loss.detach()),
            search_policy=float(search_loss.detach()),
            entropy=float(entropy.detach()),
            gradient_norm=norm,
            expected_pips=float((occupancy * (table * batch.rewards).sum(-1)).sum() / sessions),
            skipped=not finite,
            **{name: float(part.detach()) for name, part in parts.items()},
        )

    def descend(self, total: Tensor) -> tuple[float, bool]:
        """One clipped optimizer step down ``total``; returns the gradient's norm and whether it was finite.

        A step that is not finite is dropped and counted.
        """
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        clip = self.training.gradient_clip
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip))
        finite = bool(np.isfinite(norm)) and bool(torch.isfinite(total.detach()))
        if finite:
            self.optimizer.step(self.learning_rate())
            self.average.update()
        else:
            self.skipped_steps += 1
        return norm, finite

    def _search_loss(self, batch: SessionBatch, bars: Int64, log_policy: Tensor) -> Tensor:
        """Cross-entropy of the prior to the search's policy, where self-play really was."""
        replayed = len(batch.visited_sides)
        if not replayed:
            return torch.zeros(())
        first = len(batch.first_rows) - replayed
        row, at = np.arange(replayed)[:, None], bars[first:]
        found = log_policy[first + row, np.arange(bars.shape[1]), batch.visited_sides[row, at]]
        target = placed(batch.search_policies[row, at], self.device)
        return -(target * found.clamp_min(-20.0)).sum(-1).mean()

    def _model_losses(
        self,
        batch: SessionBatch,
        seen: Survey,
        bars: Int64,
        latents: Tensor,
        edge: Float64,
        count: int,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        training = self.training
        table = seen.policy[: len(bars)]
        roots = max(1, training.unroll_batch // count)
        unroll = draw_unroll(table, batch.masks, bars, roots, training.unroll_steps, rng)
        s, t = unroll.sessions[:, None], unroll.steps[:, None] + np.arange(training.unroll_steps + 1)
        own = values_now(self.network, batch.observations[s, t, unroll.sides], training.bfloat16)
        action_values = own[:, :-1] + edge[s, t[:, :-1], unroll.sides[:, :-1], unroll.actions]
        root = latents[unroll.sessions, unroll.columns, unroll.sides[:, 0]]
        return unroll_losses(self.network, batch, seen, unroll, root, action_values, own)

    def _action_values(
        self,
        batch: SessionBatch,
        bars: Int64,
        latents: Tensor,
        edge: Float64,
        own: Float64,
        count: int,
        rng: np.random.Generator,
    ) -> Tensor:
        """Every action of every side at random bars of the drawn ones; ``own`` is ``[S, B, 3]``."""
        roots = max(1, self.training.action_value_roots // count)
        s, column = rng.integers(len(bars), size=roots), rng.integers(bars.shape[1], size=roots)
        t = bars[s, column]
        wanted = own[s, column][..., None] + edge[s, t]
        return action_value_loss(
            self.network,
            latents[s, column].flatten(0, 1),
            wanted.reshape(-1, 4),
            batch.masks[s, t].reshape(-1, 4),
        )

    def _autocast(self) -> torch.autocast:
        return bfloat16_autocast(self.device, self.training.bfloat16)
