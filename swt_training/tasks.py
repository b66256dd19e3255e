"""What the pool is given: sessions to play, and replayed ones to search again, of one run's data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swt_core.config import SWTConfig
from swt_core.shared_arrays import SharedArrays
from swt_training.reanalysis import ReanalysisTask
from swt_training.resume import RunCounters
from swt_training.selfplay import PlayTask, exploration_temperature
from swt_training.session_table import SessionTable

Int64 = NDArray[np.int64]


def exploring_task(
    config: SWTConfig, counters: RunCounters, weights: SharedArrays, rows: Int64, seed: tuple[int, ...]
) -> PlayTask:
    """Self-play of the sessions at ``rows``, as hot as the run still is."""
    temperature = exploration_temperature(config.training, counters.episodes)
    return _task(config, counters, weights, rows, seed, exploring=True, temperature=temperature)


def selection_task(config: SWTConfig, counters: RunCounters, weights: SharedArrays, rows: Int64) -> PlayTask:
    """The same sessions as validation and live trading decide."""
    return _task(config, counters, weights, rows, (0,), exploring=False, temperature=0.0)


def _task(
    config: SWTConfig,
    counters: RunCounters,
    weights: SharedArrays,
    rows: Int64,
    seed: tuple[int, ...],
    *,
    exploring: bool,
    temperature: float,
) -> PlayTask:
    return PlayTask(
        config=config,
        boundaries_s=counters.boundaries_s,
        bars_sha256=counters.bars_sha256,
        last_bar_s=counters.last_bar_s,
        weights=weights,
        first_rows=rows,
        exploring=exploring,
        temperature=temperature,
        seed=seed,
    )


def reanalysis_tasks(
    config: SWTConfig,
    counters: RunCounters,
    weights: SharedArrays,
    table: SessionTable,
    rng: np.random.Generator,
) -> Sequence[ReanalysisTask]:
    """Some replayed sessions, in parts of what one actor plays at a time."""
    count = min(config.training.reanalyse_sessions_per_round, len(table))
    chosen = np.sort(rng.choice(len(table), count, replace=False))
    each = config.training.episodes_per_actor
    parts = (table.taken(chosen[first : first + each]) for first in range(0, count, each))
    return [
        ReanalysisTask(
            config=config,
            boundaries_s=counters.boundaries_s,
            bars_sha256=counters.bars_sha256,
            last_bar_s=counters.last_bar_s,
            weights=weights,
            episodes=part.episodes,
            first_rows=part.first_rows,
            actions=part.actions,
        )
        for part in parts
    ]
