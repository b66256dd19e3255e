"""Playing episodes: an agent in this process, or the same agent on a worker pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.config.models import SearchConfig
from swt_core.errors import SWTError
from swt_core.pool import SerialPool, WorkerPool
from swt_core.position import ACTION_NAMES
from swt_data.bars import Bars
from swt_environments.market import Market
from swt_features.processor import FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import Policy, RolloutResult, SearchPolicy, play
from swt_validation.analysis import AgentRun
from swt_validation.baselines import episode_bars
from swt_validation.evaluation import Evaluation, trade_columns
from swt_validation.held_out import Episodes

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
_BATCH: Final = 64


class SeenThrough(Market):
    """A market whose agent sees other bars than it trades on (noisy prices)."""

    def __init__(self, market: Market, seen: Bars) -> None:
        super().__init__(market.bars, market.processor, market.trading)
        self.seen = seen

    def market_rows(self, rows: Int64) -> Float32:
        """``[k, M]`` features of the bars that the agent sees."""
        return self.processor.market_rows(self.seen, rows)


@dataclass(frozen=True)
class Setting:
    """The world an agent is put in.

    Attributes:
        bars: what it trades on.
        seen: what it sees; None: the same.
        config: features, trading rules and search.
    """

    bars: Bars
    config: SWTConfig
    seen: Bars | None = None

    def market(self) -> Market:
        """The market of this setting."""
        processor = FeatureProcessor(self.config.features, self.bars.instrument)
        market = Market(self.bars, processor, self.config.trading)
        return market if self.seen is None else SeenThrough(market, self.seen)

    def with_search(self, search: SearchConfig) -> Setting:
        """The same world with another search."""
        trading = self.config.trading.model_copy(update={"search": search})
        return replace(self, config=self.config.model_copy(update={"trading": trading}))


class Interrupted(SWTError):
    """A validation was stopped half-way; nothing of it counts."""


class Player(Protocol):
    """Somebody who plays episodes greedily and deterministically."""

    def play(self, setting: Setting, episodes: Episodes) -> AgentRun:
        """The run over all episodes."""
        ...


def agent_run(result: RolloutResult, market: Market, episodes: Episodes) -> AgentRun:
    """A rollout (with equity kept) as an evaluation."""
    first, last = episodes.first_rows, episodes.last_rows
    time_s, episode = episode_bars(market, first, last)
    columns = trade_columns([t.trade for t in result.trades], [t.episode for t in result.trades])
    equity = np.concatenate(result.equity_pips) if len(result.equity_pips) else np.zeros(0)
    evaluation = Evaluation(episodes.mode, market.bars.instrument, columns, time_s, episode, equity)
    total = max(int(result.action_counts.sum()), 1)
    shares = {name: int(n) / total for name, n in zip(ACTION_NAMES, result.action_counts, strict=True)}
    return AgentRun(evaluation, first, last, shares)


class PolicyPlayer:
    """Plays any policy in this process; for baselines, tests and agents without a checkpoint."""

    def __init__(self, policy: Callable[[Setting], Policy]) -> None:
        self._policy = policy

    def play(self, setting: Setting, episodes: Episodes) -> AgentRun:
        """The run over all episodes."""
        market = setting.market()
        result = play(
            self._policy(setting),
            market,
            episodes.first_rows,
            episodes.last_rows,
            batch=_BATCH,
            keep_equity=True,
        )
        return agent_run(result, market, episodes)


@dataclass(frozen=True)
class _Task:
    checkpoint: CheckpointRef
    setting: Setting
    first_rows: Int64
    last_rows: Int64


def _engine(checkpoint: CheckpointRef, setting: Setting) -> InferenceEngine:
    processor = FeatureProcessor(setting.config.features, setting.bars.instrument)
    return InferenceEngine.from_checkpoint(
        checkpoint,
        setting.config.trading.search,
        store=CheckpointStore(checkpoint.path.parent),
        feature_profile=setting.config.features.profile,
        feature_version=processor.version,
        instrument=setting.bars.instrument.name,
    )


def _play_task(task: _Task, should_stop: Callable[[], bool] | None = None) -> RolloutResult:
    """Runs in a worker: loads the frozen model and plays its share of the episodes."""
    policy = SearchPolicy(
        _engine(task.checkpoint, task.setting),
        minimum_confidence=task.setting.config.trading.minimum_confidence,
    )
    market = task.setting.market()
    return play(
        policy,
        market,
        task.first_rows,
        task.last_rows,
        batch=_BATCH,
        keep_equity=True,
        should_stop=should_stop,
    )


class CheckpointPlayer:
    """Plays a checkpoint through the one inference engine, its episodes shared out over a pool.

    Args:
        checkpoint: whose bytes are checked against the manifest whenever they are loaded.
        pool: local processes, Ray, or one that works in this process.
        should_stop: asked at every step where the pool works in this process; True gives up.

    Raises:
        CheckpointError: it cannot be loaded, or is for other features.
        Interrupted: it was asked to stop.
    """

    def __init__(
        self,
        checkpoint: CheckpointRef,
        pool: WorkerPool,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._pool = pool
        self._should_stop = should_stop

    def play(self, setting: Setting, episodes: Episodes) -> AgentRun:
        """The run over all episodes; does not depend on the number of workers."""
        market = setting.market()
        count = len(episodes)
        shares = min(max(count, 1), self._pool.workers * max(1, count // (_BATCH * self._pool.workers)))
        # Interleaved, so that the shares take equally long.
        parts = [np.arange(start, count, shares) for start in range(shares)]
        tasks = [
            _Task(self.checkpoint, setting, episodes.first_rows[part], episodes.last_rows[part])
            for part in parts
        ]
        work: Callable[[_Task], RolloutResult] = _play_task
        if isinstance(self._pool, SerialPool):
            work = partial(_play_task, should_stop=self._should_stop)
        results = []
        for result in self._pool.map(work, tasks):
            if self._should_stop is not None and self._should_stop():
                raise Interrupted(f"the validation of {self.checkpoint.name} was stopped")
            results.append(result)
        return agent_run(_merged(results, parts, count), market, episodes)


def _merged(results: list[RolloutResult], parts: list[Int64], count: int) -> RolloutResult:
    """Results of interleaved shares as one, episodes numbered as they were given."""
    equity: list[NDArray[np.float64]] = [np.zeros(0)] * count
    episode_pips = np.zeros(count)
    trades = []
    for result, part in zip(results, parts, strict=True):
        episode_pips[part] = result.episode_pips
        trades += [replace(trade, episode=int(part[trade.episode])) for trade in result.trades]
        for place, curve in zip(part, result.equity_pips, strict=True):
            equity[place] = curve
    counts = np.sum([result.action_counts for result in results], axis=0)
    confidence = np.average(
        [result.mean_confidence for result in results],
        weights=[max(int(result.action_counts.sum()), 1) for result in results],
    )
    return RolloutResult(episode_pips, tuple(trades), counts, float(confidence), tuple(equity))
