"""Actors: tasks that run on the worker pool and play sessions with search.

A worker loads the market once, checks that its bars are the trainer's, and takes weights from where
its pool shares them; everything random comes from the task's seed, so the worker that happens
to run a task makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from swt_core.config import SearchConfig, SWTConfig, TrainingConfig
from swt_core.errors import DataError
from swt_core.shared_arrays import Arrays, SharedArrays
from swt_environments.dataset import Dataset, load_dataset
from swt_inference.devices import create_evaluator
from swt_inference.engine import InferenceEngine
from swt_inference.evaluator import Evaluator
from swt_inference.rollout import RolloutResult, SearchPolicy, play
from swt_inference.search.base import RootNoise
from swt_models.observation import ObservationShape

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class PlayTask:
    """Sessions for one actor.

    ``exploring`` plays with root noise and temperature and records trajectories; otherwise decisions are
    greedy and pass the minimum-confidence filter, as validation and live trading do it.
    """

    config: SWTConfig
    boundaries_s: tuple[int, int]
    bars_sha256: str
    weights: SharedArrays
    first_rows: Int64
    exploring: bool
    temperature: float
    seed: tuple[int, ...]
    last_bar_s: int | None = None


@lru_cache(maxsize=1)
def actor_dataset(
    config_json: str, boundaries_s: tuple[int, int], sha256: str, last_bar_s: int | None = None
) -> Dataset:
    """The market of a run, loaded once in each worker; bars that came after its start are left out.

    Raises:
        DataError: its bars are not the trainer's.
    """
    dataset = load_dataset(SWTConfig.model_validate_json(config_json), boundaries_s, last_bar_s)
    if dataset.bars.sha256 != sha256:
        raise DataError("the actor's bars are not the trainer's", remedy="do not change data/ during a run")
    return dataset


def play_sessions(task: PlayTask) -> RolloutResult:
    """Play the task's sessions; runs in a worker."""
    config = task.config
    dataset = actor_dataset(config.model_dump_json(), task.boundaries_s, task.bars_sha256, task.last_bar_s)
    market = dataset.market
    engine = frozen_engine(
        task.weights.load(), config, market.processor.market_size, market.processor.position_size
    )
    rng = np.random.default_rng(np.random.SeedSequence(task.seed[0], spawn_key=task.seed[1:]))
    policy = SearchPolicy(
        engine,
        minimum_confidence=0.0 if task.exploring else config.trading.minimum_confidence,
        temperature=task.temperature if task.exploring else 0.0,
        rng=rng if task.exploring else None,
    )
    return play(
        policy,
        market,
        task.first_rows,
        task.first_rows + config.data.session_bars - 1,
        batch=config.training.episodes_per_actor,
        record=task.exploring,
    )


def is_sound(result: RolloutResult) -> bool:
    """Whether a worker's sessions may be learned from: a poisoned one plays on with NaN."""
    played = result.trajectories
    finite = np.isfinite(result.episode_pips).all()
    if played is not None:
        finite &= np.isfinite(played.root_values).all() and np.isfinite(played.visit_shares).all()
    return bool(finite)


def frozen_engine(
    weights: Arrays, config: SWTConfig, market_size: int, position_size: int
) -> InferenceEngine:
    """An engine on weights that a trainer exported (not a published checkpoint)."""
    evaluator = frozen_evaluator(weights, config, market_size, position_size)
    shape = ObservationShape.for_profile(config.features.profile, market_size, position_size)
    noise = RootNoise(config.training.dirichlet_alpha, config.training.dirichlet_fraction)
    return InferenceEngine(evaluator, search_of(config), observation_size=shape.size, noise=noise)


def frozen_evaluator(weights: Arrays, config: SWTConfig, market_size: int, position_size: int) -> Evaluator:
    """The networks of weights that a trainer exported, as search sees them."""
    shape = ObservationShape.for_profile(config.features.profile, market_size, position_size)
    return create_evaluator(weights, config.model, shape, "cpu", search_of(config).evaluator)


def exploration_temperature(training: TrainingConfig, episodes: int) -> float:
    """Self-play's temperature after so many episodes: a geometric fall from start to end, then constant."""
    progress = min(1.0, episodes / training.temperature_episodes)
    start, end = training.temperature_start, training.temperature_end
    return float(start * (end / start) ** progress)


def search_of(config: SWTConfig) -> SearchConfig:
    """The search that self-play, selection, validation and live trading share."""
    return config.trading.search
