"""Choosing the best checkpoint on fixed validation sessions, in the background.

Selection only reads exported weights, so when it runs and how long it takes changes nothing in what is
learned.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.config import SWTConfig
from swt_core.pool import WorkerPool
from swt_core.shared_arrays import Arrays, SharedArrays
from swt_core.statistics import TradeStatistics, trade_statistics
from swt_environments.dataset import Dataset
from swt_inference.rollout import RolloutResult
from swt_training.reanalysis import Reanalysis, ReanalysisTask, is_finite, reanalyse_sessions
from swt_training.selfplay import PlayTask, is_sound, play_sessions

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """How a model did on the selection sessions, with search and confidence filter."""

    statistics: TradeStatistics
    pips_per_session: float
    trades_per_session: float
    action_shares: tuple[float, ...]
    mean_confidence: float


def contest(config: SWTConfig, dataset: Dataset, first_rows: Int64) -> str:
    """A hash of the sessions that selection plays and the rules it plays by: only equal ones compare.

    Checkpoints of another contest may lie in the same store: of a run whose state is gone, say.
    """
    rules = {
        "bars": dataset.bars.sha256,
        "rows": np.asarray(first_rows, np.int64).tolist(),
        "session_bars": config.data.session_bars,
        "features": dataset.market.processor.version,
        # profit is counted in pips
        "trading": config.trading.model_dump(mode="json", exclude={"units"}),
    }
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def summarise(result: RolloutResult) -> Selection:
    """The figures of a selection from its rollout."""
    sessions = max(1, len(result.episode_pips))
    shares = result.action_counts / max(1, result.action_counts.sum())
    return Selection(
        statistics=trade_statistics(result.trade_pips),
        pips_per_session=float(result.episode_pips.mean()) if len(result.episode_pips) else 0.0,
        trades_per_session=len(result.trades) / sessions,
        action_shares=tuple(float(x) for x in shares),
        mean_confidence=result.mean_confidence,
    )


def selection_rows(starts: Int64, sessions: int, seed: int) -> Int64:
    """The fixed sessions of a run: drawn once, without replacement, ascending."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    return np.sort(rng.choice(starts, size=min(sessions, len(starts)), replace=False))


class BackgroundPlay:
    """One pool fed from one thread, so that the learner goes on meanwhile."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._thread = ThreadPoolExecutor(1)

    def submit(self, tasks: list[PlayTask]) -> Future[list[RolloutResult]]:
        """Start playing; the future's result is in the order of the tasks."""
        return self._thread.submit(lambda: list(self._pool.map(play_sessions, tasks, accept=is_sound)))

    def submit_reanalysis(self, tasks: list[ReanalysisTask]) -> Future[list[Reanalysis]]:
        """The same for sessions to search again, after what was submitted before."""
        return self._thread.submit(lambda: list(self._pool.map(reanalyse_sessions, tasks, accept=is_finite)))

    @property
    def workers(self) -> int:
        """How many tasks may run at once."""
        return self._pool.workers

    def share(self, weights: Arrays) -> SharedArrays:
        """Weights for tasks to name; good until the next but one call."""
        return self._pool.share(weights)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._pool.close()
