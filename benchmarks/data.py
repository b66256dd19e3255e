"""Market data: check, index, store, master database, and whether a cache of windows would pay.

Times are by the wall clock, the best of several runs where a run is short. Setting: ``days`` of the
synthetic market (910 trading days, 1.3 million bars).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import window_cache
from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.calendar import trading_day
from swt_core.clock import SystemClock
from swt_core.config.models import FeaturesConfig
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.manifest import Provenance
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars
from swt_features.data_service import master_directory
from swt_features.master import build_master, open_master
from swt_features.processor import FeatureProcessor

NAME: Final = "data"


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """All figures."""
    days = int(options.number("days", 60 if options.quick else 910))
    pair = instrument("GBP_JPY")
    bars = synthetic_bars("realistic", days, options.seed, pair)
    quality = check_quality(bars)
    index = build_session_index(bars, quality)
    result: dict[str, BenchmarkValue] = {
        "bars": len(bars),
        "quality_s": _best_s(lambda: check_quality(bars)),
        "index_s": _best_s(lambda: build_session_index(bars, quality)),
        "index_starts": len(index.starts),
        "index_weeks": len(index.weeks),
    }
    with tempfile.TemporaryDirectory() as directory:
        result |= _store(BarStore(Path(directory), pair), bars)
    processor = FeatureProcessor(FeaturesConfig(), pair)
    return result | window_cache.measure(processor, bars, 50 if options.quick else 400, options.seed)


def _store(store: BarStore, bars: Bars) -> dict[str, BenchmarkValue]:
    """Writing, reading and appending a day, and the same of the master database."""
    clock, features = SystemClock(), FeaturesConfig()
    last_day = int(np.searchsorted(trading_day(bars.time_s), trading_day(bars.time_s[-1])))
    before = bars.rows(slice(0, last_day))

    def add(piece: Bars) -> None:
        source = Provenance(
            source="synthetic",
            format="benchmark",
            bars=len(piece),
            first_s=int(piece.time_s[0]),
            last_s=int(piece.time_s[-1]),
            added_s=0.0,
        )
        store.add(piece, source)

    def build(series: Bars) -> None:
        build_master(master_directory(store), series, features, (), clock)

    result: dict[str, BenchmarkValue] = {
        "store_write_s": _best_s(lambda: add(before), 1),
        "store_append_day_s": _best_s(lambda: add(bars), 1),
        "store_read_s": _best_s(lambda: store.read(4.0)),
        "master_build_s": _best_s(lambda: build(before), 1),
        "master_append_day_s": _best_s(lambda: build(bars), 1),
    }
    with open_master(master_directory(store)) as master:
        last = int(bars.time_s[-1])
        query = "FROM master_between(make_timestamp(?::BIGINT), make_timestamp(?::BIGINT))"
        span = [(last - 86_400) * 1_000_000, last * 1_000_000]
        result["master_read_day_s"] = _best_s(lambda: master.execute(query, span).fetchnumpy())
    size = sum(path.stat().st_size for path in master_directory(store).glob("*.duckdb")) / 2
    return result | {"master_mb": size / 1e6}


def _best_s(work: Callable[[], object], repeats: int = 5) -> float:
    clock, best = SystemClock(), float("inf")
    for _ in range(repeats):
        begun_s = clock.monotonic_s()
        work()
        best = min(best, clock.monotonic_s() - begun_s)
    return best
