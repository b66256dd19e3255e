"""Whether a cache of recently used windows would pay: an LRU beside recomputing and beside the store.

Sessions are drawn as training draws them, at random among all starts. The cache is an `OrderedDict` by
row; what it lacks of a session is computed as one batch.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import BenchmarkValue
from swt_core.clock import SystemClock
from swt_data.bars import Bars
from swt_features.processor import LOOKBACK, FeatureProcessor
from swt_features.store import FeatureStore, build_store

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

SESSION: Final = 360
# A tenth of a gigabyte of 128 float32 values.
CAPACITY: Final = 200_000


class WindowCache:
    """The market rows used last."""

    def __init__(self, compute: Callable[[Int64], Float32], size: int, capacity: int) -> None:
        self._compute = compute
        self._size = size
        self._capacity = capacity
        self._rows: OrderedDict[int, Float32] = OrderedDict()
        self.hits = self.asked = 0

    def market_rows(self, rows: Int64) -> Float32:
        out = np.empty((len(rows), self._size), np.float32)
        missing = []
        for i, row in enumerate(rows.tolist()):
            found = self._rows.get(row)
            if found is None:
                missing.append(i)
            else:
                self._rows.move_to_end(row)
                out[i] = found
        self.asked += len(rows)
        self.hits += len(rows) - len(missing)
        if missing:
            out[missing] = self._compute(rows[missing])
            for i in missing:
                self._rows[int(rows[i])] = out[i]
            while len(self._rows) > self._capacity:
                self._rows.popitem(last=False)
        return out


def measure(processor: FeatureProcessor, bars: Bars, sessions: int, seed: int) -> dict[str, BenchmarkValue]:
    """Median microseconds of one session's market rows, by each way of getting them."""
    generator = np.random.default_rng(seed)
    starts = generator.integers(LOOKBACK, len(bars) - SESSION, sessions)

    def compute(rows: Int64) -> Float32:
        return processor.market_rows(bars, rows)

    cache = WindowCache(compute, processor.market_size, CAPACITY)
    for start in generator.integers(LOOKBACK, len(bars) - SESSION, CAPACITY // SESSION):
        cache.market_rows(np.arange(start, start + SESSION))
    cache.hits = cache.asked = 0
    result: dict[str, BenchmarkValue] = {
        "session_computed_us": _median_us(compute, starts),
        "session_lru_us": _median_us(cache.market_rows, starts),
        "lru_hit_share": cache.hits / cache.asked,
    }
    again = np.full(sessions, starts[0])
    cache.market_rows(np.arange(starts[0], starts[0] + SESSION))
    result["session_lru_all_hits_us"] = _median_us(cache.market_rows, again)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "features.h5"
        build_store(path, processor, bars)
        result["session_stored_us"] = _median_us(FeatureStore(path, processor, bars).market_rows, starts)
    return result


def _median_us(market_rows: Callable[[Int64], Float32], starts: Int64) -> float:
    clock, times = SystemClock(), []
    for start in starts:
        rows = np.arange(start, start + SESSION)
        begun_s = clock.monotonic_s()
        market_rows(rows)
        times.append(clock.monotonic_s() - begun_s)
    return 1e6 * float(np.median(times))
