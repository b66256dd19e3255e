"""Reanalysis renews what search thought, and keeps the realised future out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from swt_core.config import SearchConfig, SWTConfig
from swt_core.errors import ConfigError
from swt_core.rewards import RewardPreset
from swt_core.shared_arrays import HeldArrays
from swt_environments.dataset import Dataset, load_dataset
from swt_inference.rollout import RandomPolicy, play
from swt_inference.search.base import no_rule
from swt_inference.search.rezero import Trajectories, reanalyse
from swt_inference.search.standard import StandardSearch
from swt_inference.table_evaluator import TableEvaluator, Tables
from swt_models.export import export_weights
from swt_training.reanalysis import ReanalysisTask, expected_rewards, reanalyse_sessions, recorded
from swt_training.recorded import recorded_rewards
from swt_training.run_setup import fresh_learner
from swt_training.selfplay import frozen_engine, frozen_evaluator
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]
STEPS = 60


def bet() -> Tables:
    """Action 0 does nothing; action 1 is a fair bet of ±10 pips *within one chance code*, then it is over.

    The model knows the code's mean, 0, and no more.
    """
    zeros = np.zeros
    return Tables(
        zeros((2, 2), np.float32),
        zeros(2, np.float32),
        np.array([[0, 1], [2, 2]]),
        zeros((3, 2), np.float32),
        zeros(3, np.float32),
        np.full((3, 2), 1),
        zeros((3, 2), np.float32),
    )


def policy_of_bet(won: float, *, correct: bool) -> np.ndarray:
    """The policy target of the bet's state after it came out as ``won`` pips."""
    evaluator = TableEvaluator(bet())
    search = StandardSearch(SearchConfig(simulations=100, discount=1.0), rule=no_rule(2))
    observations = np.array([[[0.0]], [[1.0]]], np.float32)
    actions, codes = np.array([[1], [0]]), np.zeros((2, 1), np.int64)
    rewards = np.array([[won], [0.0]], np.float32)
    if correct:
        rewards = expected_rewards(evaluator, observations, actions, codes)
    played = Trajectories(observations, np.ones((2, 1, 2), np.bool_), actions, codes, rewards)
    return reanalyse(search, evaluator, played)[0].policy[0]


def test_a_realised_reward_would_colour_the_policy_target() -> None:
    """The bias that the correction is for: the same bet looks good where it was won."""
    won, lost = policy_of_bet(10.0, correct=False), policy_of_bet(-10.0, correct=False)
    assert won[1] > lost[1] + 0.2


def test_the_model_s_reward_makes_the_target_blind_to_how_the_bet_came_out() -> None:
    won, lost = policy_of_bet(10.0, correct=True), policy_of_bet(-10.0, correct=True)
    np.testing.assert_array_equal(won, lost)
    assert won[1] == pytest.approx(0.5, abs=0.05)


@pytest.fixture(scope="module")
def searched() -> tuple[SWTConfig, Dataset, HeldArrays]:
    """A network with opinions on a driftless market."""
    config = SWTConfig().model_copy(
        update={
            "data": SWTConfig().data.model_copy(
                update={"market": "martingale", "market_days": 30, "session_bars": STEPS}
            ),
            "model": SWTConfig().model.model_copy(update={"hidden_dim": 32, "support_bins": 61}),
            "trading": SWTConfig().trading.model_copy(update={"search": SearchConfig(simulations=15)}),
        }
    )
    dataset = load_dataset(config)
    network, _ = fresh_learner(config, dataset)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".heads.outputs." in name and name.endswith("weight"):
                parameter.normal_(0.0, 0.05)
    return config, dataset, HeldArrays(dict(export_weights(network)))


