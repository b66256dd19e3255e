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
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from safetensors.numpy import save_file

from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError, StateError
from swt_core.logs import get_logger
from swt_core.pool import WorkerPool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_environments.dataset import load_dataset
from swt_inference.rollout import RolloutResult
from swt_models.export import export_weights, load_weights
from swt_training.batches import session_batch
from swt_training.figures import Progress, RoundTimes, round_figures
from swt_training.learner import LossParts
from swt_training.metrics import TrainingMetrics
from swt_training.publishing import Publisher
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
from swt_training.run_setup import (
    DRAWDOWN_SHARES,
    LEARNING_SECTIONS,
    fresh_learner,
    learning_hash,
    require_supported,
)
from swt_training.selection import BackgroundPlay, Selection, selection_rows
from swt_training.selfplay import PlayTask

_log = get_logger(__name__)
Int64 = NDArray[np.int64]

# What a random stream is for; part of its seed.
_BATCH, _ACTOR, _ROWS, _REPLAY = 11, 12, 13, 14
STATE_EVERY_S = 30.0


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
        require_supported(config)
        self.config, self.workspace, self.clock, self.process = config, workspace, clock, process
        self.state = StateDirectory(workspace.training_state)
        self.metrics = TrainingMetrics(self.state, registry)
        self._on_progress = on_progress
        saved = load_state(self.state)
        self.dataset = load_dataset(config, saved[0].boundaries_s if saved else None)
        self.network, self.learner = fresh_learner(config, self.dataset)
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
        self._scratch = tempfile.TemporaryDirectory(prefix="swt-actors-", dir=_ram_disk())
        self._actors, self._selector = BackgroundPlay(actors), BackgroundPlay(selector)
        self._publisher = Publisher(
            config,
            workspace,
            clock,
            process,
            self.dataset,
            self._selector,
            self.metrics,
            self.counters.episodes,
        )
        self._last_state_s = self._started_s = clock.monotonic_s()

    @property
    def best(self) -> Selection | None:
        """Figures of the best checkpoint of this start, if there was one."""
        return self._publisher.best

    def run(self) -> None:
        """Train until a limit, a stop or ``training.maximum_minutes``; then publish a last checkpoint."""
        torch.set_num_threads(1)
        try:
            while self.process.should_run() and not self._out_of_time():
                self._round()
                self._publisher.publish(self.network, wait=False)
                if self._publisher.due(self.counters.episodes):
                    self._select()
                if self.clock.monotonic_s() - self._last_state_s >= STATE_EVERY_S:
                    self._save_state()
            if self._out_of_time() or self.process.limit_reached:
                self._publisher.publish(self.network, wait=True)
                if self._publisher.is_new(self.counters.episodes):
                    self._select()
                    self._publisher.publish(self.network, wait=True)
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
        times = RoundTimes(
            learned_s - started_s,
            acted_s,
            ended_s - learned_s,
            self.clock.monotonic_s() - started_s,
        )
        self._report(round_figures(results, losses, self.learner, self.replay.statistics(), times))

    def _report(self, figures: dict[str, float]) -> None:
        counters = self.counters
        self.metrics.write(counters.episodes, self.clock.time_s(), figures)
        self.process.beat("training", {"episodes": counters.episodes, "round": counters.round})
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    counters.episodes,
                    self.learner.sessions_seen,
                    self.clock.monotonic_s() - self._started_s,
                    figures["Performance/self_play_pips"],
                    figures["Loss/expected_pips"],
                    self.best,
                    lambda: export_weights(self.network),
                )
            )

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
        batch = session_batch(
            self.dataset.market,
            rows,
            data.session_bars,
            self.network.codes,
            rng,
            sessions,
            DRAWDOWN_SHARES[training.reward],
        )
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

    def _select(self) -> None:
        # First the state, then the checkpoint: a kill must not leave a checkpoint of a run nobody can resume.
        self._save_state()
        path = self._export("selection")
        task = self._task(path, self.selected_rows, seed=(0,), exploring=False, temperature=0.0)
        self._publisher.start(self.network, self.counters, task)

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


def _ram_disk() -> Path | None:
    """Where actors' weights pass through: memory where the system offers it, else the usual place."""
    shared = Path("/dev/shm")  # noqa: S108  (a directory of its own is made inside)
    return shared if shared.is_dir() else None
