"""The trainer: rounds of learning while actors play, each a barrier in counters, not in time.

Round r submits sessions to the actors with the weights that round r − 1 ended with, takes a fixed number of
learner steps meanwhile, then waits for the actors and adds their sessions to the replay buffer. Every
random draw derives from (seed, what for, counter), so a run that is stopped anywhere and started
again repeats the uninterrupted one bit for bit. Selection of the best and its checkpoints run beside.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from safetensors.numpy import save_file

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.config.loading import config_hash
from swt_core.errors import ConfigError, StateError
from swt_core.logs import get_logger
from swt_core.pool import WorkerPool
from swt_core.process import ManagedProcess
from swt_core.retention import RetentionRule, apply_retention
from swt_core.state import StateDirectory, write_bytes
from swt_core.statistics import RELIABLE_TRADES, trade_statistics
from swt_core.workspace import Workspace
from swt_environments.dataset import Dataset, load_dataset
from swt_inference.rollout import RolloutResult
from swt_models.export import Weights, export_weights, load_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape
from swt_training.batches import session_batch
from swt_training.learner import Learner, LossParts
from swt_training.metadata import checkpoint_metadata
from swt_training.metrics import TrainingMetrics
from swt_training.replay import ReplayBuffer
from swt_training.resume import (
    RunCounters,
    load_state,
    optimizer_arrays,
    prefixed,
    restore_optimizer,
    save_state,
    under,
)
from swt_training.selection import BackgroundPlay, Selection, selection_rows, summarise
from swt_training.selfplay import PlayTask

_log = get_logger(__name__)
Int64 = NDArray[np.int64]

# What a random stream is for; part of its seed.
_BATCH, _ACTOR, _ROWS, _REPLAY = 11, 12, 13, 14
STATE_EVERY_S = 30.0
LAST_EPISODE_FILE = "last_episode.txt"


@dataclass(frozen=True)
class Progress:
    """What a watcher of a run sees after each round; ``weights`` copies those that the round ended with."""

    episodes: int
    learner_sessions: int
    elapsed_s: float
    round_pips: float
    expected_pips: float
    best: Selection | None
    weights: Callable[[], Weights]


@dataclass
class _PendingSelection:
    future: Future[list[RolloutResult]]
    weights: dict[str, NDArray[np.float32]]
    counters: RunCounters


@dataclass(frozen=True)
class _RoundTimes:
    """Learner steps and actors run side by side; then the learner waits for the actors."""

    learning_s: float
    acting_s: float
    waiting_s: float


class Trainer:
    """One run on one workspace.

    Args:
        config: the whole configuration; its training section drives the run.
        workspace: where checkpoints and state go.
        clock: injected time; only limits and the pace of checkpoints depend on it.
        process: limits, counters, heartbeat and the stop event.
        actors, selector: pools for self-play and for selection.
        registry: where Prometheus figures go.
        on_progress: called after each round.
    """

    def __init__(
        self,
        config: SWTConfig,
        workspace: Workspace,
        clock: Clock,
        process: ManagedProcess,
        *,
        actors: WorkerPool,
        selector: WorkerPool,
        registry: CollectorRegistry,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        _require_supported(config)
        self.config, self.workspace, self.clock, self.process = config, workspace, clock, process
        self.state = StateDirectory(workspace.training_state)
        self.store = CheckpointStore(workspace.checkpoints)
        self.metrics = TrainingMetrics(self.state, registry)
        self._on_progress = on_progress
        saved = load_state(self.state)
        self.dataset = load_dataset(config, saved[0].boundaries_s if saved else None)
        self.network, self.learner = _fresh(config, self.dataset)
        self.replay = ReplayBuffer(
            config.training.replay_capacity_steps,
            config.data.session_bars,
            config.training.minimum_trading_share,
        )
        self.counters = RunCounters(
            schema_version=1,
            boundaries_s=self.dataset.splits.boundaries_s,
            bars_sha256=self.dataset.bars.sha256,
            config_hash=learning_hash(config),
        )
        if saved is not None:
            self._restore(*saved)
        self.selected_rows = selection_rows(
            self.dataset.splits.validation.starts, config.training.selection_sessions, config.training.seed
        )
        self.best: Selection | None = None
        self.last_selection: Selection | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="swt-actors-", dir=_ram_disk())
        self._actors, self._selector = BackgroundPlay(actors), BackgroundPlay(selector)
        self._pending: _PendingSelection | None = None
        self._last_checkpoint_s = self._last_state_s = self._started_s = clock.monotonic_s()
        self._last_checkpoint_episode = self.counters.episodes

    def run(self) -> None:
        """Train until a limit, a stop or ``training.maximum_minutes``; then publish a last checkpoint."""
        torch.set_num_threads(1)
        try:
            while self.process.should_run() and not self._out_of_time():
                self._round()
                self._publish_selection(wait=False)
                if self._checkpoint_due():
                    self._start_selection()
                if self.clock.monotonic_s() - self._last_state_s >= STATE_EVERY_S:
                    self._save_state()
            if self._out_of_time() or self.process.limit_reached:
                self._publish_selection(wait=True)
                if self.counters.episodes > self._last_checkpoint_episode:
                    self._start_selection()
                    self._publish_selection(wait=True)
            self._save_state()
        finally:
            self._actors.close()
            self._selector.close()
            self.metrics.close()
            self._scratch.cleanup()

    def _round(self) -> None:
        training, counters = self.config.training, self.counters
        started_s = self.clock.monotonic_s()
        playing = self._submit_self_play()
        played_s: list[float] = []
        playing.add_done_callback(lambda _: played_s.append(self.clock.monotonic_s()))
        losses = [self._learn(counters.learner_steps + i) for i in range(training.steps_per_round)]
        learned_s = self.clock.monotonic_s()
        results = playing.result()
        ended_s = self.clock.monotonic_s()
        # Waking this thread may overtake the callback: the actors then ended just now.
        acted_s = (played_s[0] if played_s else ended_s) - started_s
        times = _RoundTimes(learned_s - started_s, acted_s, ended_s - learned_s)
        rng = self._rng(_REPLAY, counters.round)
        episodes = counters.episodes
        for result in results:
            assert result.trajectories is not None
            self.replay.add(result.trajectories, episodes, rng)
            episodes += len(result.episode_pips)
        played = episodes - counters.episodes
        self.counters = counters.model_copy(
            update={
                "round": counters.round + 1,
                "learner_steps": counters.learner_steps + training.steps_per_round,
                "learner_sessions": self.learner.sessions_seen,
                "episodes": episodes,
                "skipped_steps": self.learner.skipped_steps,
            }
        )
        self.process.count(episodes=played)
        elapsed_s = max(self.clock.monotonic_s() - started_s, 1e-9)
        self._report(results, losses, played, elapsed_s, times)

    def _submit_self_play(self) -> Future[list[RolloutResult]]:
        config, counters = self.config, self.counters
        weights = self._export("actors")
        progress = min(1.0, counters.episodes / config.training.temperature_episodes)
        temperature = config.training.temperature_start * (
            (config.training.temperature_end / config.training.temperature_start) ** progress
        )
        tasks = []
        for number in range(self.actors_per_round):
            rng = self._rng(_ROWS, counters.round, number)
            rows = rng.choice(self.dataset.splits.train.starts, config.training.episodes_per_actor)
            seed = (config.training.seed, _ACTOR, counters.round, number)
            tasks.append(self._task(weights, rows, seed=seed, exploring=True, temperature=temperature))
        return self._actors.submit(tasks)

    @property
    def actors_per_round(self) -> int:
        """Actor tasks a round: fixed by configuration, so results do not depend on the machine."""
        return max(1, self.config.training.actors)

    def _learn(self, step: int) -> LossParts:
        training, data = self.config.training, self.config.data
        rng = self._rng(_BATCH, step)
        replayed = min(training.replayed_sessions_per_step, training.sessions_per_step - 1)
        sessions = self.replay.sample(replayed, rng) if replayed and len(self.replay) else None
        fresh = training.sessions_per_step - (replayed if sessions is not None else 0)
        rows = rng.choice(self.dataset.splits.train.starts, fresh)
        batch = session_batch(self.dataset.market, rows, data.session_bars, self.network.codes, rng, sessions)
        return self.learner.step(batch, rng)

    def _task(
        self, weights: Path, rows: Int64, *, seed: tuple[int, ...], exploring: bool, temperature: float
    ) -> PlayTask:
        return PlayTask(
            config=self.config,
            boundaries_s=self.counters.boundaries_s,
            bars_sha256=self.counters.bars_sha256,
            weights=weights,
            first_rows=rows,
            exploring=exploring,
            temperature=temperature,
            seed=seed,
        )

    def _export(self, name: str) -> Path:
        path = Path(self._scratch.name) / f"{name}_{self.counters.round}.safetensors"
        save_file(export_weights(self.network), path)
        for old in Path(self._scratch.name).glob(f"{name}_*.safetensors"):
            if old != path:
                old.unlink()
        return path

    def _checkpoint_due(self) -> bool:
        training = self.config.training
        since_s = self.clock.monotonic_s() - self._last_checkpoint_s
        return (
            self._pending is None
            and self.counters.episodes - self._last_checkpoint_episode >= training.checkpoint_every_episodes
            and since_s >= training.checkpoint_minimum_seconds
        )

    def _start_selection(self) -> None:
        self._last_checkpoint_s = self.clock.monotonic_s()
        self._last_checkpoint_episode = self.counters.episodes
        path = self._export("selection")
        task = self._task(path, self.selected_rows, seed=(0,), exploring=False, temperature=0.0)
        self._pending = _PendingSelection(
            self._selector.submit([task]), export_weights(self.network), self.counters
        )

    def _publish_selection(self, *, wait: bool) -> None:
        """Once a selection is known: write the checkpoint with its figures, and name it best if it is."""
        pending = self._pending
        if pending is None or not (wait or pending.future.done()):
            return
        self._pending = None
        selection = summarise(pending.future.result()[0])
        self.last_selection = selection
        metadata = checkpoint_metadata(
            self.config, self.dataset, self.network, pending.counters, selection, self.clock.time_s()
        )
        try:
            ref = self.store.save(pending.weights, metadata)
        except StateError as error:
            # A full disk must not end the run: the last good checkpoint stays, and an alarm is raised.
            _log.error("checkpoint not written", error=str(error))
            return
        self.process.count(checkpoints=1)
        if selection.better_than(*self._best_figures()):
            self.store.mark_best(ref)
            self.best = selection
        write_bytes(self.state.file(LAST_EPISODE_FILE), f"{pending.counters.episodes}\n".encode())
        self._report_selection(ref, selection)
        self._retain()

    def _best_figures(self) -> tuple[float | None, float | None]:
        """Proven SQN and pips per session of the store's best: the store remembers, over any crash."""
        best = self.store.best()
        if best is None:
            return None, None
        found = best.metadata
        proven = found.trades >= RELIABLE_TRADES and found.sqn is not None and found.sqn > 0
        return found.sqn if proven else None, found.extra["selection_pips_per_session"]

    def _retain(self) -> None:
        from swt_core.validation_queue import protected_by_validation

        try:
            protected = protected_by_validation(self.workspace.validation_state, self.clock.time_s())
        except StateError as error:
            _log.warning("nothing is deleted: the validator's state is unreadable", error=str(error))
            return
        apply_retention(
            self.store,
            RetentionRule(keep_last=self.config.training.keep_last_checkpoints),
            protected=protected,
        )

    def _save_state(self) -> None:
        arrays = {
            **prefixed("weights", export_weights(self.network)),
            **prefixed("optimizer", optimizer_arrays(self.learner.optimizer)),
            **prefixed("replay", self.replay.arrays()),
        }
        self._last_state_s = self.clock.monotonic_s()
        try:
            save_state(self.state, self.counters, arrays)
        except StateError as error:
            _log.error("resume state not written", error=str(error))

    def _restore(self, counters: RunCounters, arrays: dict[str, NDArray[np.generic]]) -> None:
        if counters.bars_sha256 != self.dataset.bars.sha256:
            raise ConfigError(
                f"{self.state.path} belongs to other bars",
                remedy="use the bars it was trained on, or another state directory",
            )
        if counters.config_hash != self.counters.config_hash:
            raise ConfigError(
                f"{self.state.path} belongs to another configuration of {', '.join(LEARNING_SECTIONS)}",
                remedy="restore that configuration, or use another state directory",
            )
        load_weights(self.network, under("weights", arrays))
        restore_optimizer(self.learner.optimizer, under("optimizer", arrays))
        self.replay.restore(under("replay", arrays))
        self.learner.sessions_seen = counters.learner_sessions
        self.learner.skipped_steps = counters.skipped_steps
        self.counters = counters
        _log.info("resumed", round=counters.round, episodes=counters.episodes)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.config.training.seed, spawn_key=key))

    def _out_of_time(self) -> bool:
        limit = self.config.training.maximum_minutes
        return limit is not None and self.clock.monotonic_s() - self._started_s >= limit * 60.0

    def _report(
        self,
        results: list[RolloutResult],
        losses: list[LossParts],
        played: int,
        elapsed_s: float,
        times: _RoundTimes,
    ) -> None:
        pips = np.concatenate([r.episode_pips for r in results])
        counts = np.sum([r.action_counts for r in results], axis=0)
        trades = trade_statistics(np.concatenate([r.trade_pips for r in results]))
        held = self.replay.statistics()
        mean = {name: float(np.mean([p.as_dict()[name] for p in losses])) for name in losses[0].as_dict()}
        figures = {f"Loss/{name}": value for name, value in mean.items()}
        figures |= {
            "Performance/self_play_pips": float(pips.mean()),
            "Performance/expectancy_pips": trades.expectancy_pips or 0.0,
            "Performance/win_rate": trades.win_rate or 0.0,
            "Performance/trades_per_session": trades.trades / max(1, len(pips)),
            "Training/episodes_per_s": played / elapsed_s,
            "Training/learner_sessions": float(self.learner.sessions_seen),
            "Training/learner_steps_per_s": len(losses) / elapsed_s,
            "Training/round_s": elapsed_s,
            "Training/learning_share": times.learning_s / elapsed_s,
            "Training/acting_share": times.acting_s / elapsed_s,
            "Training/waiting_share": times.waiting_s / elapsed_s,
            "Training/learning_rate": self.learner.learning_rate(),
            "Training/skipped_steps": float(self.learner.skipped_steps),
            "Training/buffer_sessions": float(held.sessions),
            "Training/buffer_trading_share": held.trading_share,
        }
        figures |= {
            f"Actions/{name}": float(counts[i] / counts.sum())
            for i, name in enumerate(("HOLD", "BUY", "SELL", "CLOSE"))
        }
        self.metrics.write(self.counters.episodes, self.clock.time_s(), figures)
        self.process.beat("training", {"episodes": self.counters.episodes, "round": self.counters.round})
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    self.counters.episodes,
                    self.learner.sessions_seen,
                    self.clock.monotonic_s() - self._started_s,
                    float(pips.mean()),
                    mean["expected_pips"],
                    self.best,
                    lambda: export_weights(self.network),
                )
            )

    def _report_selection(self, ref: CheckpointRef, selection: Selection) -> None:
        found = selection.statistics
        figures = {
            "Selection/pips_per_session": selection.pips_per_session,
            "Selection/trades_per_session": selection.trades_per_session,
            "Selection/expectancy_pips": found.expectancy_pips or 0.0,
            "Selection/sqn": found.sqn.value or 0.0,
            "Selection/win_rate": found.win_rate or 0.0,
            "Selection/confidence": selection.mean_confidence,
        }
        self.metrics.write(self.counters.episodes, self.clock.time_s(), figures)
        _log.info("checkpoint", name=ref.name, sqn=found.sqn.value, pips=selection.pips_per_session)


