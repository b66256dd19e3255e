"""Walk-forward of a frozen model: pieces of the test range against the range it was trained on.

The model is not retrained between folds (`swt_validation.retrain` does that), so 'in-sample' is always
training data: all of it (anchored) or its most recent half year (rolling). Efficiency is annualised
out-of-sample over annualised in-sample profit (Pardo 2008), undefined where in-sample is not positive.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from swt_validation.evaluation import Evaluation
from swt_validation.nav import WeeklyReturns, weekly_returns
from swt_validation.report import Fold, WalkForward

Float64 = NDArray[np.float64]

WEEKS_PER_YEAR: Final = 52
FOLD_WEEKS: Final = 4
ROLLING_WEEKS: Final = 26
Scheme = Literal["rolling", "anchored"]


def walk_forward(out_of_sample: Evaluation, in_sample: Evaluation, scheme: Scheme) -> WalkForward | None:
    """Folds of four weeks (the last may be longer) against the training range.

    Args:
        out_of_sample: the run over the test range.
        in_sample: a run over weeks of the training range.
        scheme: which of those weeks are the reference.

    Returns:
        None where either run has fewer than four weeks.
    """
    test, train = weekly_returns(out_of_sample), weekly_returns(in_sample)
    if len(test.week) < FOLD_WEEKS or len(train.week) < FOLD_WEEKS:
        return None
    reference = train.pips[-ROLLING_WEEKS:] if scheme == "rolling" else train.pips
    in_sample_annual = float(reference.mean()) * WEEKS_PER_YEAR
    count = max(1, len(test.week) // FOLD_WEEKS)
    edges = [number * FOLD_WEEKS for number in range(count)] + [len(test.week)]
    folds = [_fold(out_of_sample, test, low, high, in_sample_annual) for low, high in pairwise(edges)]
    whole = float(test.pips.mean()) * WEEKS_PER_YEAR
    efficiency = whole / in_sample_annual if in_sample_annual > 0 else None
    profitable = float(np.mean([fold.total_pips > 0 for fold in folds]))
    return WalkForward(
        scheme=scheme,
        folds=folds,
        efficiency=efficiency,
        t_statistic=t_statistic(test.returns),
        profitable_share=profitable,
        robustness=_robustness(folds, efficiency, profitable),
    )


def stitched(scheme: Scheme, folds: list[Fold], week_returns: Float64) -> WalkForward:
    """Folds that each had a model of their own, their out-of-sample weeks one after the other.

    Efficiency is the folds' annualised out-of-sample profit over their in-sample profit, both as means over
    folds (of weeks, for the former); undefined where that in-sample mean is not positive.
    """
    outside = float(np.average([fold.annual_pips for fold in folds], weights=[fold.weeks for fold in folds]))
    inside = float(np.mean([fold.in_sample_annual_pips for fold in folds]))
    efficiency = outside / inside if inside > 0 else None
    profitable = float(np.mean([fold.total_pips > 0 for fold in folds]))
    return WalkForward(
        scheme=scheme,
        folds=folds,
        efficiency=efficiency,
        t_statistic=t_statistic(week_returns),
        profitable_share=profitable,
        robustness=_robustness(folds, efficiency, profitable),
    )


def _fold(evaluation: Evaluation, weeks: WeeklyReturns, low: int, high: int, in_sample_annual: float) -> Fold:
    annual = float(weeks.pips[low:high].mean()) * WEEKS_PER_YEAR
    times = evaluation.bar_time_s
    start_s, end_s = int(weeks.start_s[low]), int(weeks.end_s[high - 1])
    inside = (evaluation.trades.entry_time_s >= start_s) & (evaluation.trades.entry_time_s < end_s)
    return Fold(
        start_s=max(start_s, int(times.min())),
        end_s=end_s,
        weeks=high - low,
        trades=int(inside.sum()),
        total_pips=float(weeks.pips[low:high].sum()),
        annual_pips=annual,
        in_sample_annual_pips=in_sample_annual,
        efficiency=annual / in_sample_annual if in_sample_annual > 0 else None,
    )


def t_statistic(returns: Float64) -> float | None:
    """Mean over its standard error; None below two values or without variance."""
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    return None if deviation <= 1e-15 else float(np.mean(returns)) / deviation * len(returns) ** 0.5


def _robustness(folds: list[Fold], efficiency: float | None, profitable: float) -> float:
    """0–100: half for profitable folds, 30 for efficiency up to 1, 20 for the worst fold.

    The worst fold earns its points if it lost nothing, fewer the more of an average fold it lost.
    """
    totals = [fold.total_pips for fold in folds]
    mean, worst = float(np.mean(totals)), min(totals)
    kept = float(np.clip(1 + min(worst, 0) / mean, 0, 1)) if mean > 0 else 0.0
    return 50 * profitable + 30 * float(np.clip(efficiency or 0.0, 0, 1)) + 20 * kept
