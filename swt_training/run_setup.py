"""What a run starts from: its network, what may be configured, what must not change while it lasts."""

from __future__ import annotations

import torch

from swt_core.config import SWTConfig
from swt_core.config.loading import config_hash
from swt_core.errors import ConfigError
from swt_environments.dataset import Dataset
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape
from swt_training.learner import Learner

# AMDDP_k is learned in its dense form, which adds up to it over every trade: k/100 of each preset.
DRAWDOWN_SHARES = {"dense": 0.01, "amddp1": 0.01, "amddp5": 0.05}
LEARNING_SECTIONS = ("data", "features", "model", "training", "trading")


def learning_hash(config: SWTConfig) -> str:
    """Hash of what determines the learned weights; when a run ends or reports is not part of it."""
    neutral = {
        "maximum_minutes": None,
        "checkpoint_every_episodes": 10,
        "checkpoint_minimum_seconds": 60.0,
        "keep_last_checkpoints": 5,
    }
    training = config.training.model_copy(update=neutral)
    return config_hash(config.model_copy(update={"training": training}), LEARNING_SECTIONS)


def fresh_learner(config: SWTConfig, dataset: Dataset) -> tuple[StochasticMuZeroNetwork, Learner]:
    """A network of the run's seed, and its learner."""
    processor = dataset.market.processor
    shape = ObservationShape.for_profile(
        config.features.profile, processor.market_size, processor.position_size
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        network = StochasticMuZeroNetwork(config.model, shape)
    return network, Learner(network, config.training, config.trading.search)


def require_supported(config: SWTConfig) -> None:
    """Refuse what is not built, or does not fit together.

    Raises:
        ConfigError: naming the setting.
    """
    if config.training.algorithm == "plain":
        raise ConfigError(
            "training.algorithm plain is not built yet", remedy="set training.algorithm to path_value"
        )
    if config.training.reward not in DRAWDOWN_SHARES:
        raise ConfigError(
            f"training.reward {config.training.reward} does not go with training.algorithm path_value: "
            "exact path values need a reward that is Markov in (bar, side)",
            remedy=f"set training.reward to one of {', '.join(DRAWDOWN_SHARES)}",
        )