LEARNING_SECTIONS = ("data", "features", "model", "training", "trading")


def learning_hash(config: SWTConfig) -> str:
    """Hash of what determines the learned weights; when a run ends or reports is not part of it."""
    neutral = {
        "maximum_minutes": None,
        "checkpoint_every_episodes": 10,
        "checkpoint_minimum_seconds": 60.0,
        "keep_last_checkpoints": 5,
    }
    training = config.training.model_copy(update=neutral)
    return config_hash(config.model_copy(update={"training": training}), LEARNING_SECTIONS)


def _fresh(config: SWTConfig, dataset: Dataset) -> tuple[StochasticMuZeroNetwork, Learner]:
    processor = dataset.market.processor
    shape = ObservationShape.for_profile(
        config.features.profile, processor.market_size, processor.position_size
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        network = StochasticMuZeroNetwork(config.model, shape)
    return network, Learner(network, config.training, config.trading.search)


def _ram_disk() -> Path | None:
    """Where actors' weights pass through: memory where the system offers it, else the usual place."""
    shared = Path("/dev/shm")  # noqa: S108  (a directory of its own is made inside)
    return shared if shared.is_dir() else None


def _require_supported(config: SWTConfig) -> None:
    if config.training.algorithm == "plain":
        raise ConfigError(
            "training.algorithm plain is not built yet", remedy="set training.algorithm to path_value"
        )
    if config.training.reward != "dense":
        raise ConfigError(
            f"training.reward {config.training.reward} does not go with training.algorithm path_value: "
            "exact path values need a reward that is Markov in (bar, side)",
            remedy="set training.reward to dense",
        )
