"""The product's promise: a recorded day shows the agent the same bits live as in training and validation.

One stretch of real bars is traded twice by one network: by the environment, in a batch with other episodes,
and by the live daemon over HTTP against the practice server. Nothing is rounded in the comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.random_network import random_network
from swt_core.calendar import trading_day
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.position import BUY, HOLD, SELL
from swt_core.records import TradeResult
from swt_core.state import StateDirectory
from swt_data.bars import Bars
from swt_data.files import read_bars
from swt_data.spreads import hourly_spread
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions
from swt_live.decider import DecisionPoint
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_models.architecture import describe
from swt_models.export import export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

PAIR = instrument("GBP_JPY")
TOKEN = "test-token"
HISTORY = 600
# Random networks differ in temper: the first of these seeds whose network really trades is taken.
NETWORK_SEEDS = (2, 0, 5, 1, 6, 7, 3, *range(8, 30))
HEAD_SCALE = 0.12
LONG_PIPS_PER_DAY, SHORT_PIPS_PER_DAY = -1.25, 0.375


@dataclass(frozen=True)
class Decided:
    """One decision as either side took it."""

    observation: bytes
    mask: tuple[bool, ...]
    action: int
    searched_action: int
    visit_counts: tuple[int, ...]
    root_value: float


@dataclass(frozen=True)
class Traded:
    """A stretch of bars as one side traded it; decisions by the bar's time."""

    decisions: dict[int, Decided]
    trades: list[TradeResult]


@pytest.fixture(scope="module")
def config() -> SWTConfig:
    """Financing and the spreads of the hour are in; what would stop trading for a person's sake is out."""
    return SWTConfig.model_validate(
        {
            "live": {
                "allow_unvalidated": True,
                "status_seconds": 3600,
                "flag_poll_seconds": 60,
                "stale_after_seconds": 120,
                "price_bound_pips": 500.0,
            },
            "trading": {
                "financing_long_pips_per_day": LONG_PIPS_PER_DAY,
                "financing_short_pips_per_day": SHORT_PIPS_PER_DAY,
            },
            "trading_safety": {
                "position_check_seconds": 3600,
                "max_trades_per_hour": 1000,
                "max_consecutive_losses": 1000,
                "max_daily_loss_pips": 1e6,
                "max_drawdown_pips": 1e6,
                "max_slippage_pips": 1000.0,
            },
        }
    )


@pytest.fixture(scope="module")
def features(config: SWTConfig) -> FeatureProcessor:
    return FeatureProcessor(config.features, PAIR)


def stretch(path: Path, start: str, end: str) -> Bars:
    """Recorded bars in ``[start, end)`` and the `HISTORY` bars before them."""
    bars = hourly_spread(read_bars(path, PAIR, 4.0))
    first, last = np.searchsorted(
        bars.time_s, [np.datetime64(text, "s").astype(np.int64) for text in (start, end)]
    )
    return bars.rows(slice(int(first) - HISTORY, int(last)))


def save_checkpoint(
    directory: Path, network: StochasticMuZeroNetwork, features: FeatureProcessor
) -> CheckpointRef:
    """A network as the trainer would have left it."""
    data = CheckpointData(
        source="recorded", sha256="0" * 64, instrument=PAIR.name, synthetic=False, train_start_s=0,
        train_end_s=1, validation_start_s=2, validation_end_s=3, test_start_s=4, test_end_s=5,
    )  # fmt: skip
    metadata = CheckpointMetadata(
        architecture="swt", feature_profile="swt", feature_version=features.version, episode=1,
        version="1.0.0", config_hash="c", data=data, created_s=0.0,
        model_settings=describe(network.model, network.observation),
    )  # fmt: skip
    store = CheckpointStore(directory)
    ref = store.save(export_weights(network), metadata)
    store.mark_best(ref)
    return ref


