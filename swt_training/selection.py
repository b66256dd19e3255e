"""Choosing the best checkpoint on fixed validation sessions, in the background.

Selection only reads exported weights, so when it runs and how long it takes changes nothing in what is
learned.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.pool import WorkerPool
from swt_core.shared_arrays import Arrays, SharedArrays
from swt_core.statistics import TradeStatistics, trade_statistics
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

    @property
    def proven_sqn(self) -> float | None:
        """SQN where it may be used to choose: at least 30 trades, and a profit."""
        mine = self.statistics.sqn
        return mine.value if mine.reliable and mine.value is not None and mine.value > 0 else None

    def better_than(self, sqn: float | None, pips_per_session: float | None) -> bool:
        """Against the best so far: its proven SQN, and its pips per session (both None: there is none).

        A higher proven SQN wins. Where neither has one, pips per session decide: a model that stays flat
        earns 0 and beats one that loses.
        """
        if sqn is None and pips_per_session is None:
            return True
        mine = self.proven_sqn
        if mine is not None or sqn is not None:
            return mine is not None and (sqn is None or mine > sqn)
        return pips_per_session is not None and self.pips_per_session > pips_per_session


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
