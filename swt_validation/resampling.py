"""Resampled equity curves, in numba: the engine below safe-f, CAR25 and the stress scenarios.

Each curve draws its steps from the observed returns, one by one (IID) or in circular blocks that keep
streaks together (Politis & Romano 1992). Draws come from a generator seeded by (seed, curve), so the
same seed gives the same curves whatever the fraction traded, the number of threads or of curves: common
random numbers are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Curves advanced side by side: the innermost loops run over them and vectorise.
LANES: Final = 32
# A growth factor below this is ruin; its logarithm keeps the sums finite.
_RUIN_LOG: Final = -1e6


@dataclass(frozen=True)
class Curves:
    """Results of resampled curves.

    Attributes:
        final_log_wealth: ``[runs]`` log of final wealth over start, −inf after ruin.
        max_drawdown: ``[runs]`` largest share of a peak that was lost, in [0, 1].
        steps: length of each curve.
    """

    final_log_wealth: Float64
    max_drawdown: Float64
    steps: int

    def annual_growth(self, years: float) -> Float64:
        """Compound annual return of each curve, −1 after ruin, ``[runs]``."""
        return np.expm1(self.final_log_wealth / years)


@nb.njit(cache=True, inline="always")
def _mix_nb(value: np.uint64) -> np.uint64:
    """splitmix64's finaliser: turns a counter into an independent-looking 64-bit state."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@nb.njit(cache=True, parallel=True, fastmath={"nsz", "arcp", "contract"})
def resample_nb(
    log_growth: Float64, runs: int, steps: int, block: int, seed: np.uint64, final: Float64, deepest: Float64
) -> None:
    """Fill ``final`` (sum of logs) and ``deepest`` (largest fall of the log curve), both ``[runs]``.

    ``log_growth`` is ``[n]``; ``block`` is 1 for IID draws. Runs are padded to whole groups of lanes.
    """
    size = np.uint64(len(log_growth))
    groups = (runs + LANES - 1) // LANES
    for group in nb.prange(groups):
        state = np.empty(LANES, np.uint64)
        index = np.empty(LANES, np.uint64)
        level = np.zeros(LANES)
        peak = np.zeros(LANES)
        fall = np.zeros(LANES)
        for lane in range(LANES):
            counter = np.uint64(group * LANES + lane + 1) * np.uint64(0x9E3779B97F4A7C15)
            state[lane] = _mix_nb(_mix_nb(seed + np.uint64(1)) + counter) | np.uint64(1)
            index[lane] = np.uint64(0)
        left = 0
        for _ in range(steps):
            if left == 0:
                left = block
                for lane in range(LANES):
                    # xorshift64* without its multiplication on the state; the high 32 bits are used.
                    word = state[lane]
                    word ^= word << np.uint64(13)
                    word ^= word >> np.uint64(7)
                    word ^= word << np.uint64(17)
                    state[lane] = word
                    index[lane] = ((word >> np.uint64(32)) * size) >> np.uint64(32)
            else:
                for lane in range(LANES):
                    following = index[lane] + np.uint64(1)
                    index[lane] = following if following < size else np.uint64(0)
            left -= 1
            for lane in range(LANES):
                value = level[lane] + log_growth[index[lane]]
                level[lane] = value
                top = max(peak[lane], value)
                peak[lane] = top
                fall[lane] = max(fall[lane], top - value)
        for lane in range(LANES):
            run = group * LANES + lane
            if run < runs:
                final[run] = level[lane]
                deepest[run] = fall[lane]


def resample(returns: Float64, *, fraction: float, runs: int, steps: int, block: int, seed: int) -> Curves:
    """Equity curves of ``steps`` draws from ``returns``, traded at ``fraction`` of equity.

    Args:
        returns: ``[n]`` unlevered returns of a step (a day, or a trade).
        fraction: leverage: wealth grows by ``1 + fraction · r`` a step.
        runs: number of curves.
        steps: length of a curve.
        block: block length of the circular block bootstrap; 1 draws independently.
        seed: of the draws; the same seed gives the same draws for any fraction.

    A step with ``1 + fraction · r ≤ 0`` is ruin: wealth 0 and drawdown 1 from there on.
    """
    growth = 1.0 + fraction * np.asarray(returns, np.float64)
    logs = np.where(growth > 0, np.log(np.maximum(growth, 1e-300)), _RUIN_LOG)
    final, deepest = np.empty(runs), np.empty(runs)
    if not len(logs) or steps == 0:
        return Curves(np.zeros(runs), np.zeros(runs), steps)
    resample_nb(logs, runs, steps, min(block, len(logs)), np.uint64(seed), final, deepest)
    ruined = final < _RUIN_LOG / 2
    final[ruined] = -np.inf
    return Curves(final, np.where(ruined, 1.0, -np.expm1(-deepest)), steps)


def block_length(observations: int) -> int:
    """Default block of the bootstrap: n^(1/3), the optimal rate for means, and at least a week of days."""
    return max(5, round(observations ** (1 / 3)))