def trade_both_ways(
    bars: Bars,
    config: SWTConfig,
    features: FeatureProcessor,
    directory: Path,
    enough: Callable[[list[TradeResult]], bool],
) -> tuple[Traded, Traded]:
    """Live and simulated, by one network that trades ``enough`` in the environment."""
    shape = ObservationShape(features.market_size, features.position_size)
    directories = LiveDirectories(directory / "live", directory / "checkpoints", directory / "validation")
    for seed in NETWORK_SEEDS:
        network = random_network(config.model, shape, seed, HEAD_SCALE)
        engine = InferenceEngine.from_network(network, config.trading.search)
        if enough(trade_in_the_environment(bars, config, features, engine).trades):
            ref = save_checkpoint(directories.checkpoints, network, features)
            engine = InferenceEngine.from_checkpoint(ref, config.trading.search)
            simulated = trade_in_the_environment(bars, config, features, engine)
            return trade_live(bars, config, directories), simulated
    raise AssertionError("no random network trades: the comparison would mean nothing")


def trade_in_the_environment(
    bars: Bars, config: SWTConfig, features: FeatureProcessor, engine: InferenceEngine
) -> Traded:
    """Episode 0 is the stretch; two others beside it begin earlier, so that it is decided in a batch."""
    first, last = HISTORY, len(bars) - 2
    shifts = np.array([0, 97, 211])
    simulation = BatchSimulation(Market(bars, features, config.trading), first - shifts, last - shifts)
    decisions: dict[int, Decided] = {}
    while simulation.active[0]:
        observations, masks = simulation.observe(), simulation.masks()
        batch = engine.decide_batch(observations, masks, minimum_confidence=config.trading.minimum_confidence)
        decisions[int(bars.time_s[simulation.rows[0]])] = Decided(
            observations[0].tobytes(),
            tuple(bool(x) for x in masks[0]),
            int(batch.actions[0]),
            int(batch.searched_actions[0]),
            tuple(int(x) for x in batch.visit_counts[0]),
            float(batch.root_values[0]),
        )
        simulation.step(batch.actions)
    trades = [item.trade for item in simulation.trades() if item.episode == 0 and not item.trade.forced]
    return Traded(decisions, trades)


def trade_live(bars: Bars, config: SWTConfig, directories: LiveDirectories) -> Traded:
    """The daemon as `swt live` runs it, in lock-step over HTTP."""
    StateDirectory(directories.live_state).raise_flag("START_TRADING")
    points: list[DecisionPoint] = []
    server = PracticeServer(bars, PracticeSettings(TOKEN), start_s=float(bars.time_s[HISTORY]))
    with server.serving() as url:
        live = config.live.model_copy(update={"broker_url": url})
        daemon = LiveDaemon(
            config.model_copy(update={"live": live}),
            directories,
            {"SWT_BROKER_TOKEN": TOKEN},
            LiveOptions(on_decision=points.append, health_server=False),
        )
        asyncio.run(daemon.run())
    journal = Journal(directories.live_state / JOURNAL_FILE)
    try:
        for event in ("foreign_fill", "outcome_unknown", "candle_differs", "pnl_mismatch", "halt"):
            assert not journal.audits(event)
        assert not [audit for audit in journal.audits() if audit[1].startswith("drift")]
        trades = journal.trades()
    finally:
        journal.close()
    decisions = {
        point.market.bar_time_s: Decided(
            point.observation.tobytes(),
            tuple(bool(x) for x in point.mask),
            point.decision.action,
            point.decision.searched_action,
            point.decision.visit_counts,
            point.decision.root_value,
        )
        for point in points
    }
    assert len(decisions) == len(points)
    return Traded(decisions, trades)


