"""Replay of searched sessions: what cannot be recomputed, and which sessions to keep.

A session is kept as its first row, its actions, and what search saw; positions and observations are
recomputed from the market, so a million steps need about 13 MB. Capacity is counted in steps. When
it is full the oldest session goes, except while too few trading sessions are held: then a random
hold-only one goes. Recent sessions are drawn more often, linearly from 0.5 (oldest) to 1.0 (newest).
The best sessions live on in a success memory of their own. See ``docs/replay.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_core.config import TrainingConfig
from swt_inference.rollout import Trajectories
from swt_training.replay_statistics import ReplayStatistics, replay_statistics
from swt_training.session_table import Arrays, Bool, Float32, Int64, SessionTable
from swt_training.success_memory import SuccessMemory, SuccessRules, put_searches

NEWEST_WEIGHT: Final = 1.0
_SUCCESS: Final = "success_"
_LIMITS: Final = "limits"


class ReplayBuffer:
    """Sessions of one length in order of arrival, and the success memory.

    Args:
        capacity_steps: steps kept; at least one session.
        session_steps: decisions per session.
        minimum_trading_share: least share of sessions with a trade, while there are such.
        oldest_weight: draw weight of the oldest session; the newest has 1.
        success: rules of the success memory.
    """

    def __init__(
        self,
        capacity_steps: int,
        session_steps: int,
        minimum_trading_share: float,
        oldest_weight: float = 0.5,
        success: SuccessRules | None = None,
    ) -> None:
        self.capacity = max(1, capacity_steps // session_steps)
        self.session_steps = session_steps
        self.minimum_trading_share = minimum_trading_share
        self.oldest_weight = oldest_weight
        self.table = SessionTable.empty(session_steps)
        self.success = SuccessMemory(success or SuccessRules(), session_steps)

    @classmethod
    def configured(cls, training: TrainingConfig, session_steps: int) -> ReplayBuffer:
        """An empty buffer as the configuration states it."""
        rules = SuccessRules(
            capacity_sessions=training.success_capacity_sessions,
            trade_pips=training.success_trade_pips,
            quantile=training.success_quantile,
            history_episodes=training.success_history_episodes,
        )
        return cls(
            training.replay_capacity_steps,
            session_steps,
            training.minimum_trading_share,
            training.oldest_weight,
            rules,
        )

    @classmethod
    def saved(cls, arrays: Arrays) -> ReplayBuffer:
        """The buffer that `arrays` describes, with the limits that it had.

        Raises:
            KeyError: the arrays are not those of a buffer.
        """
        capacity, quota, oldest, successes, trade, quantile, history = np.asarray(arrays[_LIMITS])
        steps = arrays["actions"].shape[1]
        rules = SuccessRules(int(successes), float(trade), float(quantile), int(history))
        buffer = cls(int(capacity) * steps, steps, float(quota), float(oldest), rules)
        buffer.restore(arrays)
        return buffer

    def __len__(self) -> int:
        return len(self.table)

    def add(self, played: SessionTable, rng: np.random.Generator) -> None:
        """Append sessions; evict down to the capacity; remember the successes."""
        self.table = self.table.joined(played)
        if (excess := len(self) - self.capacity) > 0:
            self.table = self.table.taken(~self._evicted(excess, rng))
        self.success.offer(played)

    def sample(self, count: int, rng: np.random.Generator, successes: int = 0) -> Trajectories:
        """``count`` sessions drawn with replacement, the last ``successes`` of them from the success memory.

        The others are drawn by recency. ``successes`` is no more than `successes_in` allows.
        """
        if not len(self):
            raise ValueError("the replay buffer is empty")
        weights = np.linspace(self.oldest_weight, NEWEST_WEIGHT, len(self))
        chosen = rng.choice(len(self), size=count - successes, p=weights / weights.sum())
        drawn = self.table.taken(chosen)
        if successes:
            drawn = drawn.joined(self.success.table.taken(self.success.drawn(successes, rng)))
        return drawn.trajectories()

    def successes_in(self, batch: int, largest_share: float, replayed: int) -> int:
        """How many of a batch's replayed sessions come from the success memory: never above the share."""
        return min(int(batch * largest_share), replayed) if len(self.success) else 0

    def replace_searches(self, episodes: Int64, visit_shares: Float32, root_values: Float32) -> int:
        """Put newer search results in place of those of the given episodes; returns how many are held."""
        self.success.replace_searches(episodes, visit_shares, root_values)
        return int(put_searches(self.table, episodes, visit_shares, root_values).sum())

    def statistics(self) -> ReplayStatistics:
        """Quota, action balance and ages, for `swt buffer stats` and the metrics."""
        return replay_statistics(
            self.table, self.success, self.capacity * self.session_steps, self.minimum_trading_share
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything needed to restore the buffer bit for bit."""
        rules = self.success.rules
        limits = [
            self.capacity,
            self.minimum_trading_share,
            self.oldest_weight,
            rules.capacity_sessions,
            rules.trade_pips,
            rules.quantile,
            rules.history_episodes,
        ]
        success = {_SUCCESS + name: array for name, array in self.success.arrays().items()}
        return {**self.table.arrays(), **success, _LIMITS: np.array(limits, np.float64)}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`; the buffer's own limits stay.

        Raises:
            ValueError: the sessions have another length.
        """
        if arrays["actions"].shape[1] != self.session_steps:
            raise ValueError(f"the saved sessions have {arrays['actions'].shape[1]} steps")
        self.table = SessionTable.from_arrays(arrays)
        start = len(_SUCCESS)
        self.success.restore({n[start:]: array for n, array in arrays.items() if n.startswith(_SUCCESS)})

    def _evicted(self, excess: int, rng: np.random.Generator) -> Bool:
        gone = np.zeros(len(self), np.bool_)
        trading = self.table.trading()
        for _ in range(excess):
            held = ~gone
            idle = np.flatnonzero(held & ~trading)
            oldest = int(np.argmax(held))
            held[oldest] = False
            # The quota is to hold of what stays.
            below = trading[held].mean() < self.minimum_trading_share
            gone[rng.choice(idle) if below and len(idle) else oldest] = True
        return gone
