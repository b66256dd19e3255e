"""Compile every kernel into numba's cache, so that no daemon's first decision waits for a compiler.

The product's own code runs once on a market of a few days: what it compiles is what the daemons call, in the
same types. A round of training, a validation, and decisions with every profile and search; nothing is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import numpy as np

from swt_core.config import SWTConfig

PROFILES: Final = ("swt", "micro", "full", "episode_13475")
_SESSION_BARS: Final = 60

Note = Callable[[str], None]


def warm_kernels(note: Note = lambda _: None) -> None:
    """Run everything once; seconds when the cache is warm, minutes when it is empty.

    Args:
        note: told what begins.
    """
    from swt_inference.warm import warm_inference

    note("search and networks")
    warm_inference()
    for profile in PROFILES:
        note(f"features and decisions, profile {profile}")
        _decide(_small(profile=profile))
    note("market rules and statistics")
    _judge()
    note("training")
    _train(_small())


def _small(profile: str = "swt") -> SWTConfig:
    return SWTConfig.model_validate(
        {
            "data": {"market": "regimes", "market_days": 30, "session_bars": _SESSION_BARS},
            "features": {"profile": profile},
            "model": {"hidden_dim": 32, "support_bins": 61},
            "trading": {"search": {"simulations": 3}},
            "training": {
                "sessions_per_step": 3,
                "replayed_sessions_per_step": 1,
                "steps_per_round": 2,
                "head_start_steps": 2,
                "episodes_per_actor": 2,
                "unroll_batch": 16,
                "action_value_roots": 8,
                "selection_sessions": 10,
                "checkpoint_minimum_seconds": 0.0,
                "checkpoint_every_episodes": 4,
                "replay_capacity_steps": _SESSION_BARS * 6,
            },
        }
    )


def _decide(config: SWTConfig) -> None:
    """Self-play's way, live's way and both evaluators, with one profile's features."""
    from swt_core.position import POSITION_FIELDS
    from swt_core.rewards import RewardPreset
    from swt_environments.dataset import load_dataset
    from swt_inference.engine import InferenceEngine
    from swt_inference.rollout import SearchPolicy, play
    from swt_live.decider import decide
    from swt_models.networks import StochasticMuZeroNetwork
    from swt_models.observation import ObservationShape
    from swt_training.recorded import recorded_rewards

    dataset = load_dataset(config)
    market, processor = dataset.market, dataset.market.processor
    shape = ObservationShape.for_profile(
        config.features.profile, processor.market_size, processor.position_size
    )
    network = StochasticMuZeroNetwork(config.model, shape)
    first = dataset.splits.train.starts[:2]
    evaluators: tuple[Literal["float32", "int8"], ...] = ("float32", "int8")
    for evaluator in evaluators:
        search = config.trading.search.model_copy(update={"evaluator": evaluator})
        engine = InferenceEngine.from_network(network, search)
        policy = SearchPolicy(engine, temperature=1.0, rng=np.random.default_rng(0))
        played = play(policy, market, first, first + 4, record=True)
        assert played.trajectories is not None
        recorded_rewards(market, first, played.trajectories.actions, RewardPreset.DENSE)
        window = dataset.bars.rows(slice(0, int(first[0]) + 1))
        decide(window, np.zeros(POSITION_FIELDS), processor, engine, config.trading)


def _judge() -> None:
    """Synthetic markets, a picture's positions, the rules to beat, a verdict's statistics."""
    from swt_core.instruments import instrument
    from swt_core.position import STEP_FIELDS, advance_nb, flat_positions
    from swt_data.synthetic import synthetic_bars
    from swt_environments.dataset import load_dataset
    from swt_environments.reference import regime_filter
    from swt_inference.rollout import RulePolicy, play
    from swt_validation.baselines import mean_reversion, play_rule
    from swt_validation.permutation import PlacedTrades, permutation_test
    from swt_validation.resampling import resample

    config = _small()
    pair = instrument(config.data.instrument)
    for market_name in ("realistic", "reversion"):
        synthetic_bars(market_name, 3, 1, pair, config.data.spread_pips)
    price = np.ones(1, np.int64)
    advance_nb(
        flat_positions(1),
        price,
        price,
        price,
        price,
        price,
        np.zeros((1, 2)),
        10.0,
        np.empty((1, STEP_FIELDS)),
    )
    dataset = load_dataset(config)
    market = dataset.market
    first = dataset.splits.test.starts[:1]
    last = first + _SESSION_BARS
    rule = regime_filter(dataset.bars, drift_pips=1.0, sigma_pips=3.0, switch_probability=1 / 60)
    play(RulePolicy(rule), market, first, last)
    play_rule(market, mean_reversion(market), first, last, "sessions")
    resample(np.array([0.01, -0.01]), fraction=1.0, runs=2, steps=2, block=1, seed=1)
    entry = first + 1
    trades = PlacedTrades(np.zeros(1, np.int64), entry, entry + 2, np.ones(1, np.int64), np.zeros(1))
    prices = dataset.bars.open_hp / pair.half_points_per_pip
    permutation_test(trades, open_mid_pips=prices, first_rows=first, last_rows=last, permutations=1, seed=1)


def _train(config: SWTConfig) -> None:
    """One round of the trainer, in this process."""
    from prometheus_client import CollectorRegistry

    from swt_core.clock import SystemClock
    from swt_core.config import ProcessLimitsConfig
    from swt_core.pool import SerialPool
    from swt_core.process import ManagedProcess
    from swt_core.state import StateDirectory
    from swt_core.workspace import Workspace
    from swt_training.trainer import Trainer

    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="swt-warm-") as directory:
        workspace = Workspace(Path(directory))
        limits = ProcessLimitsConfig(maximum_episodes=4)
        state = StateDirectory(workspace.training_state)
        with ManagedProcess("trainer", limits, state, clock) as process:
            Trainer(
                config,
                workspace,
                clock,
                process,
                actors=SerialPool(),
                selector=SerialPool(),
                registry=CollectorRegistry(),
            ).run()
