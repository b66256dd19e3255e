"""Playing episodes: an agent in this process, or the same agent on a worker pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import SystemClock
from swt_core.config import SWTConfig
from swt_core.config.models import SearchConfig
from swt_core.errors import CheckpointError, SWTError
from swt_core.pool import SerialPool, WorkerPool
from swt_core.position import ACTION_NAMES
from swt_data.bars import Bars
from swt_environments.market import Market
from swt_features.processor import FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import Policy, RolloutResult, play
from swt_validation.analysis import AgentRun
from swt_validation.baselines import episode_bars
from swt_validation.evaluation import Evaluation
from swt_validation.held_out import Episodes
from swt_validation.levels import Deadline
from swt_validation.recall import Decisions, RecallingPolicy, joined, no_decisions
from swt_validation.shares import Played, merged, played

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
# Episodes in lock-step: larger batches search faster. A week's features take 3.6 MB, and a share of weeks
# that the time limit cuts off is lost.
_BATCH: Final = {"sessions": 128, "weeks": 32}


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


class OutOfTime(SWTError):
    """The time limit came before anything could be finished."""


class Player(Protocol):
    """Somebody who plays episodes greedily and deterministically."""

    def play(self, setting: Setting, episodes: Episodes, deadline: Deadline | None = None) -> AgentRun:
        """The run over all episodes, or over those that were finished before the deadline.

        Raises:
            OutOfTime: none was finished.
        """
        ...


def played_whole(
    player: Player, setting: Setting, episodes: Episodes, deadline: Deadline, part: str
) -> AgentRun | None:
    """The run over all episodes; None, with ``part`` noted as missing, when time did not allow it."""
    if not deadline.allows(part):
        return None
    try:
        run = player.play(setting, episodes, deadline)
    except OutOfTime:
        run = None
    if run is None or len(run.first_rows) < len(episodes):
        deadline.missing.append(part)
        return None
    return run


def agent_run(result: RolloutResult, market: Market, episodes: Episodes) -> AgentRun:
    """A rollout (with equity kept) as an evaluation."""
    return _run_of(played(result), market, episodes)


def _run_of(found: Played, market: Market, episodes: Episodes) -> AgentRun:
    first, last = episodes.first_rows, episodes.last_rows
    time_s, episode = episode_bars(market, first, last)
    equity = np.concatenate(found.equity_pips) if len(found.equity_pips) else np.zeros(0)
    evaluation = Evaluation(episodes.mode, market.bars.instrument, found.trades, time_s, episode, equity)
    total = max(int(found.action_counts.sum()), 1)
    shares = {name: int(n) / total for name, n in zip(ACTION_NAMES, found.action_counts, strict=True)}
    return AgentRun(evaluation, first, last, shares)


class PolicyPlayer:
    """Plays any policy in this process; for baselines, tests and agents without a checkpoint."""

    def __init__(self, policy: Callable[[Setting], Policy]) -> None:
        self._policy = policy

    def play(self, setting: Setting, episodes: Episodes, deadline: Deadline | None = None) -> AgentRun:
        """See `Player.play`."""
        market = setting.market()
        result = play(
            self._policy(setting),
            market,
            episodes.first_rows,
            episodes.last_rows,
            batch=_BATCH[episodes.mode],
            keep_equity=True,
            should_stop=None if deadline is None else deadline.over,
        )
        finished = len(result.episode_pips)
        if finished == 0 < len(episodes):
            raise OutOfTime("the time limit came before an episode was finished")
        return agent_run(result, market, episodes.select(np.arange(finished)))


@dataclass(frozen=True)
class _Task:
    """A share of the episodes; ``until_s`` is the time limit in UTC epoch seconds."""

    checkpoint: CheckpointRef
    setting: Setting
    episodes: Episodes
    known: Decisions
    until_s: float | None


@dataclass(frozen=True)
class _Share:
    """What came of a task (None if time ran out), and what had to be searched for."""

    played: Played | None
    learnt: Decisions


def _engine(checkpoint: CheckpointRef, setting: Setting) -> InferenceEngine:
    return _loaded(
        str(checkpoint.path),
        checkpoint.sha256,
        setting.config.trading.search.model_dump_json(),
        FeatureProcessor(setting.config.features, setting.bars.instrument).version,
        setting.config.features.profile,
        setting.bars.instrument.name,
    )


@lru_cache(maxsize=4)
def _loaded(
    path: str, sha256: str, search: str, feature_version: str, profile: str, instrument: str
) -> InferenceEngine:
    """One engine for all shares that a worker plays of a checkpoint; the key holds the bytes' hash."""
    store = CheckpointStore(Path(path).parent)
    ref = store.find(path)
    if ref.sha256 != sha256:
        raise CheckpointError(f"{path} was replaced while it was judged", remedy="validate it again")
    return InferenceEngine.from_checkpoint(
        ref,
        SearchConfig.model_validate_json(search),
        store=store,
        feature_profile=profile,
        feature_version=feature_version,
        instrument=instrument,
    )


