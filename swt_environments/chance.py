"""What happens between an afterstate and the next state: the market's move, as an observable code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from swt_data.bars import Bars

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

VOLATILITY_BARS = 20
NEUTRAL_SIGMA = 0.33


def outcome_edges(outcomes: int) -> Float64:
    """``[outcomes − 1]`` edges in standard deviations: ±0.33 for three, else equally likely normal bins."""
    if outcomes == 3:
        return np.array([-NEUTRAL_SIGMA, NEUTRAL_SIGMA])
    edges: Float64 = norm.ppf(np.arange(1, outcomes) / outcomes)
    return edges


def chance_outcomes(bars: Bars, rows: Int64, outcomes: int) -> Int64:
    """The code of the move from the close of each row to the next close, 0 (down) … outcomes − 1 (up).

    The change is divided by the standard deviation (ddof 0) of the last 20 one-bar changes known at the
    row; where that is zero the move is neutral (the middle code).

    Args:
        rows: any shape; each row needs 20 bars before and one after it.
    """
    rows = np.asarray(rows, np.int64)
    closes = bars.close_hp
    known = rows[..., None] - np.arange(VOLATILITY_BARS)
    sigma = (closes[known] - closes[known - 1]).std(axis=-1)
    move = (closes[rows + 1] - closes[rows]).astype(np.float64)
    scaled = np.divide(move, sigma, out=np.zeros_like(move), where=sigma > 0)
    codes = np.searchsorted(outcome_edges(outcomes), scaled, side="right")
    return np.where(sigma > 0, codes, outcomes // 2).astype(np.int64)