def comparable(trades: list[TradeResult]) -> list[TradeResult]:
    """Live, times are those of the fills and slippage is measured; everything else has to be the same."""
    minute = [(60 * (t.entry_time_s // 60), 60 * (t.exit_time_s // 60)) for t in trades]
    return [
        replace(trade, entry_time_s=entry_s, exit_time_s=exit_s, slippage_pips=0.0)
        for trade, (entry_s, exit_s) in zip(trades, minute, strict=True)
    ]


def assert_same_decisions(live: Traded, simulated: Traded, compared_s: NDArray[np.int64]) -> None:
    for time_s in compared_s.tolist():
        ours, theirs = live.decisions[time_s], simulated.decisions[time_s]
        assert ours == theirs, f"bar {np.datetime64(time_s, 's')}: live {ours}, environment {theirs}"


def held_over_a_rollover(trades: list[TradeResult]) -> list[TradeResult]:
    return [t for t in trades if trading_day(t.entry_time_s) != trading_day(t.exit_time_s)]


def trades_both_sides_and_holds_over_the_break(trades: list[TradeResult]) -> bool:
    longs = sum(trade.side > 0 for trade in trades)
    held = [trade for trade in held_over_a_rollover(trades) if trade.bars > 5]
    return min(longs, len(trades) - longs) >= 3 and bool(held)


@pytest.mark.parametrize(
    ("start", "whole_days"),
    [
        pytest.param("2025-11-18T19:00", 0, id="five hours over the daily break"),
        pytest.param("2025-11-17T20:00", 1, id="a trading day and both its breaks", marks=pytest.mark.slow),
    ],
)
def test_recorded_bars_are_traded_live_exactly_as_in_the_environment(
    fx_dir: Path, tmp_path: Path, config: SWTConfig, features: FeatureProcessor, start: str, whole_days: int
) -> None:
    bars = stretch(fx_dir / "GBPJPY_M1_2025-days.parquet", start, "2025-11-19T00:00")
    _, counts = np.unique(trading_day(bars.time_s[HISTORY:]), return_counts=True)
    assert (counts == 1436).sum() == whole_days
    live, simulated = trade_both_ways(
        bars, config, features, tmp_path, trades_both_sides_and_holds_over_the_break
    )

    assert_same_decisions(live, simulated, bars.time_s[HISTORY : len(bars) - 1])
    assert set(live.decisions) - set(simulated.decisions) <= {int(bars.time_s[-1])}
    assert comparable(live.trades) == comparable(simulated.trades)
    assert {BUY, SELL, HOLD} < {decided.action for decided in live.decisions.values()}
    # Free, in a position, and kept out by the spread of the hour after 17:00 New York.
    assert len({decided.mask for decided in live.decisions.values()}) == 3
    for trade in held_over_a_rollover(live.trades):
        price_pips = trade.side * (trade.exit_points - trade.entry_points) / PAIR.points_per_pip
        carry_pips = LONG_PIPS_PER_DAY if trade.side > 0 else SHORT_PIPS_PER_DAY
        assert trade.pnl_pips == pytest.approx(price_pips + carry_pips)


@pytest.mark.slow
def test_a_weekend_on_which_clocks_change_is_traded_live_exactly_as_in_the_environment(
    fx_dir: Path, tmp_path: Path, config: SWTConfig, features: FeatureProcessor
) -> None:
    """Friday 22:00 UTC was the close, Sunday 21:00 UTC the open: New York had moved its clocks."""
    bars = stretch(fx_dir / "GBPJPY_M1_2018-2019_cross.parquet", "2018-03-09T20:00", "2018-03-11T23:30")
    friday_close_s = int(np.datetime64("2018-03-09T22:00", "s").astype(int))
    live, simulated = trade_both_ways(
        bars, config, features, tmp_path, lambda trades: any(t.entry_time_s > friday_close_s for t in trades)
    )

    times_s = bars.time_s[HISTORY : len(bars) - 1]
    decided = np.array([time_s in live.decisions for time_s in times_s.tolist()])
    assert_same_decisions(live, simulated, times_s[decided])
    # Once the market has closed for the week nobody decides; there was nothing left to decide.
    undecided_s = times_s[~decided]
    assert (np.abs(undecided_s - friday_close_s) <= 180).all()
    assert {simulated.decisions[time_s].mask for time_s in undecided_s.tolist()} <= {
        (True, False, False, False)
    }
    assert (times_s[decided] > friday_close_s).sum() > 100
    assert comparable(live.trades) == comparable(simulated.trades)
