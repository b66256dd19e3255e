"""Recompute a day's decisions from the journal: same bars, same position, same model, same answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from swt_core.calendar import DAY_S, trading_day
from swt_core.checkpoints import CheckpointStore
from swt_core.config import SWTConfig, TradingConfig
from swt_core.errors import CheckpointError, DataError
from swt_core.instruments import Instrument, instrument
from swt_data.bars import Bars
from swt_data.queue import bars_of
from swt_features.processor import LOOKBACK, FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_live.decider import decide
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.journal_records import DecisionRecord
from swt_live.ports import Engine, Features
from swt_live.window import queue_bar


@dataclass
class ReplayReport:
    """How many of a day's decisions come out the same."""

    day: str
    decisions: int = 0
    recomputed: int = 0
    agreed: int = 0
    disagreements: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """For a program."""
        return {
            "day": self.day,
            "decisions": self.decisions,
            "recomputed": self.recomputed,
            "agreed": self.agreed,
            "disagreements": self.disagreements,
            "skipped": self.skipped,
        }


def replay_day(
    config: SWTConfig,
    live_state: Path,
    checkpoints: Path,
    day: str,
    progress: Callable[[int, int], None] | None = None,
) -> ReplayReport:
    """Recompute the decisions of a trading day (17:00 to 17:00 New York, named by its closing date).

    Args:
        progress: told how many decisions were looked at, and of how many.

    Raises:
        DataError: the day is not a date, or there is no journal.
    """
    path = live_state / JOURNAL_FILE
    if not path.exists():
        raise DataError(f"{path} does not exist", remedy="name the trader's state directory")
    store = CheckpointStore(checkpoints)
    pair = instrument(config.data.instrument)
    features = FeatureProcessor(config.features, pair)

    def load(sha256: str) -> Engine:
        for ref in store.list():
            if ref.sha256 == sha256:
                return InferenceEngine.from_checkpoint(
                    ref, config.trading.search, feature_version=features.version
                )
        raise CheckpointError(f"checkpoint {sha256[:12]}… is gone")

    # The trader may be writing it, and a newer build must not change its layout under it.
    journal = Journal(path, read_only=True)
    try:
        return recompute(journal, config, pair, features, load, day, progress=progress)
    finally:
        journal.close()


def recompute(
    journal: Journal,
    config: SWTConfig,
    pair: Instrument,
    features: Features,
    load: Callable[[str], Engine],
    day: str,
    lookback: int = LOOKBACK,
    progress: Callable[[int, int], None] | None = None,
) -> ReplayReport:
    """The comparison itself; ``load`` gives the engine of a checkpoint's hash.

    Args:
        progress: told how many decisions were looked at, and of how many.
    """
    report = ReplayReport(day)
    engines: dict[str, Engine] = {}
    start_s, end_s = _trading_day(day)
    decisions = journal.decisions(start_s, end_s)
    for known in decisions:
        if progress is not None:
            progress(report.decisions, len(decisions))
        report.decisions += 1
        if known.feature_version != features.version:
            report.skipped.append(f"bar {known.bar_time_s}: features were version {known.feature_version}")
            continue
        try:
            engine = engines.setdefault(
                known.model_hash, engines.get(known.model_hash) or load(known.model_hash)
            )
        except CheckpointError as error:
            report.skipped.append(f"bar {known.bar_time_s}: {error.message}")
            continue
        differing = differences(journal, known, pair, features, engine, config.trading, lookback)
        report.recomputed += 1
        report.agreed += not differing
        if differing:
            report.disagreements.append(f"bar {known.bar_time_s}: {', '.join(differing)} differ")
    return report


def differences(
    journal: Journal,
    known: DecisionRecord,
    pair: Instrument,
    features: Features,
    engine: Engine,
    trading: TradingConfig,
    lookback: int = LOOKBACK,
) -> list[str]:
    """What comes out otherwise when a journaled decision is computed again; none when all agrees.

    Raises:
        DataError: the journal's bars make no valid observation.
    """
    bars = _window(journal, pair, known, lookback)
    point = decide(bars, np.array(known.position), features, engine, trading)
    sameness = {
        "bars": point.bars.sha256 == known.bars_sha256,
        "observation": point.observation_sha256 == known.observation_sha256,
        "mask": tuple(bool(x) for x in point.mask) == known.mask,
        "visits": point.decision.visit_counts == known.visit_counts,
        "action": point.decision.action == known.action,
    }
    return [name for name, same in sameness.items() if not same]


def _window(journal: Journal, pair: Instrument, known: DecisionRecord, lookback: int) -> Bars:
    records = journal.last_bars(lookback, until_id=known.bars_id, until_s=known.bar_time_s)
    return bars_of(pair, (queue_bar(record) for record in records))


def _trading_day(day: str) -> tuple[int, int]:
    try:
        number = (date.fromisoformat(day) - date(1970, 1, 1)).days
    except ValueError as error:
        raise DataError(f"{day!r} is not a date", remedy="write it as YYYY-MM-DD") from error
    # The day closes at 17:00 New York of its date: between 20:00 and 23:00 UTC.
    edges = np.arange((number - 1) * DAY_S, (number + 1) * DAY_S, 3600)
    inside = edges[trading_day(edges) == number]
    return int(inside[0]), int(inside[-1]) + 3600
