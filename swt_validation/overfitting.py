"""Was the best checkpoint chosen by luck? PBO by CSCV, and White's reality check."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class BacktestOverfitting:
    """Result of combinatorially symmetric cross-validation.

    Attributes:
        probability: share of splits in which the in-sample best falls into the lower half out of sample.
        splits: number of splits.
        degradation: slope of out-of-sample on in-sample performance of the best, None if constant.
        loss_probability: share of splits in which the in-sample best loses out of sample.
    """

    probability: float
    splits: int
    degradation: float | None
    loss_probability: float


def _information_ratio(total: Float64, square: Float64, count: Float64) -> Float64:
    """Mean over standard deviation (ddof 1) from sums; 0 without variance."""
    mean = total / count
    variance = np.maximum(square - count * mean**2, 0.0) / (count - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 1e-30, mean / np.sqrt(variance), 0.0)


def probability_of_overfitting(returns: Float64, blocks: int = 10) -> BacktestOverfitting | None:
    """PBO: Bailey, Borwein, López de Prado & Zhu, "The Probability of Backtest Overfitting" (2015).

    The periods are cut into an even number of blocks; every half of them in turn is in-sample. λ =
    logit of the relative rank (average for ties) out of sample of the in-sample best; PBO = share of
    λ ≤ 0. Performance is mean/std of a period.

    Args:
        returns: ``[trials, periods]``.
        blocks: even; lowered to what leaves at least two periods a block.

    Returns:
        None below two trials or below 8 periods.
    """
    trials, periods = returns.shape
    blocks = min(blocks, periods // 2) // 2 * 2
    if trials < 2 or periods < 8 or blocks < 4:
        return None
    edges = np.linspace(0, periods, blocks + 1).round().astype(int)
    total = np.add.reduceat(returns, edges[:-1], axis=1)
    square = np.add.reduceat(returns**2, edges[:-1], axis=1)
    sizes = np.diff(edges)
    choices = np.array(
        [
            [float(b in chosen) for b in range(blocks)]
            for chosen in map(set, combinations(range(blocks), blocks // 2))
        ]
    )
    inside = _information_ratio(total @ choices.T, square @ choices.T, choices @ sizes)
    rest = 1 - choices
    outside = _information_ratio(total @ rest.T, square @ rest.T, rest @ sizes)
    best = np.argmax(inside, axis=0)
    splits = np.arange(len(choices))
    achieved = outside[best, splits]
    below = (outside < achieved).sum(axis=0)
    tied = (outside == achieved).sum(axis=0)
    rank = (below + (tied + 1) / 2) / (trials + 1)
    chosen_inside = inside[best, splits]
    spread = float(np.var(chosen_inside))
    slope = (
        float(np.mean((chosen_inside - chosen_inside.mean()) * (achieved - achieved.mean())) / spread)
        if spread > 1e-15
        else None
    )
    loss_total = np.take_along_axis(total @ rest.T, best[None, :], axis=0)[0]
    return BacktestOverfitting(
        probability=float(np.mean(rank <= 0.5)),
        splits=len(choices),
        degradation=slope,
        loss_probability=float(np.mean(loss_total < 0)),
    )


def reality_check(
    returns: Float64, rng: np.random.Generator, *, resamples: int = 1000, mean_block: float = 4.0
) -> float | None:
    """White's reality check: p-value of the best of N mean returns against 0.

    White, "A Reality Check for Data Snooping" (2000), with the stationary bootstrap (Politis & Romano
    1994): p = (1 + #{max_k √n(r̄*_k − r̄_k) ≥ max_k √n·r̄_k}) / (1 + resamples).

    Args:
        returns: ``[trials, periods]``.
        rng: of the bootstrap.
        mean_block: mean block length, periods.

    Returns:
        None below 8 periods or without trials.
    """
    trials, periods = returns.shape
    if not trials or periods < 8:
        return None
    mean = returns.mean(axis=1)
    observed = float(mean.max())
    start = rng.random((resamples, periods)) < 1 / mean_block
    start[:, 0] = True
    fresh = rng.integers(0, periods, (resamples, periods))
    place = np.arange(periods)
    since = place - np.maximum.accumulate(np.where(start, place, 0), axis=1)
    origin = np.take_along_axis(fresh, place - since, axis=1)
    index = (origin + since) % periods
    counts = np.zeros((resamples, periods))
    np.add.at(counts, (np.arange(resamples)[:, None], index), 1.0)
    best = ((counts / periods) @ returns.T - mean).max(axis=1)
    return float((1 + np.count_nonzero(best >= observed - 1e-15)) / (1 + resamples))
