"""Recorded sessions as columns: what cannot be recomputed from the market, and how each came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from swt_core.position import ACTIONS, HOLD
from swt_inference.rollout import RolloutResult, Trajectories

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[np.generic]]

_TYPES = {
    "episodes": np.int64,
    "first_rows": np.int64,
    "actions": np.int8,
    "visit_shares": np.float16,
    "root_values": np.float32,
    "best_trade_pips": np.float32,
    "expectancy_pips": np.float32,
}


@dataclass(frozen=True)
class SessionTable:
    """E sessions of T decisions; positions and observations are recomputed from ``first_rows``.

    Attributes:
        episodes: ``[E]`` number of the session in its run.
        first_rows: ``[E]`` first decision row.
        actions: ``[E, T]``.
        visit_shares: ``[E, T, 4]`` the search's policy; zeros where nobody searched.
        root_values: ``[E, T]`` searched values, pips.
        best_trade_pips: ``[E]`` best closed trade after costs; NaN without one.
        expectancy_pips: ``[E]`` mean closed trade after costs; NaN without one.
    """

    episodes: Int64
    first_rows: Int64
    actions: NDArray[np.int8]
    visit_shares: NDArray[np.float16]
    root_values: Float32
    best_trade_pips: Float32
    expectancy_pips: Float32

    @classmethod
    def empty(cls, steps: int) -> SessionTable:
        shapes = {"actions": (0, steps), "visit_shares": (0, steps, ACTIONS), "root_values": (0, steps)}
        return cls(**{name: np.zeros(shapes.get(name, (0,)), kind) for name, kind in _TYPES.items()})

    @classmethod
    def of(cls, result: RolloutResult, first_episode: int, *, searched: bool = True) -> SessionTable:
        """The recorded sessions of a rollout, numbered from ``first_episode`` on.

        Without a search the actions played are no policy to learn from: visit shares are zeros then.
        """
        played = result.trajectories
        if played is None:
            raise ValueError("the rollout was not recorded")
        count = len(played.first_rows)
        best, total, trades = np.full(count, np.nan), np.zeros(count), np.zeros(count)
        for closed in result.trades:
            best[closed.episode] = np.fmax(best[closed.episode], closed.trade.pnl_pips)
            total[closed.episode] += closed.trade.pnl_pips
            trades[closed.episode] += 1
        expectancy = np.divide(total, trades, out=np.full(count, np.nan), where=trades > 0)
        return cls.from_arrays(
            {
                "episodes": first_episode + np.arange(count),
                "first_rows": played.first_rows,
                "actions": played.actions,
                "visit_shares": played.visit_shares if searched else np.zeros_like(played.visit_shares),
                "root_values": played.root_values,
                "best_trade_pips": best,
                "expectancy_pips": expectancy,
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> SessionTable:
        """The inverse of `arrays`."""
        return cls(**{name: np.asarray(arrays[name]).astype(kind) for name, kind in _TYPES.items()})

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.first_rows)

    @property
    def steps(self) -> int:
        """T."""
        return self.actions.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory of the columns."""
        return sum(array.nbytes for array in self.arrays().values())

    def renumbered(self, first_episode: int) -> SessionTable:
        """The same sessions, numbered from ``first_episode`` on."""
        return replace(self, episodes=first_episode + np.arange(len(self)))

    def trading(self) -> Bool:
        """``[E]`` whether anything but HOLD was done."""
        trading: Bool = (self.actions != HOLD).any(axis=1)
        return trading

    def joined(self, other: SessionTable) -> SessionTable:
        """These sessions, then the other's."""
        mine, theirs = self.arrays(), other.arrays()
        return SessionTable.from_arrays({name: np.concatenate([mine[name], theirs[name]]) for name in mine})

    def taken(self, chosen: Int64 | Bool) -> SessionTable:
        """The chosen sessions, by index or mask."""
        return SessionTable.from_arrays({name: array[chosen] for name, array in self.arrays().items()})

    def trajectories(self) -> Trajectories:
        """As the learner reads them."""
        return Trajectories(
            self.first_rows, self.actions, self.visit_shares.astype(np.float32), self.root_values
        )
