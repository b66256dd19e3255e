"""What the report's pages are drawn from; light enough to be imported without a drawing library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_environments.market import Market
from swt_validation.analysis import AgentRun
from swt_validation.report import Report
from swt_validation.resampling import Curves
from swt_validation.safe_f import curves_at

_DRAWN_CURVES: Final = 10_000


@dataclass(frozen=True)
class PageData:
    """All that pages draw from.

    Attributes:
        report: the figures.
        run: trades and equity by bar.
        market: for the price around trades.
        random_pips: totals of the random entries.
        curves: resampled curves at safe-f: what the distributions are drawn from.
        seed: of the resampled days that are drawn.
    """

    report: Report
    run: AgentRun
    market: Market
    random_pips: NDArray[np.float64]
    curves: Curves
    seed: int


def page_data(
    report: Report, run: AgentRun, market: Market, random_pips: NDArray[np.float64], seed: int
) -> PageData:
    """Everything computed that pages draw, so that drawing needs no kernel."""
    bandy = report.bandy.conservative
    returns = np.array(report.day_returns)
    curves = curves_at(returns, bandy.safe_f, runs=_DRAWN_CURVES, block=bandy.block, seed=seed)
    return PageData(report, run, market, random_pips, curves, seed)
