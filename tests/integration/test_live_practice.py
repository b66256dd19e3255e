"""The live daemon and the practice server in one process, in lock-step: a day as fast as it computes."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from swt_broker.asgi import StreamingASGITransport
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_core.records import TradingDecision
from swt_core.state import StateDirectory
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor
from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions
from swt_live.decider import DecisionPoint
from swt_live.journal import Journal
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_live.replay import recompute
from swt_live.status import LiveStatus

PAIR = instrument("GBP_JPY")
TOKEN = "test-token"
START_ROW, MINUTES = 600, 150


class Periodic:
    """Buys or sells every so often and closes a while later, from the observation alone."""

    def decide(self, observation, mask, *, minimum_confidence=0.0) -> TradingDecision:  # type: ignore[no-untyped-def]
        number = int(abs(float(observation[:64].sum())) * 1e6) % 97
        action = HOLD
        if mask[CLOSE]:
            action = CLOSE if number < 20 or not mask[HOLD] else HOLD
        elif mask[BUY] and number < 30:
            action = BUY if number % 2 else SELL
        visits = tuple(15 if i == action else 0 for i in range(4))
        return TradingDecision(action, 1.0, 0.0, visits, (0.25,) * 4, (0.0,) * 4, action, "")


def checkpoint(directory: Path, features: FeatureProcessor) -> CheckpointStore:
    store = CheckpointStore(directory)
    data = CheckpointData(
        source="synthetic", sha256="0" * 64, instrument=PAIR.name, synthetic=True, train_start_s=0,
        train_end_s=1, validation_start_s=2, validation_end_s=3, test_start_s=4, test_end_s=5,
    )  # fmt: skip
    metadata = CheckpointMetadata(
        architecture="swt", feature_profile="swt", feature_version=features.version, episode=1,
        version="1.0.0", config_hash="c", data=data, created_s=0.0,
    )  # fmt: skip
    store.mark_best(store.save({"w": np.ones(3, np.float32)}, metadata))
    return store


@pytest.fixture
def config() -> SWTConfig:
    return SWTConfig.model_validate(
        {
            "live": {
                "allow_unvalidated": True,
                "broker_url": "http://practice",
                "status_seconds": 600,
                "flag_poll_seconds": 30,
                "stale_after_seconds": 60,
            },
            "trading": {"max_entry_spread_pips": 100.0},
            "trading_safety": {
                "max_trades_per_hour": 1000,
                "max_consecutive_losses": 1000,
                "max_daily_loss_pips": 1e6,
                "max_drawdown_pips": 1e6,
                "max_slippage_pips": 100.0,
            },
        }
    )


async def test_live_on_the_practice_server_equals_the_environment(tmp_path: Path, config: SWTConfig) -> None:
    bars = synthetic_bars("realistic", 5, 3, PAIR).rows(slice(0, START_ROW + MINUTES))
    server = PracticeServer(bars, PracticeSettings(TOKEN), start_s=float(bars.time_s[START_ROW]))
    features = FeatureProcessor(config.features, PAIR)
    directories = LiveDirectories(tmp_path / "live", tmp_path / "checkpoints", tmp_path / "validation")
    checkpoint(directories.checkpoints, features)
    StateDirectory(directories.live_state).raise_flag("START_TRADING")
    points: list[DecisionPoint] = []
    daemon = LiveDaemon(
        config,
        directories,
        {"SWT_BROKER_TOKEN": TOKEN},
        LiveOptions(
            transport=StreamingASGITransport(server.app),
            load_engine=lambda _: Periodic(),
            on_decision=points.append,
            health_server=False,
        ),
    )
    await daemon.run()

    assert len(points) > MINUTES - 10
    first = int(np.searchsorted(bars.time_s, points[0].market.bar_time_s))
    last = int(np.searchsorted(bars.time_s, points[-1].market.bar_time_s))
    assert last - first + 1 == len(points)
    simulation = BatchSimulation(
        Market(bars, features, config.trading), np.array([first]), np.array([min(last, len(bars) - 2)])
    )
    for point in points[: len(bars) - 1 - first]:
        assert point.observation.tobytes() == simulation.observe()[0].tobytes()
        simulation.step(np.array([point.decision.action]))
    journal = Journal(directories.live_state / "journal.db")
    trades = journal.trades()
    assert len(trades) > 3
    for ours, theirs in zip(trades, simulation.trades(), strict=False):
        assert ours.pnl_pips == theirs.trade.pnl_pips
        assert ours.entry_points == theirs.trade.entry_points
    assert not journal.audits("foreign_fill")
    assert not [audit for audit in journal.audits() if audit[1].startswith("drift")]
    assert not journal.audits("candle_differs")

    day = np.datetime64(points[0].market.bar_time_s, "s").astype("datetime64[D]")
    report = recompute(journal, config, PAIR, features, lambda _: Periodic(), str(day))
    assert report.decisions > 50
    assert report.agreed == report.recomputed == report.decisions


def test_the_daemon_over_http_is_healthy_writes_its_state_and_survives_a_restart(
    tmp_path: Path, config: SWTConfig
) -> None:
    bars = synthetic_bars("realistic", 5, 3, PAIR).rows(slice(0, START_ROW + 40))
    server = PracticeServer(bars, PracticeSettings(TOKEN), start_s=float(bars.time_s[START_ROW]))
    directories = LiveDirectories(tmp_path / "live", tmp_path / "checkpoints", tmp_path / "validation")
    checkpoint(directories.checkpoints, FeatureProcessor(config.features, PAIR))
    StateDirectory(directories.live_state).raise_flag("START_TRADING")
    seen: list[tuple[int, str]] = []
    decided: list[int] = []
    with server.serving() as url:
        live = config.live.model_copy(update={"broker_url": url, "health_port": 0, "status_seconds": 1})

        def start(stop_after: int | None) -> None:
            def on_decision(point: DecisionPoint) -> None:
                decided.append(point.market.bar_time_s)
                if len(decided) % 10 == 0:
                    answer = httpx.get(f"{daemon.health_url}/health")
                    seen.append((answer.status_code, httpx.get(f"{daemon.health_url}/metrics").text))
                if len(decided) == stop_after:
                    assert daemon.trader is not None
                    daemon.trader.stop()

            daemon = LiveDaemon(
                config.model_copy(update={"live": live}),
                directories,
                {"SWT_BROKER_TOKEN": TOKEN},
                LiveOptions(load_engine=lambda _: Periodic(), on_decision=on_decision),
            )
            daemon.serve()

        start(15)
        start(None)
    assert len(decided) == len(set(decided)) >= 35
    assert {code for code, _ in seen} == {200}
    assert "swt_live_decisions_total" in seen[-1][1]
    status = StateDirectory(directories.live_state).read("status.json", LiveStatus)
    assert status is not None
    assert status.reconciled
    assert StateDirectory(directories.live_state).heartbeat() is not None
