"""The plain algorithm: targets of what was played, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from swt_core.checkpoints import CheckpointStore
from swt_core.config import FeaturesConfig, SWTConfig, TradingConfig
from swt_core.instruments import instrument
from swt_core.rewards import RewardPreset
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor
from swt_inference.rollout import RandomPolicy, Trajectories, play
from swt_models.export import export_weights
from swt_training.learner import Learner
from swt_training.plain import plain_step, value_targets
from swt_training.plain_batch import PlainBatch, plain_batch
from swt_training.recorded import recorded_rewards
from swt_training.returns import lambda_returns, n_step_returns
from swt_training.run_setup import fresh_learner
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]
PAIR = instrument("GBP_JPY")
STEPS = 60


@pytest.fixture(scope="module")
def market() -> Market:
    trading = TradingConfig(financing_long_pips_per_day=-0.3, financing_short_pips_per_day=0.1)
    return Market(synthetic_bars("realistic", 5, 2, PAIR), FeatureProcessor(FeaturesConfig(), PAIR), trading)


@pytest.fixture(scope="module")
def played(market: Market) -> Trajectories:
    first = np.array([600, 1300, 1390, 2000])
    result = play(RandomPolicy(0.1, np.random.default_rng(3)), market, first, first + STEPS - 1, record=True)
    assert result.trajectories is not None
    return result.trajectories


@pytest.mark.parametrize("preset", list(RewardPreset))
def test_rewards_and_positions_are_those_of_the_simulation(
    market: Market, played: Trajectories, preset: RewardPreset
) -> None:
    positions, rewards = recorded_rewards(market, played.first_rows, played.actions, preset)
    simulation = BatchSimulation(market, played.first_rows, played.first_rows + STEPS - 1, preset)
    for t in range(STEPS):
        np.testing.assert_array_equal(positions[:, t], simulation.positions)
        paid = simulation.step(played.actions[:, t].astype(np.int64))
        np.testing.assert_allclose(rewards[:, t], paid, atol=1e-12)
    np.testing.assert_array_equal(positions[:, STEPS], simulation.positions)
    assert any(trade.trade.forced for trade in simulation.trades()), "one is closed by the session's end"


def test_observations_are_what_the_actor_saw(market: Market, played: Trajectories) -> None:
    batch = plain_batch(market, played, 3, RewardPreset.DENSE)
    simulation = BatchSimulation(market, played.first_rows, played.first_rows + STEPS - 1)
    for t in range(STEPS):
        np.testing.assert_array_equal(batch.observations[:, t], simulation.observe())
        np.testing.assert_array_equal(batch.masks[:, t], simulation.masks())
        simulation.step(batch.actions[:, t])


def test_lambda_returns_by_hand() -> None:
    rewards, values = np.array([[1.0, 2.0, 4.0]]), np.array([[9.0, 10.0, 20.0, 30.0]])
    whole = lambda_returns(rewards, values, 0.5, np.ones(1))
    np.testing.assert_allclose(whole, [[1 + 0.5 * (2 + 0.5 * (4 + 15)), 2 + 0.5 * (4 + 15), 19]])
    one_step = lambda_returns(rewards, values, 0.5, np.zeros(1))
    np.testing.assert_allclose(one_step, [[6.0, 12.0, 19.0]])


def test_n_step_returns_by_hand_and_shrink_at_the_end() -> None:
    rewards, values = np.array([[1.0, 2.0, 4.0]]), np.array([[9.0, 10.0, 20.0, 30.0]])
    np.testing.assert_allclose(n_step_returns(rewards, values, 0.5, 1), [[6.0, 12.0, 19.0]])
    np.testing.assert_allclose(n_step_returns(rewards, values, 0.5, 2), [[1 + 1 + 5, 2 + 2 + 7.5, 4 + 15]])
    np.testing.assert_allclose(
        n_step_returns(rewards, values, 0.5, 50), lambda_returns(rewards, values, 0.5, np.ones(1))
    )


@pytest.fixture
def learner(small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path) -> Learner:
    training = small.training.model_copy(update={"bfloat16": False})
    config = small.model_copy(update={"training": training})
    return fresh_learner(config, trainer_of(config, tmp_path, 2).dataset)[1]


@pytest.mark.parametrize("td_steps", [0, 5])
def test_only_searched_sessions_bootstrap_from_searched_values(
    learner: Learner, market: Market, played: Trajectories, td_steps: int
) -> None:
    learner.training = learner.training.model_copy(update={"td_steps": td_steps})
    shares, values = played.visit_shares.copy(), played.root_values + 1000.0
    shares[0] = 0.0
    batch = plain_batch(
        market, replace(played, visit_shares=shares, root_values=values), 3, RewardPreset.DENSE
    )
    found = value_targets(learner, batch)
    assert (np.abs(found[0]) < 500).all()
    assert (found[1:, : STEPS // 2] > 500).any()


def step_with(learner: Learner, batch: PlainBatch) -> dict[str, np.ndarray]:
    """The weights after one step from the same start and the same draws."""
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    learner.optimizer.forget()
    plain_step(learner, batch, np.random.default_rng(0))
    after = export_weights(learner.network)
    learner.network.load_state_dict(before)
    learner.sessions_seen = 0
    return after


def test_what_sessions_chosen_by_outcome_earned_teaches_nothing(
    learner: Learner, market: Market, played: Trajectories
) -> None:
    torch.manual_seed(0)
    for parameter in learner.network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    batch = replace(plain_batch(market, played, 3, RewardPreset.DENSE), selected_by_outcome=1)
    rewards, codes = batch.rewards.copy(), batch.codes.copy()
    rewards[-1] += 50.0
    codes[-1] = 2
    lucky = replace(batch, rewards=rewards)
    for name, array in step_with(learner, batch).items():
        np.testing.assert_array_equal(array, step_with(learner, lucky)[name], err_msg=name)
    open_batch, open_lucky = replace(batch, selected_by_outcome=0), replace(lucky, selected_by_outcome=0)
    first, second = step_with(learner, open_batch), step_with(learner, open_lucky)
    assert any(not np.array_equal(array, second[name]) for name, array in first.items())


def plain(config: SWTConfig, **changes: object) -> SWTConfig:
    training = config.training.model_copy(update={"algorithm": "plain", **changes})
    return config.model_copy(update={"training": training})


@pytest.mark.parametrize("reward", ["clean", "amddp1", "amddp5", "dense"])
def test_it_trains_with_every_reward(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, reward: str
) -> None:
    trainer = trainer_of(plain(small, reward=reward), tmp_path, 4)
    before = export_weights(trainer.network)
    trainer.run()
    after = export_weights(trainer.network)
    assert trainer.counters.skipped_steps == 0
    still = [name for name in before if np.array_equal(before[name], after[name])]
    assert not still, "every network learns, dynamics and reward included"
    assert CheckpointStore(tmp_path / "checkpoints").newest() is not None


def test_it_resumes_bit_for_bit(small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path) -> None:
    config = plain(small, success_share=0.15, sessions_per_step=7, success_trade_pips=-100.0)
    whole = trainer_of(config, tmp_path / "whole", 8)
    whole.run()
    trainer_of(config, tmp_path / "parts", 4).run()
    parts = trainer_of(config, tmp_path / "parts", 8)
    parts.run()
    for name, array in export_weights(whole.network).items():
        np.testing.assert_array_equal(array, export_weights(parts.network)[name], err_msg=name)
    left, right = whole.replay.arrays(), parts.replay.arrays()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name)
    assert len(whole.replay.success) > 0


def test_it_predicts_what_it_was_paid(learner: Learner, market: Market, played: Trajectories) -> None:
    """Rewards, values and moves are learned from what was played: the losses fall on the same sessions."""
    batch = plain_batch(market, played, 3, RewardPreset.DENSE)
    uniform = batch.masks[:, :-1] / batch.masks[:, :-1].sum(-1, keepdims=True)
    batch = replace(batch, policies=uniform.astype(np.float32))
    learner.training = learner.training.model_copy(update={"learning_rate": 5e-3, "unroll_batch": 64})
    rng = np.random.default_rng(0)
    losses = [plain_step(learner, batch, rng) for _ in range(60)]
    for name in ("value", "reward", "policy", "afterstate_value"):
        early = np.mean([getattr(parts, name) for parts in losses[:5]])
        late = np.mean([getattr(parts, name) for parts in losses[-5:]])
        assert late < 0.9 * early, name
