"""What the report's pages are drawn from; light enough to be imported without a drawing library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_environments.market import Market
from swt_validation.analysis import AgentRun
from swt_validation.report import Report


@dataclass(frozen=True)
class PageData:
    """All that pages draw from.

    Attributes:
        report: the figures.
        run: trades and equity by bar.
        market: for the price around trades.
        random_pips: totals of the random entries.
        seed: of the resampled curves that are drawn.
    """

    report: Report
    run: AgentRun
    market: Market
    random_pips: NDArray[np.float64]
    seed: int
