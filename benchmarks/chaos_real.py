"""The same rules with real processes over real HTTP: the trader is killed with ``kill -9`` at random times.

The practice server runs in a process of its own. While a trader lives, market time moves in lock-step with
it, some market minutes a second, so that it dies in the middle of things; while it is dead the market moves
on as well. Faults, foreign trades and the person's flags come on top. After the last death a trader lives
long enough to put everything right; then the broker's log, the journal and what arrived on the wire are
compared.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swt_core.clock import SystemClock
from swt_core.config import SWTConfig
from swt_core.errors import DataError
from swt_core.state import StateDirectory

if TYPE_CHECKING:
    from benchmarks.registry import BenchmarkValue

_CLOCK = SystemClock()
_TOKEN = "benchmark"  # noqa: S105 - opens nothing but this benchmark
_MINUTES = 20 * 1440
_FAULTS_PER_HOUR = 1.0
# Longer than the longest delay of an order on its way.
_SETTLING_S = 31.0
_CALM_S = 12.0


@dataclass(frozen=True)
class _Served:
    """What the server's process saw."""

    log: list[dict[str, Any]]
    units: int
    posted: list[tuple[float, str, bool]]
    faults: int
    oversize_end: bool


def run_rounds(rounds: int, seed: int) -> dict[str, BenchmarkValue]:
    """``rounds`` deaths, then calm; the counts of `swt_live.simulation.invariants.Violations`."""
    import httpx

    begun_s = time.perf_counter()
    rng = np.random.default_rng(seed)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(there, seed), name="practice-server", daemon=True)
    server.start()
    deaths = foreign = starts = 0
    stopped_s: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="swt-chaos-") as name:
        try:
            if not here.poll(60.0):
                raise DataError("the practice server's process did not start")
            url = str(here.recv())
            state = StateDirectory(Path(name) / "live")
            state.raise_flag("START_TRADING")
            control = httpx.Client(
                base_url=url, headers={"Authorization": f"Bearer {_TOKEN}"}, trust_env=False
            )
            for _ in range(rounds):
                trader = context.Process(target=_trade, args=(url, name, seed), name="trader", daemon=True)
                trader.start()
                starts += 1
                _wait_until_it_lives(state, starts, trader)
                # The first one fills caches of compiled code; some die while they start, most while trading.
                if starts == 1 or rng.random() < 0.75:
                    _wait_until_it_trades(state, trader, 180.0 if starts == 1 else 20.0)
                time.sleep(float(rng.exponential(1.0)))
                deed = rng.random()
                if deed < 0.15:
                    foreign += 1
                    control.post("/control/trade", json={"units": int(rng.choice([-2, -1, 1]))})
                elif deed < 0.35:
                    state.lower_flag("START_TRADING")
                    stopped_s.append((_CLOCK.time_s(), float("inf")))
                    time.sleep(float(rng.uniform(0.3, 2.0)))
                    stopped_s[-1] = (stopped_s[-1][0], _CLOCK.time_s())
                    state.raise_flag("START_TRADING")
                deaths += _kill(trader)
                _let_pass(control, float(rng.choice([0.0, 0.0, 5.0, 70.0, 400.0])))
            control.delete("/control/faults")
            time.sleep(_SETTLING_S)
            state.lower_flag("START_TRADING")
            stopped_s.append((_CLOCK.time_s(), float("inf")))
            time.sleep(0.5)
            stopped_s[-1] = (stopped_s[-1][0], _CLOCK.time_s())
            state.raise_flag("START_TRADING")
            trader = context.Process(target=_trade, args=(url, name, seed), name="trader", daemon=True)
            trader.start()
            _wait_until_it_lives(state, starts + 1, trader)
            time.sleep(_CALM_S)
            assert trader.pid is not None
            os.kill(trader.pid, signal.SIGTERM)
            trader.join(timeout=30)
            alive = trader.exitcode == 0
            _kill(trader)
            control.close()
            here.send("end")
            served = _Served(*here.recv())
        finally:
            server.join(timeout=20)
            if server.is_alive():
                server.terminate()
        result = _verdict(state, served, stopped_s, alive)
    return {
        "rounds": rounds,
        **result,
        "deaths": deaths,
        "orders": len(served.posted),
        "faults": served.faults,
        "foreign_trades": foreign,
        "wall_s": time.perf_counter() - begun_s,
    }


def _let_pass(control: Any, market_s: float) -> None:
    """Market time that a dead trader does not see."""
    now_s = float(control.get("/control/clock").json()["time_s"])
    me = {"participant": "chaos"}
    # One that died while it was not waiting for time would be waited for.
    control.post("/control/clock/leave", json={"participant": "trader"})
    control.post("/control/clock/advance", json={"until_s": now_s + market_s, **me})
    control.post("/control/clock/leave", json=me)


def _kill(process: Any) -> int:
    """kill -9; 1 if it was still alive."""
    if not process.is_alive():
        return 0
    process.kill()
    process.join(timeout=10)
    return 1


def _wait_until_it_lives(state: StateDirectory, starts: int, process: Any) -> None:
    """Until the ``starts``-th trader has begun its work (it says so before its first step)."""
    limit_s = time.perf_counter() + 60.0
    while time.perf_counter() < limit_s and process.is_alive():
        path = state.file("starts")
        if path.exists() and path.stat().st_size >= starts:
            return
        time.sleep(0.02)


