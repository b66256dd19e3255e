"""Bars made of given closes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.hard_closes import hard_closes, random_walk
from swt_core.instruments import instrument
from swt_data.bars import Bars, bars_from_mids

__all__ = ["START_S", "bars_of", "hard_closes", "random_walk"]

Int64 = NDArray[np.int64]
START_S = 1_709_596_800  # Tuesday 2024-03-05 00:00 UTC


def bars_of(closes_hp: Int64, start_s: int = START_S) -> Bars:
    """Consecutive one-minute bars of GBP_JPY with these closes."""
    time_s = start_s + 60 * np.arange(len(closes_hp), dtype=np.int64)
    return bars_from_mids(instrument("GBP_JPY"), time_s, np.stack([closes_hp] * 4, axis=1), 40)
