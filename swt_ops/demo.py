"""`swt demo`: the whole loop once — bars, features, training, verdict, one traded day.

Each stage is the product's own code as the daemons run it; the demo only puts them in a row, shows progress
and says at the end whether the agent earned anything on sessions nobody trained on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swt_broker.credentials import EMBEDDED_TOKEN
from swt_core.calendar import trading_day
from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock, iso_utc
from swt_core.config import SWTConfig
from swt_core.errors import CheckpointError, DataError
from swt_core.workspace import Workspace
from swt_data.bars import Bars
from swt_data.quality_pages import write_html
from swt_environments.dataset import Dataset, load_dataset
from swt_features.plot import plot_day
from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_live.replay import replay_day
from swt_live.trader_parts import START_FLAG
from swt_training.daemon import run_trainer
from swt_training.figures import Progress as TrainingProgress
from swt_validation.checkpoint_validation import MarketSource, Validation, validate_checkpoint
from swt_validation.levels import parse_level
from swt_validation.report import TRADES_FILE

LIVE_HISTORY_BARS = 600


class Watcher:
    """What the demo tells whoever is looking; every method may be overridden."""

    def stage(self, title: str) -> None:
        """A stage begins."""

    def fact(self, name: str, value: str) -> None:
        """Something found in this stage."""

    def progress(self, done: float, total: float, note: str) -> None:
        """How far the stage is."""


@dataclass(frozen=True)
class LiveDay:
    """What one replayed trading day came to."""

    day: str
    decisions: int
    trades: int
    pips: float
    agreed: int
    recomputed: int
    authority: str


@dataclass(frozen=True)
class DemoResult:
    """Everything the summary shows.

    ``earned`` is the demo's claim: the 95 % interval of the profit per held-out session, after costs, lies
    above zero.
    """

    checkpoint: CheckpointRef
    validation: Validation
    pips_per_session: float
    interval_pips: tuple[float, float]
    live: LiveDay
    artefacts: dict[str, Path]

    @property
    def earned(self) -> bool:
        return self.interval_pips[0] > 0.0


def run_demo(config: SWTConfig, workspace: Workspace, clock: Clock, watcher: Watcher) -> DemoResult:
    """Run every stage in ``workspace``.

    Raises:
        SWTError: a stage cannot go on; what exists by then stays in the workspace.
    """
    artefacts: dict[str, Path] = {}
    dataset = _look_at_data(config, workspace, watcher, artefacts)
    checkpoint = _train(config, workspace, clock, watcher, artefacts)
    validation = _validate(config, workspace, clock, dataset, checkpoint, watcher, artefacts)
    mean, low, high = session_interval(validation, config.validation.seed)
    watcher.fact("held-out sessions", f"{mean:+.1f} pips each after costs (95 %: {low:+.1f} … {high:+.1f})")
    live = _trade_a_day(config, workspace, dataset, watcher, artefacts)
    return DemoResult(checkpoint, validation, mean, (low, high), live, artefacts)


def _look_at_data(
    config: SWTConfig, workspace: Workspace, watcher: Watcher, artefacts: dict[str, Path]
) -> Dataset:
    watcher.stage("market data, sessions and features")
    dataset = load_dataset(config)
    bars, splits = dataset.bars, dataset.splits
    workspace.data.mkdir(parents=True, exist_ok=True)
    artefacts["data quality report"] = workspace.data / "quality.html"
    write_html(dataset.quality, bars, artefacts["data quality report"], dataset.source)
    watcher.fact("bars", f"{len(bars):,} of {bars.instrument.name}, {dataset.source}: accepted")
    for name, split in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        watcher.fact(
            name,
            f"{len(split.starts):,} session starts, {len(split.weeks)} whole weeks, "
            f"{iso_utc(split.start_s)[:10]} … {iso_utc(split.end_s)[:10]}",
        )
    day_s = _day_for_live(bars, splits.test.start_s)
    artefacts["a day as the agent sees it"] = workspace.data / "features.png"
    plot_day(bars, day_s, config.features, artefacts["a day as the agent sees it"])
    processor = dataset.market.processor
    watcher.fact(
        "observation",
        f"{processor.market_size} wavelet + {processor.position_size} position values, "
        f"features {processor.version}",
    )
    return dataset


def _train(
    config: SWTConfig, workspace: Workspace, clock: Clock, watcher: Watcher, artefacts: dict[str, Path]
) -> CheckpointRef:
    watcher.stage("self-play and training")
    total_s = (config.training.maximum_minutes or 2.0) * 60.0

    def show(now: TrainingProgress) -> None:
        note = f"{now.episodes} episodes played, {now.learner_sessions} sessions learned"
        watcher.progress(min(now.elapsed_s, total_s), total_s, note)

    watcher.progress(0.0, total_s, "starting actors")
    trainer = run_trainer(config, workspace, clock, on_progress=show)
    watcher.progress(total_s, total_s, f"{trainer.counters.episodes} episodes played")
    best = CheckpointStore(workspace.checkpoints).best()
    if best is None:
        raise CheckpointError(
            "training ended without a checkpoint",
            remedy="give it more time: --set training.maximum_minutes=3",
        )
    artefacts["checkpoint"] = best.path
    artefacts["training metrics"] = workspace.training_state / "metrics.jsonl"
    sqn = "undefined" if best.metadata.sqn is None else f"{best.metadata.sqn:.2f}"
    watcher.fact("learned from", f"{trainer.counters.learner_sessions:,} sessions")
    watcher.fact("best checkpoint", f"{best.name}, SQN {sqn} on the validation range")
    return best


def _validate(
    config: SWTConfig,
    workspace: Workspace,
    clock: Clock,
    dataset: Dataset,
    checkpoint: CheckpointRef,
    watcher: Watcher,
    artefacts: dict[str, Path],
) -> Validation:
    level = parse_level(config.validation.level)
    watcher.stage(f"validation, {level}")
    validation = validate_checkpoint(
        checkpoint,
        source=MarketSource(dataset.bars, dataset.source, dataset.synthetic),
        config=config,
        level=level,
        state=workspace.validation_state,
        clock=clock,
        progress=lambda note: watcher.progress(0.0, 0.0, note),
    )
    verdict = validation.verdict
    watcher.fact("verdict", f"{verdict.decision}: {'; '.join(verdict.reasons)}")
    artefacts["report"] = validation.pdf
    artefacts["trades"] = validation.directory / TRADES_FILE
    return validation


def session_interval(validation: Validation, seed: int) -> tuple[float, float, float]:
    """Mean profit per held-out session and its bootstrap 95 % interval, pips.

    Raises:
        DataError: the validation played no session.
    """
    pips = np.array(validation.report.episode_pips)
    if not len(pips):
        raise DataError("no held-out session was played")
    rng = np.random.default_rng(seed)
    means = rng.choice(pips, (2000, len(pips))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(pips.mean()), float(low), float(high)


def _trade_a_day(
    config: SWTConfig,
    workspace: Workspace,
    dataset: Dataset,
    watcher: Watcher,
    artefacts: dict[str, Path],
) -> LiveDay:
    bars = _one_day(dataset.bars, _day_for_live(dataset.bars, dataset.splits.test.start_s))
    day = str(np.datetime64(int(trading_day(bars.time_s[-1])), "D"))
    watcher.stage(f"live trading of {day} against the practice server, in lock-step over HTTP")
    settings = PracticeSettings(token=EMBEDDED_TOKEN, account_id=config.live.account_id, mode="lockstep")
    server = PracticeServer(bars, settings, start_s=float(bars.time_s[LIVE_HISTORY_BARS]))
    (workspace.live_state).mkdir(parents=True, exist_ok=True)
    (workspace.live_state / START_FLAG).touch()
    total = len(bars) - LIVE_HISTORY_BARS
    decisions = 0

    def count() -> None:
        nonlocal decisions
        decisions += 1
        if decisions % 20 == 0 or decisions == total:
            watcher.progress(decisions, total, f"{decisions} decisions")

    with server.serving() as url:
        live = config.live.model_copy(update={"broker_url": url})
        daemon = LiveDaemon(
            config.model_copy(update={"live": live}),
            LiveDirectories(workspace.live_state, workspace.checkpoints, workspace.validation_state),
            {},
            LiveOptions(on_decision=lambda _: count(), health_server=False),
        )
        asyncio.run(daemon.run())
    path = workspace.live_state / JOURNAL_FILE
    artefacts["live journal"] = path
    journal = Journal(path)
    try:
        trades = journal.trades()
    finally:
        journal.close()
    again = replay_day(config, workspace.live_state, workspace.checkpoints, day)
    pips = sum(trade.pnl_pips for trade in trades)
    authority = _authority(daemon)
    watcher.fact("authority", authority)
    watcher.fact("traded", f"{len(trades)} trades, {pips:+.1f} pips after costs, {decisions} decisions")
    watcher.fact("recomputed", f"{again.agreed} of {again.recomputed} decisions come out the same")
    return LiveDay(day, decisions, len(trades), pips, again.agreed, again.recomputed, authority)


def _authority(daemon: LiveDaemon) -> str:
    """On whose word the checkpoint traded."""
    model = daemon.trader.models.model if daemon.trader is not None else None
    if model is None:
        return "no checkpoint was allowed to trade"
    if model.choice.verdict is None:
        return "traded WITHOUT a DEPLOY verdict: the demo profile allows that on the practice account"
    return f"traded on its {model.choice.verdict.decision} verdict"


def _day_for_live(bars: Bars, after_s: int) -> int:
    """12:00 UTC of the first complete trading day with history that starts at or after ``after_s``."""
    days, first_rows, counts = np.unique(trading_day(bars.time_s), return_index=True, return_counts=True)
    whole = (counts >= 0.97 * counts.max()) & (first_rows >= LIVE_HISTORY_BARS)
    late = whole & (bars.time_s[first_rows] >= after_s)
    if not late.any():
        raise DataError("the test range holds no complete trading day", remedy="give more bars")
    return int(days[np.argmax(late)]) * 86_400 + 43_200


def _one_day(bars: Bars, instant_s: int) -> Bars:
    """One trading day and the history before it."""
    rows = np.flatnonzero(trading_day(bars.time_s) == int(trading_day(instant_s)))
    return bars.rows(slice(int(rows[0]) - LIVE_HISTORY_BARS, int(rows[-1]) + 1))