def test_on_a_market_without_an_edge_the_value_of_what_was_done_follows_no_luck(
    searched: tuple[SWTConfig, Dataset, HeldArrays],
) -> None:
    config, dataset, weights = searched
    market = dataset.market
    first = dataset.splits.train.starts[:: len(dataset.splits.train.starts) // 60]
    result = play(RandomPolicy(0.2, np.random.default_rng(0)), market, first, first + STEPS - 1, record=True)
    assert result.trajectories is not None
    actions = result.trajectories.actions
    evaluator = frozen_evaluator(
        weights.load(), config, market.processor.market_size, market.processor.position_size
    )
    search = StandardSearch(config.trading.search)
    corrected = recorded(market, evaluator, first, actions)
    _, realised = recorded_rewards(market, first, actions, RewardPreset.DENSE)
    naive = replace(corrected, rewards=realised.T.astype(np.float32))
    plain = reanalyse(search, evaluator, corrected, reuse=False)
    luck = (realised.T - corrected.rewards)[:-1]
    held = np.abs(realised.T[:-1]) > 0  # while flat nothing can leak

    def correlation(played: Trajectories) -> float:
        found = reanalyse(search, evaluator, played)
        shift = np.array(
            [
                np.take_along_axis(new.q_values - old.q_values, taken[:, None], 1)[:, 0]
                for new, old, taken in zip(found, plain, played.actions, strict=True)
            ]
        )[:-1]
        return float(np.corrcoef(shift[held], luck[held])[0, 1])

    assert held.sum() > 500
    assert correlation(naive) > 0.3, "the bias is there without the correction"
    assert abs(correlation(corrected)) < 0.1


def test_without_the_backward_view_it_is_the_search_that_plays(
    searched: tuple[SWTConfig, Dataset, HeldArrays],
) -> None:
    config, dataset, weights = searched
    training = config.training.model_copy(update={"reanalyse_backwards": False})
    config = config.model_copy(update={"training": training})
    first = dataset.splits.train.starts[:2]
    actions = np.zeros((2, STEPS), np.int8)
    splits = dataset.splits
    task = ReanalysisTask(
        config, splits.boundaries_s, dataset.bars.sha256, weights, np.array([7, 9]), first, actions
    )
    found = reanalyse_sessions(task)
    assert found.episodes.tolist() == [7, 9]
    assert found.reused_simulations == 0
    processor = dataset.market.processor
    engine = frozen_engine(weights.load(), config, processor.market_size, processor.position_size)
    evaluator = frozen_evaluator(weights.load(), config, processor.market_size, processor.position_size)
    seen = recorded(dataset.market, evaluator, first, actions)
    for t in (0, 17, STEPS - 1):
        decided = engine.decide_batch(seen.observations[t], seen.masks[t])
        np.testing.assert_array_equal(found.policies[:, t], decided.visit_counts / 15)
        np.testing.assert_array_equal(found.root_values[:, t], decided.root_values)


def test_the_backward_view_saves_evaluations(searched: tuple[SWTConfig, Dataset, HeldArrays]) -> None:
    config, dataset, weights = searched
    task = ReanalysisTask(
        config,
        dataset.splits.boundaries_s,
        dataset.bars.sha256,
        weights,
        np.arange(8),
        dataset.splits.train.starts[:8],
        np.zeros((8, STEPS), np.int8),
    )
    found = reanalyse_sessions(task)
    assert found.simulations == 8 * STEPS * 15
    assert found.reused_simulations > 0.03 * found.simulations
    np.testing.assert_allclose(found.policies.sum(-1), 1.0, rtol=1e-5)


def reanalysing(config: SWTConfig, **changes: object) -> SWTConfig:
    update = {"reanalyse_sessions_per_round": 2, **changes}
    return config.model_copy(update={"training": config.training.model_copy(update=update)})


def test_a_run_puts_newer_searches_into_its_buffer_and_resumes_bit_for_bit(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    config = reanalysing(small, initial_sessions=4, replay_capacity_steps=12 * STEPS)
    whole = trainer_of(config, tmp_path / "whole", 6)
    assert whole.replay.statistics().searched_share == 0.0
    whole.run()
    held = whole.replay.table
    assert (held.visit_shares[held.episodes < 0].sum(-1) > 0.99).any(), "initial sessions were searched"
    trainer_of(config, tmp_path / "parts", 4).run()
    parts = trainer_of(config, tmp_path / "parts", 6)
    parts.run()
    for name, array in whole.replay.arrays().items():
        np.testing.assert_array_equal(array, parts.replay.arrays()[name], err_msg=name)
    for name, array in export_weights(whole.network).items():
        np.testing.assert_array_equal(array, export_weights(parts.network)[name], err_msg=name)


def test_what_the_backward_view_cannot_do_is_refused(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    codebook = small.model_copy(update={"model": small.model.model_copy(update={"chance": "codebook"})})
    with pytest.raises(ConfigError, match="codebook"):
        trainer_of(reanalysing(codebook), tmp_path / "a", 2)
    search = small.trading.search.model_copy(update={"algorithm": "gumbel"})
    gumbel = small.model_copy(update={"trading": small.trading.model_copy(update={"search": search})})
    with pytest.raises(ConfigError, match="gumbel"):
        trainer_of(reanalysing(gumbel), tmp_path / "b", 2)
    trainer_of(reanalysing(gumbel, reanalyse_backwards=False, initial_sessions=2), tmp_path / "c", 2).run()
