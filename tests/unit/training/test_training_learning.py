"""It really learns: a small network on a market with a known edge, and nothing on one without."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.heldout import PriorPolicy
from swt_core.config import (
    DataConfig,
    ModelConfig,
    SearchConfig,
    SWTConfig,
    TradingConfig,
    TrainingConfig,
)
from swt_core.position import BUY, CLOSE, HOLD
from swt_environments.dataset import Dataset, load_dataset
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import Policy, RolloutResult, SearchPolicy, play
from swt_training.batches import session_batch
from swt_training.learner import Learner
from swt_training.losses import sibling_loss
from swt_training.run_setup import fresh_learner

SESSION = 120


def config_for(market: str) -> SWTConfig:
    return SWTConfig(
        data=DataConfig.model_validate({"market": market, "market_days": 60, "session_bars": SESSION}),
        model=ModelConfig(hidden_dim=64, support_bins=121),
        training=TrainingConfig(
            sessions_per_step=24,
            replayed_sessions_per_step=0,
            learning_rate=4e-3,
            unroll_batch=64,
            action_value_roots=64,
        ),
        trading=TradingConfig(search=SearchConfig(simulations=5)),
    )


def fresh(config: SWTConfig) -> tuple[Dataset, Learner]:
    dataset = load_dataset(config)
    return dataset, fresh_learner(config, dataset)[1]


def train(config: SWTConfig, dataset: Dataset, learner: Learner, steps: int) -> None:
    rng = np.random.default_rng(0)
    torch.set_num_threads(1)
    for _ in range(steps):
        rows = rng.choice(dataset.splits.train.starts, config.training.sessions_per_step)
        learner.step(session_batch(dataset.market, rows, SESSION, learner.network.codes, rng), rng)


def trained(config: SWTConfig, steps: int) -> tuple[Dataset, Learner]:
    dataset, learner = fresh(config)
    train(config, dataset, learner, steps)
    return dataset, learner


def judged(
    config: SWTConfig,
    dataset: Dataset,
    learner: Learner,
    policy: Callable[[InferenceEngine], Policy] = SearchPolicy,
) -> RolloutResult:
    engine = InferenceEngine.from_network(learner.network, config.trading.search)
    rows = np.random.default_rng(1).choice(dataset.splits.test.starts, 100, replace=False)
    return play(policy(engine), dataset.market, rows, rows + SESSION - 1, batch=100)


@pytest.fixture(scope="module")
def regimes() -> tuple[SWTConfig, Dataset, Learner]:
    """A small network that has learned a market with an edge; trained once, changed by no test."""
    config = config_for("regimes")
    return config, *trained(config, 70)


def test_it_earns_on_sessions_it_never_saw_where_there_is_an_edge(
    regimes: tuple[SWTConfig, Dataset, Learner],
) -> None:
    result = judged(*regimes)
    error = result.episode_pips.std() / np.sqrt(len(result.episode_pips))
    assert result.episode_pips.mean() > 3 * error
    assert len(result.trades) > 50


def test_search_is_not_worse_than_the_prior(regimes: tuple[SWTConfig, Dataset, Learner]) -> None:
    """The same network on the same sessions, searched as it is shipped: it is to gain, or to lose nothing."""
    config, dataset, learner = regimes
    shipped = config.model_copy(update={"trading": TradingConfig()})
    search = judged(shipped, dataset, learner)
    prior = judged(shipped, dataset, learner, PriorPolicy)
    gain = search.episode_pips - prior.episode_pips
    assert gain.any(), "search changed nothing: nothing was compared"
    assert gain.mean() > -2 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_it_stays_out_where_there_is_no_edge() -> None:
    """It begins as one that buys whenever it may and sells at once: staying out has to be learned."""
    config = config_for("martingale")
    dataset, learner = fresh(config)
    for action, logit in ((HOLD, 0.0), (BUY, 3.0), (CLOSE, 3.0)):
        learner.network.bias_policy(action, logit)
    untrained = judged(config, dataset, learner)
    assert len(untrained.trades) > 20 * len(untrained.episode_pips)
    assert untrained.episode_pips.mean() < -50.0
    train(config, dataset, learner, 40)
    result = judged(config, dataset, learner)
    assert len(result.trades) < 20
    assert result.episode_pips.mean() > -2.0


def test_one_seed_is_one_result() -> None:
    config = config_for("faint")
    first, second = trained(config, 3)[1], trained(config, 3)[1]
    for left, right in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_step_that_is_not_finite_is_dropped_and_counted() -> None:
    config = config_for("faint")
    dataset = load_dataset(config)
    network, learner = fresh_learner(config, dataset)
    rng = np.random.default_rng(0)
    batch = session_batch(dataset.market, dataset.splits.train.starts[:3], SESSION, network.codes, rng)
    before = [p.detach().clone() for p in network.parameters()]
    batch.rewards[0, 10, 1, 0] = np.nan
    parts = learner.step(batch, rng)
    assert parts.skipped
    assert learner.skipped_steps == 1
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, new)


def test_every_network_gets_a_gradient() -> None:
    """Dynamics, reward and afterstate without a loss were the original's reason for never planning."""
    config = config_for("regimes")
    dataset = load_dataset(config)
    network, learner = fresh_learner(config, dataset)
    rng = np.random.default_rng(0)
    for _ in range(3):  # heads start at zero: the first step moves them, the next ones what is below
        rows = rng.choice(dataset.splits.train.starts, 8)
        learner.step(session_batch(dataset.market, rows, SESSION, network.codes, rng), rng)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0.0, name


@pytest.mark.parametrize("common", [0.0, 50.0])
def test_the_sibling_loss_feels_differences_and_no_common_error(common: float) -> None:
    wanted = np.array([[10.0, 6.0, 0.0], [3.0, 3.0, 3.0]])
    legal = np.array([[True, True, False], [True, True, True]])
    values = torch.tensor(wanted + common, dtype=torch.float32)
    assert float(sibling_loss(values, wanted, legal)) == pytest.approx(0.0, abs=1e-9)
    values[0, 1] += 4.0
    assert float(sibling_loss(values, wanted, legal)) > 0.01
    values[0, 1] -= 4.0
    values[0, 2] += 100.0  # an illegal action's value does not count
    assert float(sibling_loss(values, wanted, legal)) == pytest.approx(0.0, abs=1e-9)
