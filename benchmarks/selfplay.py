"""Episodes of searched self-play a second: environment, features and storage included, all cores.

A stream of actor tasks, as the trainer submits them, runs on the worker pool; results go into a replay
buffer as they come. The rate is that of the stream once every worker is at work. The network is the default
one with random weights, so that searches branch, and as patient as a learner starts. Settings: ``workers``
(all cores), ``rounds`` (8 tasks a worker), ``profile``, and any ``section.key`` of the configuration.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import save_file

from benchmarks.random_network import random_network
from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.clock import Clock, SystemClock
from swt_core.config import SWTConfig
from swt_core.config.loading import load_config
from swt_core.cores import available_cores
from swt_core.errors import ConfigError
from swt_core.local_pool import LocalPool
from swt_core.position import HOLD
from swt_core.shared_arrays import FileArrays
from swt_environments.dataset import Dataset, load_dataset
from swt_models.export import Weights, export_weights
from swt_models.observation import ObservationShape
from swt_training.learner import INITIAL_HOLD_LOGIT
from swt_training.replay import ReplayBuffer
from swt_training.selfplay import PlayTask, play_sessions
from swt_training.session_table import SessionTable

NAME: Final = "selfplay"
# What the original reports for its own self-play: 6–7 s an episode on two workers.
ORIGINAL_EPISODES_PER_S: Final = 0.3
WARM_UP_ROUNDS: Final = 2


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Measure on all cores."""
    workers = int(options.number("workers", available_cores()))
    rounds = int(options.number("rounds", 3 if options.quick else 8))
    if workers < 1 or rounds < 1:
        raise ConfigError("workers and rounds are at least 1")
    overrides = options.overrides("workers", "rounds", "profile")
    config = load_config(None, options.settings.get("profile"), {}, overrides).config
    dataset, clock = load_dataset(config), SystemClock()
    with tempfile.TemporaryDirectory(prefix="swt-selfplay-") as directory:
        weights = Path(directory) / "weights.safetensors"
        save_file(patient_weights(config, dataset, options.seed), weights)
        tasks = _tasks(config, dataset, weights, (WARM_UP_ROUNDS + rounds) * workers, options.seed)
        arrivals_s, episodes, replay = _stream(config, tasks, workers, clock)
    rate = steady_rate(arrivals_s, episodes, skip=WARM_UP_ROUNDS * workers)
    held = replay.statistics()
    steps = config.data.session_bars
    return {
        "episodes_per_s": rate,
        "episodes_per_s_core": rate / workers,
        "decisions_per_s": rate * steps,
        "ratio_original": rate / ORIGINAL_EPISODES_PER_S,
        "original_episodes_per_s": ORIGINAL_EPISODES_PER_S,
        "workers": workers,
        "cores": available_cores(),
        "episodes": int(sum(episodes[WARM_UP_ROUNDS * workers :])),
        "steps_per_episode": steps,
        "simulations": config.trading.search.simulations,
        "hold_share": held.action_shares[0],
        "stored_sessions": held.sessions,
    }


def steady_rate(arrivals_s: Sequence[float], sizes: Sequence[int], skip: int) -> float:
    """Items a second between the arrival of result ``skip`` (the last of the warm-up) and the last one."""
    begun_s, ended_s = arrivals_s[skip - 1], arrivals_s[-1]
    return float(sum(sizes[skip:]) / (ended_s - begun_s))


def _stream(
    config: SWTConfig, tasks: Sequence[PlayTask], workers: int, clock: Clock
) -> tuple[list[float], list[int], ReplayBuffer]:
    training = config.training
    replay = ReplayBuffer.configured(training, config.data.session_bars)
    rng = np.random.default_rng(training.seed)
    arrivals_s: list[float] = []
    episodes: list[int] = []
    pool = LocalPool(workers, clock=clock)
    try:
        for result in pool.map(play_sessions, tasks, ordered=False):
            replay.add(SessionTable.of(result, sum(episodes)), rng)
            episodes.append(len(result.episode_pips))
            arrivals_s.append(clock.monotonic_s())
    finally:
        pool.close()
    return arrivals_s, episodes, replay


def patient_weights(config: SWTConfig, dataset: Dataset, seed: int) -> Weights:
    """The default network at random, so that searches branch, and as patient as a learner starts."""
    processor = dataset.market.processor
    shape = ObservationShape.for_profile(
        config.features.profile, processor.market_size, processor.position_size
    )
    network = random_network(config.model, shape, seed)
    network.bias_policy(HOLD, INITIAL_HOLD_LOGIT)
    return export_weights(network)


def _tasks(config: SWTConfig, dataset: Dataset, weights: Path, count: int, seed: int) -> list[PlayTask]:
    rng = np.random.default_rng(seed)
    starts = dataset.splits.train.starts
    return [
        PlayTask(
            config=config,
            boundaries_s=dataset.splits.boundaries_s,
            bars_sha256=dataset.bars.sha256,
            weights=FileArrays(weights),
            first_rows=rng.choice(starts, config.training.episodes_per_actor),
            exploring=True,
            temperature=config.training.temperature_start,
            seed=(seed, number),
        )
        for number in range(count)
    ]
