"""What each learner step is given: which sessions, from the market or from replay, for which algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swt_core.config import SWTConfig
from swt_environments.dataset import Dataset
from swt_inference.rollout import Trajectories
from swt_training.batches import session_batch
from swt_training.initial import play_initial
from swt_training.learner import Learner, LossParts
from swt_training.plain import plain_step
from swt_training.plain_batch import PRESETS, plain_batch
from swt_training.replay import ReplayBuffer
from swt_training.run_setup import DRAWDOWN_SHARES
from swt_training.sessions import SessionSampler

Int64 = NDArray[np.int64]


class LearnerFeed:
    """Draws the sessions of a run's learner and actors; holds no state of its own.

    Args:
        replay: where searched sessions are; filled here before the first step, where that is asked for.
    """

    def __init__(self, config: SWTConfig, dataset: Dataset, replay: ReplayBuffer) -> None:
        self.config, self.dataset, self.replay = config, dataset, replay
        self._sampler = SessionSampler(
            dataset.splits.train.starts,
            dataset.bars,
            config.data.session_bars,
            config.training.curriculum_sessions,
        )

    def rows(self, count: int, learner: Learner, rng: np.random.Generator) -> Int64:
        """First rows of ``count`` sessions of the training range."""
        return self._sampler.draw(count, learner.sessions_seen, rng)

    def fill(self, rng: np.random.Generator) -> None:
        """Play the initial sessions into the empty buffer; their numbers lie below zero.

        The plain algorithm learns from replay alone, so it gets at least one actor's worth.
        """
        training = self.config.training
        count = training.initial_sessions
        if training.algorithm == "plain":
            count = max(count, training.episodes_per_actor)
        if not count:
            return
        rows = self._sampler.draw(count, 0, rng)
        steps = self.config.data.session_bars
        played = play_initial(self.dataset.market, rows, steps, training.initial_policy, rng)
        self.replay.add(played.renumbered(-count), rng)

    def learn(self, learner: Learner, rng: np.random.Generator) -> LossParts:
        """One learner step."""
        training = self.config.training
        if training.algorithm == "plain":
            sessions, selected = self._replayed(training.sessions_per_step, training.sessions_per_step, rng)
            assert sessions is not None, "the plain algorithm starts with a filled buffer"
            reward, codes = PRESETS[training.reward], learner.network.codes
            batch = plain_batch(self.dataset.market, sessions, codes, reward, selected)
            return plain_step(learner, batch, rng)
        per_step = learner.batch_sessions()
        wanted = min(training.replayed_sessions_per_step, per_step - 1)
        sessions, selected = self._replayed(wanted, per_step, rng)
        fresh = per_step - (wanted if sessions is not None else 0)
        return learner.step(
            session_batch(
                self.dataset.market,
                self.rows(fresh, learner, rng),
                self.config.data.session_bars,
                learner.network.codes,
                rng,
                sessions,
                DRAWDOWN_SHARES[training.reward],
                selected,
            ),
            rng,
        )

    def _replayed(self, count: int, batch: int, rng: np.random.Generator) -> tuple[Trajectories | None, int]:
        """Replayed sessions of a batch, and how many of the last come from the success memory."""
        if not count or not len(self.replay):
            return None, 0
        selected = self.replay.successes_in(batch, self.config.training.success_share, count)
        return self.replay.sample(count, rng, selected), selected
