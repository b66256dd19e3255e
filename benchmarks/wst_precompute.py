"""One precompute job in a process of its own: `python -m benchmarks.wst_precompute ROWS THREADS DIRECTORY`.

Prints ``{"precompute_s": …, "peak_rss_mb": …, "store_read_360_p50_us": …, …}``; kernels come from numba's
cache, reads go to random places of the store that was just written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.hard_closes import random_walk
from swt_core.clock import SystemClock
from swt_core.config.models import FeaturesConfig
from swt_core.instruments import instrument
from swt_core.numba_cache import configure_numba_cache


def main(rows: int, threads: int, directory: Path) -> None:
    """Build a J6Q4 store of ``rows`` windows."""
    configure_numba_cache()
    from swt_data.bars import Bars
    from swt_features.processor import LOOKBACK, FeatureProcessor
    from swt_features.store import FeatureStore, build_store

    bars_count = rows + LOOKBACK - 1
    closes, spread = random_walk(bars_count), np.full(bars_count, 40)
    time_s = 1_420_156_800 + 60 * np.arange(bars_count)
    pair = instrument("GBP_JPY")
    bars = Bars(pair, time_s, closes, closes, closes, closes, spread, spread, spread)
    processor = FeatureProcessor(FeaturesConfig(wst="J6Q4"), pair)
    processor.market_rows(bars, np.array([LOOKBACK - 1]))
    clock = SystemClock()
    begun_s = clock.monotonic_s()
    build_store(directory / "features.h5", processor, bars, threads=threads)
    # The peak is that of building: pages of the store that a reader has mapped would count too.
    result = {"precompute_s": clock.monotonic_s() - begun_s, "peak_rss_mb": _peak_rss_mb()}
    stored = FeatureStore(directory / "features.h5", processor, bars)
    latencies_us = []
    for start in np.random.default_rng(1).integers(LOOKBACK - 1, bars_count - 360, 2000):
        session = np.arange(start, start + 360)
        begun_s = clock.monotonic_s()
        stored.market_rows(session)
        latencies_us.append(1e6 * (clock.monotonic_s() - begun_s))
    p50, p99 = np.percentile(latencies_us, [50, 99])
    print(json.dumps(result | {"store_read_360_p50_us": float(p50), "store_read_360_p99_us": float(p99)}))


def _peak_rss_mb() -> float:
    """This program's own peak; `getrusage` would count the parent's, which the fork inherits."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
