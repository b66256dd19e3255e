"""Wavelet scattering: speed beside the best batched Kymatio, error, live latency, precompute.

Speeds per core are windows per second of CPU time, the best of several interleaved runs, so that other
processes on the machine blur them little; speeds of all cores and latencies are by the wall clock.
Settings: ``rows`` of the precompute job (1,300,000), ``threads`` (all cores).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.hard_closes import hard_closes, random_walk
from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.clock import SystemClock
from swt_core.config.models import FeaturesConfig
from swt_core.cores import available_cores
from swt_core.instruments import instrument
from swt_data.bars import Bars, bars_from_mids
from swt_data.files import read_bars
from swt_features.oracle import kymatio_features, relative_error
from swt_features.processor import LOOKBACK, FeatureProcessor
from swt_features.scattering import WaveletScattering
from swt_features.wavelets import SCALES, WINDOW, Profile, kymatio_transform

NAME: Final = "wst"
BATCHES: Final = (64, 256, 512)
REAL_BARS: Final = {
    "GBPJPY_M1_2016.parquet": "GBP_JPY",
    "GBPJPY_M1_2018-2019_cross.parquet": "GBP_JPY",
    "EURUSD_M1_2024-01_oanda.parquet": "EUR_USD",
    "GBPUSD_M1_2012-02_fxcm_ba.parquet": "GBP_USD",
}
_ANCHOR: Final = 1 / 600  # 30 pips of 20 half-points


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """All figures of J6Q4, and the speed of J2Q6."""
    threads = int(options.number("threads", available_cores()))
    repeats = 2 if options.quick else 7
    result: dict[str, BenchmarkValue] = {"profile": "J6Q4", "cores": threads}
    fast, kymatio, library = _speeds("J6Q4", repeats)
    result["windows_per_s"] = _all_cores("J6Q4", threads, options.quick)
    result["windows_per_s_core"] = fast
    result["kymatio_windows_per_s_core"] = kymatio
    result["kymatio_best"] = library
    result["ratio_core"] = fast / kymatio
    small, small_kymatio, _ = _speeds("J2Q6", repeats)
    result["j2q6_windows_per_s_core"] = small
    result["j2q6_kymatio_windows_per_s_core"] = small_kymatio
    result["j2q6_ratio_core"] = small / small_kymatio
    result |= _errors(options)
    result |= _live(options)
    result |= _precompute(int(options.number("rows", 100_000 if options.quick else 1_300_000)), threads)
    return result


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _speeds(profile: Profile, repeats: int) -> tuple[float, float, str]:
    """Windows per CPU second: ours, the best Kymatio's, and which Kymatio that was."""
    import torch
    from kymatio.scattering1d.frontend.torch_frontend import ScatteringTorch1D

    torch.set_num_threads(1)
    closes, rows = random_walk(8192), np.arange(LOOKBACK - 1, 8192)
    scattering = WaveletScattering(profile)
    windows = np.lib.stride_tricks.sliding_window_view(closes, WINDOW)[: max(BATCHES)] * _ANCHOR
    j, q = SCALES[profile]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        on_torch = ScatteringTorch1D(j, WINDOW, q)
    rivals: dict[str, tuple[int, Callable[[], object]]] = {}
    for batch in BATCHES:
        tensor = torch.from_numpy(windows[:batch].astype(np.float32))
        rivals[f"torch, batch {batch}"] = batch, lambda x=tensor: on_torch(x)  # type: ignore[misc]
        for kind in (np.float32, np.float64):
            array = windows[:batch].astype(kind)
            name = f"numpy {np.dtype(kind).name}, batch {batch}"
            rivals[name] = batch, lambda x=array: kymatio_transform(profile)(x)  # type: ignore[misc]
    best = dict.fromkeys(rivals, 0.0)
    fast = 0.0
    scattering.transform(closes, rows[:16])
    for _ in range(repeats):
        fast = max(fast, len(rows) / _cpu_s(lambda: scattering.transform(closes, rows)))
        for name, (batch, work) in rivals.items():
            best[name] = max(best[name], batch / _cpu_s(work))
    library = max(best, key=lambda name: best[name])
    return fast, best[library], library