def _play_task(task: _Task, should_stop: Callable[[], bool] | None = None) -> _Share:
    """Runs in a worker: loads the frozen model and plays its share of the episodes."""
    policy = RecallingPolicy(
        _engine(task.checkpoint, task.setting),
        task.setting.config.trading.minimum_confidence,
        task.known,
    )
    clock, until_s = SystemClock(), task.until_s

    def stop() -> bool:
        if should_stop is not None and should_stop():
            return True
        return until_s is not None and clock.time_s() >= until_s

    result = play(
        policy,
        task.setting.market(),
        task.episodes.first_rows,
        task.episodes.last_rows,
        batch=max(len(task.episodes), 1),
        keep_equity=True,
        should_stop=stop,
    )
    whole = len(result.episode_pips) == len(task.episodes)
    return _Share(played(result) if whole else None, policy.learnt)


class CheckpointPlayer:
    """Plays a checkpoint through the one inference engine, its episodes shared out over a pool.

    What it decided it remembers, so that runs over the same bars ask only what is new.

    Args:
        checkpoint: whose bytes are checked against the manifest when they are loaded.
        pool: local processes, Ray, or one that works in this process.
        should_stop: asked at every step where the pool works in this process; True gives up.
        on_share: told how many shares of the episodes are played, and of how many.

    Raises:
        CheckpointError: it cannot be loaded, or is for other features.
        Interrupted: it was asked to stop.
    """

    def __init__(
        self,
        checkpoint: CheckpointRef,
        pool: WorkerPool,
        should_stop: Callable[[], bool] | None = None,
        on_share: Callable[[int, int], None] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._pool = pool
        self._should_stop = should_stop
        self._on_share = on_share
        self._known: dict[str, Decisions] = {}

    def play(self, setting: Setting, episodes: Episodes, deadline: Deadline | None = None) -> AgentRun:
        """See `Player.play`; does not depend on the number of workers."""
        trading = setting.config.trading
        mind = f"{trading.search.model_dump_json()} {trading.minimum_confidence}"
        known = self._known.get(mind, no_decisions())
        parts = _parts(len(episodes), self._pool.workers, _BATCH[episodes.mode])
        until_s = None if deadline is None else SystemClock().time_s() + deadline.left_s
        tasks = [_Task(self.checkpoint, setting, episodes.select(part), known, until_s) for part in parts]
        work: Callable[[_Task], _Share] = _play_task
        if isinstance(self._pool, SerialPool):
            work = partial(_play_task, should_stop=_either(self._should_stop, deadline))
        finished: list[tuple[Played, Int64]] = []
        learnt = [known]
        for number, (share, part) in enumerate(zip(self._pool.map(work, tasks), parts, strict=True), 1):
            if self._on_share is not None:
                self._on_share(number, len(parts))
            if self._should_stop is not None and self._should_stop():
                raise Interrupted(f"the validation of {self.checkpoint.name} was stopped")
            learnt.append(share.learnt)
            if share.played is not None:
                finished.append((share.played, part))
        self._known[mind] = joined(learnt)
        if not finished and len(episodes):
            raise OutOfTime(f"the time limit came before {self.checkpoint.name} finished an episode")
        done = np.sort(np.concatenate([part for _, part in finished])) if finished else np.zeros(0, np.int64)
        places = [np.searchsorted(done, part) for _, part in finished]
        whole = merged([share for share, _ in finished], places, len(done))
        return _run_of(whole, setting.market(), episodes.select(done))


def ready(_: int = 0) -> None:
    """For a pool's new workers: whoever is asked this has loaded what playing needs."""


def _parts(count: int, workers: int, batch: int) -> list[Int64]:
    """Equal interleaved shares of at most ``batch`` episodes, as many for each worker."""
    shares = min(max(count, 1), workers * max(1, -(-count // (batch * workers))))
    return [np.arange(start, count, shares) for start in range(shares)]


def _either(stop: Callable[[], bool] | None, deadline: Deadline | None) -> Callable[[], bool]:
    return lambda: (stop is not None and stop()) or (deadline is not None and deadline.over())
