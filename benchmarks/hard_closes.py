"""Series of closes that are hard on features: flat, stale, spiky, sinusoidal, stepping, 5-digit, gapped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


def random_walk(bars: int, seed: int = 0) -> Int64:
    """Closes of a random walk around 170, in half-points of GBP_JPY."""
    steps = np.random.default_rng(seed).integers(-30, 31, bars)
    return 340_000 + 2 * np.cumsum(steps)


def hard_closes(bars: int = 700, seed: int = 3) -> dict[str, Int64]:
    """Named series of closes in half-points."""
    generator = np.random.default_rng(seed)
    walk = random_walk(bars, seed)
    at = np.arange(bars)
    stale = walk.copy()
    for begin in range(0, bars, 200):
        stale[begin : begin + 150] = stale[begin]
    spikes = np.zeros(bars, np.int64)
    spikes[generator.integers(0, bars, 8)] = 80_000
    series: dict[str, NDArray[np.int64] | NDArray[np.float64]] = {
        "random walk": walk,
        "constant": np.full(bars, 340_000),
        "stale": stale,
        "spikes on flat": 340_000 + spikes,
        "spikes on a walk": walk + spikes,
        "a single half-point": 340_000 + (at % 300 == 0),
        "steps": np.where(at % 350 < 175, 340_000, 300_000),
        "a ramp": 340_000 + 4 * at,
        "a weekend gap": walk + np.where(at > 400, 50_000, 0),
        "5 digits": 217_000 + 2 * np.cumsum(generator.integers(-9, 10, bars)),
    }
    for period in (2.5, 7.3, 50, 256, 1000):
        series[f"sine of period {period}"] = np.rint(340_000 + 3000 * np.sin(2 * np.pi * at / period))
    return {name: np.asarray(closes, np.int64) for name, closes in series.items()}