def _all_cores(profile: Profile, threads: int, quick: bool) -> float:
    """Windows per second of wall time with one thread a core."""
    scattering, clock = WaveletScattering(profile), SystemClock()
    closes = random_walk(LOOKBACK + 4096)
    rows = np.arange(LOOKBACK - 1, LOOKBACK + 4095)
    best = 0.0
    with ThreadPoolExecutor(threads) as executor:
        for _ in range(2 if quick else 5):
            begun_s = clock.monotonic_s()
            list(executor.map(lambda _: scattering.transform(closes, rows), range(4 * threads)))
            best = max(best, 4 * threads * len(rows) / (clock.monotonic_s() - begun_s))
    return best


def _errors(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """The worst window's relative L2 error over hard synthetic series and, where present, real bars."""
    series = hard_closes()
    directory = Path(os.environ.get("SWT_DATA_DIR", "../shared/data/fx"))
    for file, pair in REAL_BARS.items():
        if (directory / file).exists():
            series[file] = read_bars(directory / file, instrument(pair), 4.0).close_hp
    generator = np.random.default_rng(options.seed)
    worst, windows, real = 0.0, 0, 0
    for name, closes in series.items():
        count = 200 if options.quick else 2000
        rows = generator.integers(LOOKBACK - 1, len(closes), min(count, len(closes)))
        for profile in ("J2Q6", "J6Q4"):
            values = WaveletScattering(profile).transform(closes, rows, _ANCHOR)
            reference = kymatio_features(profile, closes, rows, _ANCHOR)
            worst = max(worst, float(relative_error(values, reference).max()))
            windows += len(rows)
        real += name in REAL_BARS
    return {"max_rel_l2_error": worst, "error_windows": windows, "error_real_files": real}


def _live(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Latency of one window of exactly 256 bars through the feature processor; the same bits as a batch.

    Percentiles are those of the calmest of five passes over all rows. On a machine whose cores are all
    busy the wall clock shows the scheduler's time slice; `live_cpu_p99_us` is the thread's own time.
    """
    bars = _bars(random_walk(2048, options.seed))
    processor = FeatureProcessor(FeaturesConfig(wst="J6Q4"), bars.instrument)
    rows = np.arange(LOOKBACK - 1, len(bars))
    batch = processor.market_rows(bars, rows)
    clock, last = SystemClock(), np.array([LOOKBACK - 1])
    equal, passes = True, []
    for _ in range(1 if options.quick else 5):
        latencies_us, cpu_us = [], []
        for i, row in enumerate(rows):
            window = bars.rows(slice(int(row) - LOOKBACK + 1, int(row) + 1))
            begun_s, cpu_ns = clock.monotonic_s(), time.thread_time_ns()
            live = processor.market_rows(window, last)
            latencies_us.append(1e6 * (clock.monotonic_s() - begun_s))
            cpu_us.append(1e-3 * (time.thread_time_ns() - cpu_ns))
            equal = equal and np.array_equal(live[0], batch[i])
        passes.append((*np.percentile(latencies_us, [50, 99]), np.percentile(cpu_us, 99)))
    p50, p99, cpu = min(passes, key=lambda percentiles: float(percentiles[1]))
    return {
        "live_p50_us": float(p50),
        "live_p99_us": float(p99),
        "live_cpu_p99_us": float(cpu),
        "live_equals_batch": equal,
    }


def _bars(closes: NDArray[np.int64]) -> Bars:
    time_s = 1_420_156_800 + 60 * np.arange(len(closes))
    return bars_from_mids(instrument("GBP_JPY"), time_s, np.stack([closes] * 4, axis=1), 40)


def _precompute(rows: int, threads: int) -> dict[str, BenchmarkValue]:
    """A J6Q4 store of ``rows`` windows, in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "benchmarks.wst_precompute", str(rows), str(threads), directory]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return {"precompute_windows": rows, **json.loads(finished.stdout)}
