"""What the replay buffer holds, in figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swt_core.position import ACTIONS
from swt_training.session_table import SessionTable
from swt_training.success_memory import SuccessMemory

AGE_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class SuccessStatistics:
    """The success memory: its fill, its present threshold, and what it holds, pips."""

    sessions: int
    capacity_sessions: int
    threshold_pips: float
    worst_score_pips: float | None
    best_score_pips: float | None
    oldest_episode: int | None


@dataclass(frozen=True)
class ReplayStatistics:
    """What the buffer holds.

    ``action_shares`` is by action (HOLD, BUY, SELL, CLOSE); ``age_episodes`` are the minimum, quartiles and
    maximum of how many episodes ago a session was played; ``searched_share`` is that of sessions that
    search played.
    """

    sessions: int
    steps: int
    capacity_steps: int
    trading_share: float
    minimum_trading_share: float
    action_shares: tuple[float, ...]
    oldest_episode: int
    newest_episode: int
    age_episodes: tuple[float, ...]
    searched_share: float
    megabytes: float
    success: SuccessStatistics

    @property
    def below_quota(self) -> bool:
        """Whether too few trading sessions are held."""
        return self.sessions > 0 and self.trading_share < self.minimum_trading_share


def replay_statistics(
    table: SessionTable, success: SuccessMemory, capacity_steps: int, minimum_trading_share: float
) -> ReplayStatistics:
    """The figures of a buffer's sessions and its success memory."""
    counts = np.bincount(table.actions.ravel(), minlength=ACTIONS)
    newest = int(table.episodes.max()) if len(table) else 0
    ages = np.quantile(newest - table.episodes, AGE_QUANTILES) if len(table) else np.zeros(5)
    scores = success.scores()
    return ReplayStatistics(
        sessions=len(table),
        steps=table.actions.size,
        capacity_steps=capacity_steps,
        trading_share=float(table.trading().mean()) if len(table) else 0.0,
        minimum_trading_share=minimum_trading_share,
        action_shares=tuple(float(x) for x in counts / max(1, counts.sum())),
        oldest_episode=int(table.episodes.min()) if len(table) else 0,
        newest_episode=newest,
        age_episodes=tuple(float(age) for age in ages),
        searched_share=float((table.visit_shares[:, 0] > 0).any(axis=-1).mean()) if len(table) else 0.0,
        megabytes=(table.nbytes + success.table.nbytes) / 1e6,
        success=SuccessStatistics(
            sessions=len(success),
            capacity_sessions=success.rules.capacity_sessions,
            threshold_pips=success.threshold_pips,
            worst_score_pips=float(scores.min()) if len(scores) else None,
            best_score_pips=float(scores.max()) if len(scores) else None,
            oldest_episode=int(success.table.episodes.min()) if len(success) else None,
        ),
    )
