"""What a run starts from: its network, what may be configured, what must not change while it lasts."""

from __future__ import annotations

import hashlib

import torch

from swt_core.clock import Clock
from swt_core.config import SWTConfig, TradingConfig, TrainingConfig
from swt_core.config.loading import config_hash
from swt_core.errors import ConfigError
from swt_environments.dataset import Dataset
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape
from swt_training.learner import Learner
from swt_training.placement import learner_device
from swt_training.survey import last_first_bar

# AMDDP_k is learned in its dense form, which adds up to it over every trade: k/100 of each preset.
DRAWDOWN_SHARES = {"dense": 0.01, "amddp1": 0.01, "amddp5": 0.05}
REPORTING_KEYS = (
    "maximum_minutes",
    "checkpoint_every_episodes",
    "checkpoint_minimum_seconds",
    "keep_last_checkpoints",
    "keep_improvement_pips",
)
# What may be another when a run goes on: no part of its identity.
NEUTRAL_KEYS = (*REPORTING_KEYS, "device")
LEARNING_SECTIONS = ("data", "features", "model", "training", "trading")


def learning_hash(config: SWTConfig) -> str:
    """Hash of what determines the learned weights; not of when a run ends or reports, or where."""
    return config_hash(neutral(config), LEARNING_SECTIONS)


def neutral(config: SWTConfig) -> SWTConfig:
    """``config`` with what decides nothing that is learned at its defaults.

    That is when a run ends or reports, and where; and the order size, for profit is counted in pips.
    """
    usual = TrainingConfig()
    training = config.training.model_copy(update={name: getattr(usual, name) for name in NEUTRAL_KEYS})
    trading = config.trading.model_copy(update={"units": TradingConfig().units})
    return config.model_copy(update={"training": training, "trading": trading})


def run_name(config: SWTConfig, clock: Clock) -> str:
    """Tells one run from another in the same workspace: what it learns, and when it began."""
    return hashlib.sha256(f"{learning_hash(config)} {clock.time_s()!r}".encode()).hexdigest()[:16]


def fresh_learner(config: SWTConfig, dataset: Dataset) -> tuple[StochasticMuZeroNetwork, Learner]:
    """A network of the run's seed, and its learner, on ``training.device``.

    Raises:
        ConfigError: there is no such device.
    """
    processor = dataset.market.processor
    shape = ObservationShape.for_profile(
        config.features.profile, processor.market_size, processor.position_size
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        network = StochasticMuZeroNetwork(config.model, shape)
    network.to(learner_device(config.training.device))
    return network, Learner(network, config.training, config.trading.search)


def require_supported(config: SWTConfig) -> None:
    """Refuse what is not built, or does not fit together.

    Raises:
        ConfigError: naming the setting.
    """
    training = config.training
    if training.reanalyse_sessions_per_round and training.reanalyse_backwards:
        if config.model.chance == "codebook":
            raise ConfigError(
                "training.reanalyse_backwards needs observable chance codes, model.chance is codebook",
                remedy="set training.reanalyse_backwards to false, or model.chance to outcomes",
            )
        if config.trading.search.algorithm == "gumbel":
            raise ConfigError(
                "training.reanalyse_backwards does not go with trading.search.algorithm gumbel",
                remedy="set training.reanalyse_backwards to false, or the algorithm to rezero",
            )
    bars = config.data.session_bars
    if bars <= training.unroll_steps:
        raise ConfigError(
            f"training.unroll_steps {training.unroll_steps} does not fit into sessions of {bars} bars",
            remedy="unroll less, or use longer sessions",
        )
    if training.algorithm == "plain":
        return
    if last_first_bar(bars, training.gradient_share) > bars - training.unroll_steps:
        raise ConfigError(
            f"training.gradient_share {training.gradient_share} draws too few bars of a session of {bars}: "
            f"none of them need have the {training.unroll_steps} bars of training.unroll_steps after it",
            remedy="raise training.gradient_share, unroll less, or use longer sessions",
        )
    if training.reward not in DRAWDOWN_SHARES:
        raise ConfigError(
            f"training.reward {config.training.reward} does not go with training.algorithm path_value: "
            "exact path values need a reward that is Markov in (bar, side)",
            remedy=f"set training.reward to one of {', '.join(DRAWDOWN_SHARES)}",
        )