def _wait_until_it_trades(state: StateDirectory, process: Any, limit_s: float) -> None:
    """Until the trader has written an intent, or for so long."""
    import sqlite3
    from contextlib import closing

    path = state.file("journal.db")
    until_s, first = time.perf_counter() + limit_s, None
    while time.perf_counter() < until_s and process.is_alive():
        time.sleep(0.05)
        if path.exists():
            try:
                with closing(sqlite3.connect(path)) as database:
                    count = database.execute("SELECT COUNT(*) FROM intents").fetchone()[0]
            except sqlite3.Error:
                continue  # it is just being made
            first = count if first is None else first
            if count > first:
                return


def _verdict(
    state: StateDirectory, served: _Served, stopped_s: list[tuple[float, float]], alive: bool
) -> dict[str, int]:
    from swt_live.book import BookState
    from swt_live.journal import JOURNAL_FILE, Journal
    from swt_live.ledger import BOOK_KEY
    from swt_live.simulation.invariants import Evidence, judge
    from swt_live.status import STATUS_FILE, LiveStatus

    journal = Journal(state.file(JOURNAL_FILE))
    book = journal.load(BOOK_KEY, BookState)
    status = state.read(STATUS_FILE, LiveStatus)
    # An order that was on its way when the flag went is not one that was sent against it.
    forbidden = [
        client_id
        for at_s, client_id, entry in served.posted
        if entry and any(begin_s + 0.25 < at_s < end_s for begin_s, end_s in stopped_s)
    ]
    evidence = Evidence(
        log=served.log,
        journal=journal,
        posted=[client_id for _, client_id, _ in served.posted],
        entries_while_stopped=len(forbidden),
        oversize=int(served.oversize_end),
        book_units=0 if book is None or book.holding is None else book.holding.units,
        broker_units=served.units,
        recovered=alive and status is not None and status.reconciled,
    )
    found = asdict(judge(evidence))
    journal.close()
    return found


def _config(url: str) -> SWTConfig:
    return SWTConfig.model_validate(
        {
            "live": {
                "allow_unvalidated": True,
                "broker_url": url,
                "flag_poll_seconds": 10.0,
                "stale_after_seconds": 30.0,
            },
            "trading": {"max_entry_spread_pips": 100.0, "minimum_confidence": 0.0},
            "trading_safety": {
                "emergency_violations": 1000,
                "max_trades_per_hour": 1000,
                "max_consecutive_losses": 1000,
                "max_daily_loss_pips": 1e6,
                "max_drawdown_pips": 1e6,
                "max_slippage_pips": 100.0,
            },
        }
    )


def _trade(url: str, directory: str, seed: int) -> None:
    """The trader's process: the daemon as it is, with a script instead of a model."""
    import asyncio

    from benchmarks.live import PAIR, save_checkpoint
    from swt_core.logs import configure_logging
    from swt_core.numba_cache import configure_numba_cache
    from swt_core.position import BUY, CLOSE, SELL
    from swt_core.process import ManagedProcess
    from swt_features.processor import FeatureProcessor
    from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions
    from swt_live.simulation.stand_ins import ScriptedPolicy

    configure_numba_cache()
    configure_logging(json=True, service="trader", level="ERROR")
    config = _config(url)
    root = Path(directory)
    directories = LiveDirectories(root / "live", root / "checkpoints", root / "validation")
    if not directories.checkpoints.exists():
        save_checkpoint(directories.checkpoints, FeatureProcessor(config.features, PAIR).version)
    script = np.random.default_rng((seed, os.getpid())).choice([BUY, SELL, CLOSE, CLOSE], 10_000)
    options = LiveOptions(load_engine=lambda _: ScriptedPolicy(script), health_server=False)
    daemon = LiveDaemon(config, directories, {"SWT_BROKER_TOKEN": _TOKEN}, options)
    with ManagedProcess("live", config.process_limits, daemon.state, _CLOCK) as process:
        with (root / "live" / "starts").open("a") as file:
            file.write(".")
        asyncio.run(daemon.run(process))


def _serve(pipe: Connection, seed: int) -> None:
    """The server's process; notes each order that arrives, with the wall time of its arrival."""
    from benchmarks.live import practice_bars
    from swt_live.practice.faults import FaultPlan, seeded_faults
    from swt_live.practice.server import PracticeServer
    from swt_live.practice.settings import PracticeSettings

    bars = practice_bars(seed, _MINUTES)
    start_s = float(bars.time_s[600])
    rng = np.random.default_rng(np.random.SeedSequence((seed, 2)))
    faults = FaultPlan(seeded_faults(rng, start_s, start_s + 60.0 * _MINUTES, _FAULTS_PER_HOUR))
    settings = PracticeSettings(_TOKEN)
    server = PracticeServer(bars, settings, start_s=start_s, faults=faults)
    app = server.app
    posted: list[tuple[float, str, bool]] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/orders"):
            await app(scope, receive, send)
            return
        arrived_s, parts = _CLOCK.time_s(), []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        body = b"".join(parts)
        order = json.loads(body)["order"]
        posted.append(
            (arrived_s, order["clientExtensions"]["id"], order.get("positionFill") != "REDUCE_ONLY")
        )
        whole: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return whole.pop() if whole else await receive()

        await app(scope, again, send)

    server.app = noting
    with server.serving() as url:
        pipe.send(url)
        pipe.recv()
        account = server.exchange.account
        log = list(account.log.entries)
        pipe.send((log, account.units, posted, len(faults.struck), abs(account.units) > 1))
