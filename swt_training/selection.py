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
from swt_core.statistics import TradeStatistics, trade_statistics
from swt_inference.rollout import RolloutResult
from swt_training.selfplay import PlayTask, play_sessions

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """How a model did on the selection sessions, with search and confidence filter."""

    statistics: TradeStatistics
    pips_per_session: float
    trades_per_session: float
    action_shares: tuple[float, ...]
    mean_confidence: float

    def better_than(self, sqn: float | None, expectancy_pips: float | None) -> bool:
        """Higher SQN wins; below 30 trades SQN does not count and expectancy may only beat nothing."""
        mine = self.statistics.sqn
        if mine.reliable and mine.value is not None:
            return sqn is None or mine.value > sqn
        if sqn is not None:
            return False
        own = self.statistics.expectancy_pips
        return own is not None and (expectancy_pips is None or own > expectancy_pips)


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
        return self._thread.submit(lambda: list(self._pool.map(play_sessions, tasks)))

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._pool.close()
