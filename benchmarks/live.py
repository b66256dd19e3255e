"""The live trader measured: bar close to order over loopback HTTP, decisions, a week in lock-step, gaps.

* ``order_*_ms``: the practice server runs in a process of its own; measured on its clock, from the moment it
  tells the trader that a bar's decision is due (the close and the configured ``decision_delay_seconds``
  are over) until the order has arrived. Bars, features, search, safety checks and the journal's fsync lie
  in between, and two ways over the socket.
* ``decision_*_ms``: window to decision within the trader: features and search.
* ``week_s``: a trading week of one-minute bars, daemon and server in this process, real features and search.
* ``rss_growth_mb``: resident memory at the week's end less that after its first day.
* ``gaps_recovered``: share of the gaps that lost streams left and candles filled, with a fault every 20
  minutes of a day.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from swt_broker.asgi import StreamingASGITransport
from swt_core.calendar import DAY_S
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_core.position import BUY, CLOSE, HOLD
from swt_core.state import StateDirectory
from swt_data.bars import Bars
from swt_data.synthetic import synthetic_bars

if TYPE_CHECKING:
    from benchmarks.registry import BenchmarkOptions, BenchmarkValue
    from swt_live.daemon import LiveDaemon
    from swt_live.practice.server import PracticeServer

NAME = "live"
PAIR = instrument("GBP_JPY")
_TOKEN = "benchmark"  # noqa: S105 - opens nothing but this benchmark
_HISTORY = 600
_WEEK_MINUTES = 5 * 1440


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """All of it; ``quick``: a day instead of a week, and fewer orders."""
    from swt_core.numba_cache import configure_numba_cache

    options.overrides("minutes", "orders")
    configure_numba_cache()
    minutes = int(options.number("minutes", 1440 if options.quick else _WEEK_MINUTES))
    orders = int(options.number("orders", 60 if options.quick else 400))
    result: dict[str, BenchmarkValue] = dict(order_latency(options.seed, orders))
    result |= week(options.seed, minutes)
    result |= gaps(options.seed, min(minutes, 1440))
    return result


def order_latency(seed: int, orders: int) -> dict[str, float | int]:
    """Bar close to the order's arrival, server and trader in two processes over loopback HTTP."""
    minutes = 2 * orders + 60
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(there, seed, minutes), name="practice-server", daemon=True)
    server.start()
    try:
        if not here.poll(60.0):
            raise DataError("the practice server's process did not start")
        url = str(here.recv())
        decisions = _Decisions(every_minute=True)
        with tempfile.TemporaryDirectory(prefix="swt-live-") as directory:
            daemon = _daemon(Path(directory), decisions, {"broker_url": url})
            decisions.live(daemon)
        here.send("end")
        arrivals_ms = np.array(here.recv())
    finally:
        server.join(timeout=20)
        if server.is_alive():
            server.terminate()
    return {
        "orders": len(arrivals_ms),
        "order_p50_ms": float(np.percentile(arrivals_ms, 50)),
        "order_p95_ms": float(np.percentile(arrivals_ms, 95)),
        "order_max_ms": float(arrivals_ms.max()),
        "decisions": len(decisions.took_ms),
        "decision_p50_ms": float(np.percentile(decisions.took_ms, 50)),
        "decision_p95_ms": float(np.percentile(decisions.took_ms, 95)),
    }


def week(seed: int, minutes: int) -> dict[str, float | int]:
    """A trading week in lock-step, everything in this process."""
    decisions = _Decisions()
    server = _server(seed, minutes)
    memory = _Memory(server.exchange.now_s + DAY_S)
    with tempfile.TemporaryDirectory(prefix="swt-live-") as directory:
        daemon = _daemon(Path(directory), decisions, {}, server, lambda: memory.look(server.exchange.now_s))
        begun_s = time.perf_counter()
        decisions.live(daemon)
        week_s = time.perf_counter() - begun_s
    assert daemon.trader is not None
    return {
        "week_minutes": minutes,
        "week_s": week_s,
        "week_decisions": len(decisions.took_ms),
        "week_orders": daemon.trader.counters.orders,
        "rss_growth_mb": memory.growth_mb(),
    }


