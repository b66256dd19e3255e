"""Filling an empty replay buffer: sessions a second without search, beside search-driven collection.

The same sessions of the training range on one core, interleaved: played at random, guided (with or against
the last bars' move), and by search as the first round of self-play does it. Features are computed before
and count for none. Settings: ``sessions`` (256 a round; searched ones an eighth), ``rounds`` (3),
``profile``, and any ``section.key`` of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import numpy as np

from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from benchmarks.selfplay import patient_weights
from swt_core.clock import SystemClock
from swt_core.config.loading import load_config
from swt_core.errors import ConfigError
from swt_environments.dataset import load_dataset
from swt_inference.rollout import SearchPolicy, play
from swt_training.initial import play_initial
from swt_training.replay import ReplayBuffer
from swt_training.selfplay import frozen_engine
from swt_training.session_table import SessionTable

NAME: Final = "buffer"
# What the original's remarks claim for its vectorised initial buffer over its own self-play.
CLAIMED_RATIO: Final = 100.0
SEARCHED_SHARE: Final = 8


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Measure on one core."""
    sessions = int(options.number("sessions", 64 if options.quick else 256))
    rounds = int(options.number("rounds", 1 if options.quick else 3))
    if sessions < SEARCHED_SHARE or rounds < 1:
        raise ConfigError(f"sessions are at least {SEARCHED_SHARE}, rounds at least 1")
    overrides = options.overrides("sessions", "rounds", "profile")
    config = load_config(None, options.settings.get("profile"), {}, overrides).config
    dataset, clock, steps = load_dataset(config), SystemClock(), config.data.session_bars
    market, rng = dataset.market, np.random.default_rng(options.seed)
    rows = rng.choice(dataset.splits.train.starts, sessions)
    few = rows[: sessions // SEARCHED_SHARE]
    sizes = market.processor.market_size, market.processor.position_size
    engine = frozen_engine(patient_weights(config, dataset, options.seed), config, *sizes)

    def without_search(kind: Literal["random", "guided"]) -> SessionTable:
        return play_initial(market, rows, steps, kind, rng)

    def searched() -> SessionTable:
        policy = SearchPolicy(engine, temperature=config.training.temperature_start, rng=rng)
        batch = config.training.episodes_per_actor
        return SessionTable.of(play(policy, market, few, few + steps - 1, batch=batch, record=True), 0)

    ways: dict[str, Callable[[], SessionTable]] = {
        "random": lambda: without_search("random"),
        "guided": lambda: without_search("guided"),
        "search": searched,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    buffer = ReplayBuffer.configured(config.training, steps)
    shares = {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            begun_s = clock.monotonic_s()
            played = way()
            buffer.add(played, rng)
            if number:  # the first time compiles kernels and loads features
                rates[name].append(len(played) / (clock.monotonic_s() - begun_s))
            shares[name] = float(played.trading().mean())
    found = {name: float(np.median(values)) for name, values in rates.items()}
    held = buffer.statistics()
    return {
        "random_episodes_per_s": found["random"],
        "guided_episodes_per_s": found["guided"],
        "search_episodes_per_s": found["search"],
        "ratio_random_to_search": found["random"] / found["search"],
        "ratio_guided_to_search": found["guided"] / found["search"],
        "claimed_ratio": CLAIMED_RATIO,
        "random_trading_share": shares["random"],
        "guided_trading_share": shares["guided"],
        "search_trading_share": shares["search"],
        "bytes_per_step": 1e6 * held.megabytes / held.steps,
        "steps_per_episode": steps,
        "simulations": config.trading.search.simulations,
        "cores": 1,
    }
