"""Sessions for an empty buffer, played without search: as fast as the batch simulation steps.

They bring positions that an agent really holds, rewards and how trades ended; no policy is learned from
them, because nobody thought about the actions.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swt_core.position import BUY, CLOSE, HOLD, SELL, SIDE
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_inference.rollout import Choices, Policy, RandomPolicy, play
from swt_training.session_table import SessionTable

Int64 = NDArray[np.int64]

RANDOM_RATE = 0.05
BATCH = 256
SHORTEST_LOOKBACK_BARS, LONGEST_LOOKBACK_BARS = 5.0, 120.0
LARGEST_THRESHOLD_SIGMA = 1.5


class GuidedPolicy:
    """Every episode has a rule of its own: with or against the move of its last bars, beyond a threshold.

    Lookback (log-uniform), sign and threshold are drawn once per episode, so that trends and reversions,
    short and long trades are all there; it reads past bars only.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._simulation: BatchSimulation | None = None

    def choose(self, simulation: BatchSimulation) -> Choices:
        if simulation is not self._simulation:
            self._draw(simulation)
        closes = simulation.market.bars.close_hp
        rows, side, masks = simulation.rows, simulation.positions[:, SIDE], simulation.masks()
        move = self._sign * (closes[rows] - closes[np.maximum(rows - self._lookback, 0)])
        wanted = np.full(len(rows), HOLD, np.int64)
        wanted[(side == 0) & (move > self._threshold)] = BUY
        wanted[(side == 0) & (move < -self._threshold)] = SELL
        wanted[side * move < 0] = CLOSE
        legal = masks[np.arange(len(rows)), wanted]
        return Choices(np.where(legal, wanted, np.where(masks[:, HOLD], HOLD, CLOSE)))

    def _draw(self, simulation: BatchSimulation) -> None:
        self._simulation, rng, count = simulation, self._rng, simulation.batch
        low, high = np.log([SHORTEST_LOOKBACK_BARS, LONGEST_LOOKBACK_BARS])
        self._lookback = np.exp(rng.uniform(low, high, count)).astype(np.int64)
        self._sign = rng.choice([-1, 1], count)
        closes, first = simulation.market.bars.close_hp, simulation.first_rows
        known = np.maximum(first[:, None] - np.arange(int(LONGEST_LOOKBACK_BARS)), 0)
        sigma = np.diff(closes[known], axis=1).std(axis=1)
        self._threshold = rng.uniform(0.0, LARGEST_THRESHOLD_SIGMA, count) * sigma * np.sqrt(self._lookback)


def play_initial(
    market: Market,
    first_rows: Int64,
    steps: int,
    kind: Literal["random", "guided"],
    rng: np.random.Generator,
) -> SessionTable:
    """The sessions of ``first_rows``, played by a random or guided policy, numbered from 0 on."""
    policy: Policy = GuidedPolicy(rng) if kind == "guided" else RandomPolicy(RANDOM_RATE, rng)
    result = play(policy, market, first_rows, first_rows + steps - 1, batch=BATCH, record=True)
    return SessionTable.of(result, 0, searched=False)
