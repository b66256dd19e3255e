"""Replay of searched sessions: what cannot be recomputed, and which sessions to keep.

A session is kept as its first row, its actions, and what search saw; positions and observations are
recomputed from the market, so a million steps need about 25 MB. Capacity is counted in steps. When
it is full the oldest session goes, except while too few trading sessions are held: then a random
hold-only one goes. Recent sessions are drawn more often, linearly from 0.5 (oldest) to 1.0 (newest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.position import ACTIONS, HOLD
from swt_inference.rollout import Trajectories

Int64 = NDArray[np.int64]
OLDEST_WEIGHT, NEWEST_WEIGHT = 0.5, 1.0


@dataclass(frozen=True)
class ReplayStatistics:
    """What the buffer holds."""

    sessions: int
    steps: int
    trading_share: float
    action_shares: tuple[float, ...]
    oldest_episode: int
    newest_episode: int


class ReplayBuffer:
    """Sessions of one length in order of arrival.

    Args:
        capacity_steps: steps kept; at least one session.
        session_steps: decisions per session.
        minimum_trading_share: least share of sessions with a trade, while there are such.
    """

    def __init__(self, capacity_steps: int, session_steps: int, minimum_trading_share: float) -> None:
        self.capacity = max(1, capacity_steps // session_steps)
        self.session_steps = session_steps
        self.minimum_trading_share = minimum_trading_share
        self._first_rows = np.zeros(0, np.int64)
        self._episodes = np.zeros(0, np.int64)
        self._actions = np.zeros((0, session_steps), np.int8)
        self._visit_shares = np.zeros((0, session_steps, ACTIONS), np.float16)
        self._root_values = np.zeros((0, session_steps), np.float32)

    def __len__(self) -> int:
        return len(self._first_rows)

    def add(self, trajectories: Trajectories, first_episode: int, rng: np.random.Generator) -> None:
        """Append sessions numbered from ``first_episode`` on; evict down to the capacity."""
        count = len(trajectories.first_rows)
        self._first_rows = np.concatenate([self._first_rows, trajectories.first_rows])
        self._episodes = np.concatenate([self._episodes, first_episode + np.arange(count)])
        self._actions = np.concatenate([self._actions, trajectories.actions])
        self._visit_shares = np.concatenate(
            [self._visit_shares, trajectories.visit_shares.astype(np.float16)]
        )
        self._root_values = np.concatenate([self._root_values, trajectories.root_values])
        if (excess := len(self) - self.capacity) > 0:
            self._keep(~self._evicted(excess, rng))

    def sample(self, count: int, rng: np.random.Generator) -> Trajectories:
        """``count`` sessions, drawn with replacement by recency."""
        if not len(self):
            raise ValueError("the replay buffer is empty")
        weights = np.linspace(OLDEST_WEIGHT, NEWEST_WEIGHT, len(self))
        return self._select(rng.choice(len(self), size=count, p=weights / weights.sum()))

    def statistics(self) -> ReplayStatistics:
        """Quota, action balance and age, for `swt buffer stats` and the metrics."""
        counts = np.bincount(self._actions.ravel(), minlength=ACTIONS)
        return ReplayStatistics(
            sessions=len(self),
            steps=self._actions.size,
            trading_share=float(self._trading().mean()) if len(self) else 0.0,
            action_shares=tuple(float(x) for x in counts / max(1, counts.sum())),
            oldest_episode=int(self._episodes.min()) if len(self) else 0,
            newest_episode=int(self._episodes.max()) if len(self) else 0,
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything needed to restore the buffer bit for bit."""
        return {
            "first_rows": self._first_rows,
            "episodes": self._episodes,
            "actions": self._actions,
            "visit_shares": self._visit_shares,
            "root_values": self._root_values,
        }

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`.

        Raises:
            ValueError: the sessions have another length.
        """
        if arrays["actions"].shape[1] != self.session_steps:
            raise ValueError(f"the saved sessions have {arrays['actions'].shape[1]} steps")
        self._first_rows = arrays["first_rows"].astype(np.int64)
        self._episodes = arrays["episodes"].astype(np.int64)
        self._actions = arrays["actions"].astype(np.int8)
        self._visit_shares = arrays["visit_shares"].astype(np.float16)
        self._root_values = arrays["root_values"].astype(np.float32)

    def _trading(self) -> NDArray[np.bool_]:
        trading: NDArray[np.bool_] = (self._actions != HOLD).any(axis=1)
        return trading

    def _evicted(self, excess: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        gone = np.zeros(len(self), np.bool_)
        trading = self._trading()
        for _ in range(excess):
            held = ~gone
            idle = np.flatnonzero(held & ~trading)
            below = trading[held].mean() < self.minimum_trading_share
            victim = rng.choice(idle) if below and len(idle) else int(np.argmax(held))
            gone[victim] = True
        return gone

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        self.restore({name: array[mask] for name, array in self.arrays().items()})

    def _select(self, chosen: Int64) -> Trajectories:
        return Trajectories(
            self._first_rows[chosen],
            self._actions[chosen],
            self._visit_shares[chosen].astype(np.float32),
            self._root_values[chosen],
        )
