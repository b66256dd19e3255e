"""The sessions that went best: a second, small memory beside the replay buffer.

A session enters with a closed trade above a fixed profit, or with an expectancy in the top share of
those that came before it; what is a success so adapts to what the agent can do. When the memory is full
the worst goes. Luck is what a session chosen by its outcome is full of: it may say what search thought in
its states, never what those states are worth (`swt_training.batches.SessionBatch.selected_by_outcome`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_training.session_table import Arrays, Bool, Float32, Int64, SessionTable

HISTORY_BEFORE_QUANTILE = 20


@dataclass(frozen=True)
class SuccessRules:
    """When a session is a success; pips after costs."""

    capacity_sessions: int = 1000
    trade_pips: float = 5.0
    quantile: float = 0.8
    history_episodes: int = 500


class SuccessMemory:
    """Up to ``rules.capacity_sessions`` sessions by what they earned."""

    def __init__(self, rules: SuccessRules, session_steps: int) -> None:
        self.rules = rules
        self.table = SessionTable.empty(session_steps)
        self._history: Float32 = np.zeros(0, np.float32)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def threshold_pips(self) -> float:
        """Expectancy above which a session is a success now; 0 until enough sessions have traded."""
        if len(self._history) < HISTORY_BEFORE_QUANTILE:
            return 0.0
        return float(np.quantile(self._history, self.rules.quantile))

    def offer(self, played: SessionTable) -> None:
        """Take in the successes among new sessions, each judged by those before it."""
        admitted = np.zeros(len(played), np.bool_)
        for i, (best, expectancy) in enumerate(
            zip(played.best_trade_pips, played.expectancy_pips, strict=True)
        ):
            if np.isnan(expectancy):  # no trade: neither a success nor part of the history
                continue
            admitted[i] = best > self.rules.trade_pips or expectancy > self.threshold_pips
            self._history = np.append(self._history, expectancy)[-self.rules.history_episodes :]
        self.table = self.table.joined(played.taken(admitted))
        if (excess := len(self) - self.rules.capacity_sessions) > 0:
            # Stable, so that of equals the oldest goes.
            worst = np.argsort(self.scores(), kind="stable")[:excess]
            self.table = self.table.taken(np.delete(np.arange(len(self)), worst))

    def scores(self) -> NDArray[np.float32]:
        """``[n]`` best trade plus expectancy, pips: the lowest leaves first."""
        return self.table.best_trade_pips + self.table.expectancy_pips

    def drawn(self, count: int, rng: np.random.Generator) -> Int64:
        """Indices of ``count`` sessions, each as likely as any."""
        return rng.integers(len(self), size=count)

    def replace_searches(self, episodes: Int64, visit_shares: Float32, root_values: Float32) -> None:
        """Newer search results of sessions that may be in here, by episode number."""
        put_searches(self.table, episodes, visit_shares, root_values)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything needed to restore the memory."""
        return {**self.table.arrays(), "history": self._history}

    def restore(self, arrays: Arrays) -> None:
        """The inverse of `arrays`."""
        self.table = SessionTable.from_arrays(arrays)
        self._history = np.asarray(arrays["history"]).astype(np.float32)


def put_searches(table: SessionTable, episodes: Int64, visit_shares: Float32, root_values: Float32) -> Bool:
    """Write newer search results ``[k, T, 4]``, ``[k, T]`` into the sessions of those numbers, in place.

    Returns ``[k]`` which of them are in the table.
    """
    where = {int(episode): i for i, episode in enumerate(table.episodes)}
    found = np.array([int(episode) in where for episode in episodes], np.bool_)
    for k in np.flatnonzero(found):
        i = where[int(episodes[k])]
        table.visit_shares[i] = visit_shares[k].astype(np.float16)
        table.root_values[i] = root_values[k]
    return found
