"""How sure a Sharpe ratio is: probabilistic and deflated Sharpe ratio, effective number of trials.

Bailey & López de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio"
(2014). All Sharpe ratios in here are per day, not annualised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Float64 = NDArray[np.float64]

EULER_GAMMA: Final = 0.5772156649015329
# Two checkpoints whose weekly returns correlate at least so strongly count as one trial.
SAME_TRIAL_CORRELATION: Final = 0.9


@dataclass(frozen=True)
class SharpeInference:
    """Probabilities that the true daily Sharpe ratio is above 0, and above luck's best of N.

    Attributes:
        daily_sharpe: observed, per day.
        probabilistic: P(true Sharpe > 0).
        deflated: P(true Sharpe > the expected best of `trials` worthless ones).
        benchmark: that expected best, per day.
        trials: effective number of trials.
    """

    daily_sharpe: float
    probabilistic: float
    deflated: float
    benchmark: float
    trials: float


def probabilistic_sharpe(returns: Float64, benchmark: float = 0.0) -> float | None:
    """PSR: Φ((ŜR − SR*)·√(n − 1) / √(1 − γ₃·ŜR + (γ₄ − 1)/4·ŜR²)).

    ŜR uses ddof 1, γ₃ and γ₄ are the sample skewness and (non-excess) kurtosis. None below 3 days,
    without variance, or where the variance estimate under the root is not positive.
    """
    count = len(returns)
    if count < 3:
        return None
    deviation = float(np.std(returns, ddof=1))
    if deviation <= 1e-15:
        return None
    ratio = float(np.mean(returns)) / deviation
    skewness, kurtosis = _shape(returns)
    variance = 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2
    if variance <= 0:
        return None
    return float(ndtr((ratio - benchmark) * math.sqrt(count - 1) / math.sqrt(variance)))


def _shape(values: Float64) -> tuple[float, float]:
    """Skewness and kurtosis (non-excess) from central moments, as scipy.stats, which takes long to load."""
    centred = values - values.mean()
    squares = centred**2
    second = float(squares.mean())
    return (squares * centred).mean() / second**1.5, (squares**2).mean() / second**2


def expected_best_sharpe(trials: float, trial_deviation: float) -> float:
    """Expected largest daily Sharpe of ``trials`` worthless ones that deviate by ``trial_deviation``.

    σ·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))); 0 for one trial.
    """
    if trials <= 1:
        return 0.0
    high = ndtri(1 - 1 / trials)
    higher = ndtri(1 - 1 / (trials * math.e))
    return float(trial_deviation * ((1 - EULER_GAMMA) * high + EULER_GAMMA * higher))


def deflated_sharpe(
    returns: Float64, *, trials: float, trial_sharpes: Float64 | None = None
) -> SharpeInference | None:
    """PSR against the best Sharpe that luck alone would reach in ``trials`` attempts.

    Args:
        returns: ``[d]`` daily returns.
        trials: effective number of checkpoints tried; 1 gives the PSR.
        trial_sharpes: daily Sharpe ratios of the trials; their spread is never taken below the sampling
            error 1/√(d − 1) of a worthless strategy, so a few near-equal checkpoints cannot hide a search.
    """
    probability = probabilistic_sharpe(returns)
    if probability is None:
        return None
    sampling_error = 1 / math.sqrt(len(returns) - 1)
    deviation = sampling_error
    if trial_sharpes is not None and len(trial_sharpes) > 1:
        deviation = max(deviation, float(np.std(trial_sharpes, ddof=1)))
    benchmark = expected_best_sharpe(trials, deviation)
    deflated = probabilistic_sharpe(returns, benchmark)
    assert deflated is not None
    ratio = float(np.mean(returns)) / float(np.std(returns, ddof=1))
    return SharpeInference(ratio, probability, deflated, benchmark, trials)


def effective_trials(weekly: Float64) -> int:
    """Number of clusters among trials whose weekly returns are given.

    Args:
        weekly: ``[trials, weeks]``, the weeks they have in common.

    Average-linkage clustering on correlation; trials above 0.9 are one. A trial without variance is a
    cluster with the other flat ones. 1 below two trials; every trial its own below 3 weeks.
    """
    trials = weekly.shape[0]
    if trials < 2:
        return max(trials, 1)
    if weekly.shape[1] < 3:
        return trials
    moving = np.ptp(weekly, axis=1) > 0
    flat_cluster = int(not moving.all())
    active = weekly[moving]
    if len(active) < 2:
        return len(active) + flat_cluster
    # Here: most validations are of one trial, and every worker would load it.
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.corrcoef(active)
    tree = linkage(squareform(np.maximum(distance, 0), checks=False), "average")
    clusters = fcluster(tree, 1 - SAME_TRIAL_CORRELATION, criterion="distance")
    return int(clusters.max()) + flat_cluster