def gaps(seed: int, minutes: int) -> dict[str, float | int]:
    """A day on which the stream is lost, silent or without prices every 20 minutes."""
    from swt_live.practice.faults import Fault, FaultPlan

    start_s = _first_s(practice_bars(seed, minutes))
    kinds = (("stream_reset", 0.0), ("stall", 90.0), ("stall", 400.0), ("price_gap", 300.0))
    faults = FaultPlan()
    for n in range(1, minutes // 20):
        kind, seconds = kinds[n % len(kinds)]
        at_s = start_s + 1200.0 * n
        faults.add(Fault.from_json({"kind": kind, "match": "pricing", "at_s": at_s, "seconds": seconds}))
    server = _server(seed, minutes, faults)
    decisions = _Decisions()
    with tempfile.TemporaryDirectory(prefix="swt-live-") as directory:
        daemon = _daemon(Path(directory), decisions, {"stale_after_seconds": 15.0}, server)
        decisions.live(daemon)
    assert daemon.trader is not None
    counters = daemon.trader.feed.counters
    return {
        "stream_faults": len(faults.struck),
        "gaps": counters.gaps,
        "gaps_recovered": counters.gaps_recovered / counters.gaps if counters.gaps else 1.0,
    }


@dataclass
class _Decisions:
    """Times what decides; with ``every_minute`` each decision sends an order, else every 30th."""

    every_minute: bool = False
    took_ms: list[float] = field(default_factory=list)

    def engine(self) -> Any:
        """The default network's size and search, random weights."""
        import torch

        from benchmarks.random_network import random_network
        from swt_core.config.models import SearchConfig
        from swt_inference.engine import InferenceEngine
        from swt_models.observation import ObservationShape

        torch.set_num_threads(1)
        network = random_network(SWTConfig().model, ObservationShape(128, 9))
        return _Trading(InferenceEngine.from_network(network, SearchConfig()), 1 if self.every_minute else 30)

    def live(self, daemon: LiveDaemon) -> None:
        """Let the daemon trade to the recording's end, and time each of its decisions."""
        from swt_live.decider import decide

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun_s = time.perf_counter()
            point = decide(*args, **kwargs)
            self.took_ms.append(1000.0 * (time.perf_counter() - begun_s))
            return point

        with patch("swt_live.trader.decide", timed):
            asyncio.run(daemon.run())


class _Trading:
    """A real engine whose action gives way, as the observation's digits will have it, to one that trades.

    Random weights rarely trade; what a window and a position decide must stay the same when asked again.
    """

    def __init__(self, engine: Any, every: int) -> None:
        self._engine = engine
        self._every = every

    def decide(self, observation: Any, mask: Any, *, minimum_confidence: float = 0.0) -> Any:
        decision = self._engine.decide(observation, mask, minimum_confidence=minimum_confidence)
        action = HOLD if mask[HOLD] else CLOSE
        if int(1e6 * abs(float(observation[:64].sum()))) % self._every == 0:
            action = CLOSE if mask[CLOSE] else BUY if mask[BUY] else action
        return replace(decision, action=action)


@dataclass
class _Memory:
    """Resident memory from ``from_s`` of market time on."""

    from_s: float
    first_mb: float | None = None

    def look(self, now_s: float) -> None:
        if self.first_mb is None and now_s >= self.from_s:
            self.first_mb = _rss_mb()

    def growth_mb(self) -> float:
        return 0.0 if self.first_mb is None else _rss_mb() - self.first_mb


def _rss_mb() -> float:
    import psutil

    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


def practice_bars(seed: int, minutes: int) -> Bars:
    weeks = minutes // _WEEK_MINUTES + 2
    return synthetic_bars("realistic", 5 * weeks, seed, PAIR).rows(slice(0, _HISTORY + minutes))


def _first_s(bars: Bars) -> float:
    return float(bars.time_s[_HISTORY])


def _server(seed: int, minutes: int, faults: Any = None) -> PracticeServer:
    from swt_live.practice.server import PracticeServer
    from swt_live.practice.settings import PracticeSettings

    bars = practice_bars(seed, minutes)
    return PracticeServer(bars, PracticeSettings(_TOKEN), start_s=_first_s(bars), faults=faults)


def _daemon(
    directory: Path,
    decisions: _Decisions,
    live: dict[str, object],
    server: PracticeServer | None = None,
    on_decision: Callable[[], None] = lambda: None,
) -> LiveDaemon:
    """A daemon with the demo's pace of polling: market seconds cost a request each in lock-step."""
    from swt_features.processor import FeatureProcessor
    from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions

    config = SWTConfig.model_validate(
        {
            "live": {
                "allow_unvalidated": True,
                "broker_url": "http://practice",
                "status_seconds": 600,
                "flag_poll_seconds": 30,
                "stale_after_seconds": 60,
                **live,
            },
            "trading": {"max_entry_spread_pips": 100.0, "minimum_confidence": 0.0},
            "trading_safety": {
                "max_trades_per_hour": 1000,
                "max_consecutive_losses": 1000,
                "max_daily_loss_pips": 1e6,
                "max_drawdown_pips": 1e6,
                "max_slippage_pips": 100.0,
            },
        }
    )
    features = FeatureProcessor(config.features, PAIR)
    directories = LiveDirectories(directory / "live", directory / "checkpoints", directory / "validation")
    save_checkpoint(directories.checkpoints, features.version)
    StateDirectory(directories.live_state).raise_flag("START_TRADING")
    options = LiveOptions(
        transport=None if server is None else StreamingASGITransport(server.app),
        load_engine=lambda _: decisions.engine(),
        on_decision=lambda _: on_decision(),
        health_server=False,
    )
    return LiveDaemon(config, directories, {"SWT_BROKER_TOKEN": _TOKEN}, options)


def save_checkpoint(directory: Path, feature_version: str) -> None:
    store = CheckpointStore(directory)
    data = CheckpointData(
        source="synthetic", sha256="0" * 64, instrument=PAIR.name, synthetic=True, train_start_s=0,
        train_end_s=1, validation_start_s=2, validation_end_s=3, test_start_s=4, test_end_s=5,
    )  # fmt: skip
    metadata = CheckpointMetadata(
        architecture="swt", feature_profile="swt", feature_version=feature_version, episode=1,
        version="1.0.0", config_hash="none", data=data, created_s=0.0,
    )  # fmt: skip
    store.mark_best(store.save({"w": np.ones(3, np.float32)}, metadata))


def _serve(pipe: Connection, seed: int, minutes: int) -> None:
    """The server's process: serves, and times each order from the last answer of the clock."""
    server = _server(seed, minutes)
    app = server.app
    arrivals_ms: list[float] = []
    told_s = time.perf_counter()

    async def timing(scope: Any, receive: Any, send: Any) -> None:
        nonlocal told_s
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/orders"):
            arrivals_ms.append(1000.0 * (time.perf_counter() - told_s))
        if scope["type"] != "http" or not scope["path"].endswith("/clock/advance"):
            await app(scope, receive, send)
            return

        async def noting(message: Any) -> None:
            nonlocal told_s
            # From before the answer leaves: its way to the trader is part of what is measured.
            told_s = time.perf_counter()
            await send(message)

        await app(scope, receive, noting)

    server.app = timing
    with server.serving() as url:
        pipe.send(url)
        pipe.recv()
        pipe.send(arrivals_ms)
