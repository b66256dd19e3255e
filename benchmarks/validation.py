"""How long a validation takes, and how many resampled equity curves a second.

The agent has random weights (searching costs the same whatever it has learnt) and half a year of test
range. Curves are compared in the same run with a plain NumPy loop and, where it is installed, with
quantstats' own Monte Carlo.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil

from benchmarks.random_network import random_network
from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.clock import SystemClock
from swt_core.config import SWTConfig
from swt_core.local_pool import LocalPool
from swt_core.pool import SerialPool
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index, split_index
from swt_environments.dataset import load_bars
from swt_features.processor import FeatureProcessor
from swt_models.architecture import architecture_name, describe
from swt_models.export import export_weights
from swt_models.observation import ObservationShape
from swt_validation.checkpoint_validation import MarketSource, validate_checkpoint
from swt_validation.levels import LEVELS, Level, parse_level
from swt_validation.players import ready
from swt_validation.resampling import resample

NAME = "validation"
# 15 % of so many days is half a year of test range.
MARKET_DAYS = 880
STEPS = 504
QUICK_LEVELS: tuple[Level, ...] = ("QUICK", "STANDARD")


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Seconds by level and stage, curves a second and ratios; ``options.quick`` stops after STANDARD.

    Settings: ``workers``; ``level`` (one level only); ``market_days``, of which 15 % are judged. CPU seconds
    (this process and its workers) say on a busy machine what a quiet one would take.
    """
    options.overrides("workers", "level", "market_days")
    result = _curves(options)
    days = int(options.number("market_days", MARKET_DAYS))
    config = SWTConfig.model_validate({"data": {"market": "regimes", "market_days": days}})
    bars, name, synthetic = load_bars(config.data)
    source = MarketSource(bars, name, synthetic)
    workers = int(options.number("workers", 2))
    levels = QUICK_LEVELS if options.quick else LEVELS
    if "level" in options.settings:
        levels = (parse_level(options.settings["level"]),)
    with tempfile.TemporaryDirectory() as directory:
        # As a daemon has them: started, with their libraries loaded. They have played nothing yet.
        pool = LocalPool(workers, initializer=ready) if workers > 1 else SerialPool()
        try:
            checkpoint = _random_checkpoint(Path(directory) / "checkpoints", source, config, options.seed)
            for level in levels:
                stages = _Stages(level.lower())
                found = validate_checkpoint(
                    checkpoint,
                    source=source,
                    config=config,
                    level=level,
                    state=Path(directory) / "validation_state",
                    clock=SystemClock(),
                    # Starting workers costs more than fifty sessions do.
                    pool=SerialPool() if level == "QUICK" else pool,
                    progress=stages.enter,
                )
                result |= stages.finish()
                result[f"{level.lower()}_episodes"] = found.report.episodes
        finally:
            pool.close()
    return result


class _Stages:
    """Wall and CPU seconds of each stage of a validation, by what it says it is doing."""

    def __init__(self, name: str) -> None:
        self._name, self._stage = name, "reading"
        self._start = self._since = self._now()
        self._found: dict[str, BenchmarkValue] = {}

    @staticmethod
    def _now() -> tuple[float, float]:
        """Wall seconds, and CPU seconds of this process and its children, those that have ended included."""
        here = psutil.Process()
        own = here.cpu_times()
        times = [own, *(each.cpu_times() for each in here.children(recursive=True))]
        living_s = sum(each.user + each.system for each in times)
        return time.perf_counter(), living_s + own.children_user + own.children_system

    def enter(self, sentence: str) -> None:
        """The stage before this one is over."""
        now = self._now()
        self._found[f"{self._name}_{self._stage}_s"] = now[0] - self._since[0]
        self._found[f"{self._name}_{self._stage}_cpu_s"] = now[1] - self._since[1]
        self._stage, self._since = sentence.split()[0], now

    def finish(self) -> dict[str, BenchmarkValue]:
        """All stages, and the whole."""
        self.enter("done")
        wall_s, cpu_s = (after - before for after, before in zip(self._now(), self._start, strict=True))
        return {f"{self._name}_s": wall_s, f"{self._name}_cpu_s": cpu_s} | self._found


def _random_checkpoint(directory: Path, source: MarketSource, config: SWTConfig, seed: int) -> CheckpointRef:
    """A published checkpoint with random weights and honest ranges."""
    bars = source.bars
    index = build_session_index(bars, check_quality(bars))
    splits = split_index(
        index, bars, config.data.train_share, config.data.validation_share, config.data.purge_bars
    )
    processor = FeatureProcessor(config.features, bars.instrument)
    shape = ObservationShape.for_profile(
        config.features.profile, processor.market_size, processor.position_size
    )
    network = random_network(config.model, shape, seed)
    metadata = CheckpointMetadata(
        architecture=architecture_name(config.model, shape),
        feature_profile=config.features.profile,
        feature_version=processor.version,
        episode=0,
        version="1.0.0",
        config_hash="benchmark",
        data=CheckpointData(
            source=source.name,
            sha256=bars.sha256,
            instrument=bars.instrument.name,
            synthetic=source.synthetic,
            train_start_s=splits.train.start_s,
            train_end_s=splits.train.end_s,
            validation_start_s=splits.validation.start_s,
            validation_end_s=splits.validation.end_s,
            test_start_s=splits.test.start_s,
            test_end_s=splits.test.end_s,
        ),
        model_settings=describe(config.model, shape),
        created_s=0.0,
    )
    return CheckpointStore(directory).save(export_weights(network), metadata)


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Best rate over repetitions that fill ``seconds``."""
    work()
    best, started = 0.0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - begun))
    return best


def _curves(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Equity curves with their maximum drawdown, a second."""
    rng = np.random.default_rng(options.seed)
    returns = rng.normal(0.001, 0.01, 130)

    def ours() -> int:
        resample(returns, fraction=1.0, runs=20_000, steps=STEPS, block=1, seed=options.seed)
        return 20_000

    def plain() -> int:
        for _ in range(200):
            wealth = np.cumprod(1 + rng.choice(returns, STEPS))
            peak = np.maximum.accumulate(wealth)
            (1 - wealth / peak).max()
        return 200

    seconds = 0.5 if options.quick else 2.0
    rate, numpy_rate = _rate(ours, seconds), _rate(plain, seconds)
    result: dict[str, BenchmarkValue] = {
        "monte_carlo_curves_per_s": rate,
        "ratio_numpy": rate / numpy_rate,
        "ratio_quantstats": None,
    }
    if find_spec("quantstats") is not None:
        result["ratio_quantstats"] = rate / _quantstats_rate(returns, seconds)
    return result


def _quantstats_rate(returns: np.ndarray, seconds: float) -> float:
    """quantstats shuffles the series it is given, so it gets one of the same length."""
    import pandas as pd
    import quantstats.stats as peer

    long = np.resize(returns, STEPS)
    series = pd.Series(long, pd.date_range("2020-01-01", periods=STEPS, freq="B"))

    def work() -> int:
        # The call alone may be lazy: its drawdowns have to be asked for.
        np.asarray(peer.montecarlo(series, sims=1000).maxdd)
        return 1000

    return _rate(work, seconds)
