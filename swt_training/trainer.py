"""The trainer: rounds of learning while actors play, each a barrier in counters, not in time.

Round r submits sessions to the actors with the weights that round r − 1 ended with, takes a fixed number of
learner steps meanwhile, then waits for the actors and adds their sessions to the replay buffer; the first
rounds learn from the market alone. What plays and is published is the average of the learned weights. Every
random draw derives from (seed, what for, counter), so a run that is stopped anywhere and started
again repeats the uninterrupted one bit for bit. Selection of the best and its checkpoints run beside.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import torch
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError, StateError
from swt_core.logs import get_logger
from swt_core.pool import WorkerPool
from swt_core.process import ManagedProcess
from swt_core.shared_arrays import SharedArrays
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_environments.dataset import load_dataset
from swt_inference.rollout import RolloutResult
from swt_models.export import export_weights, load_weights
from swt_training.diagnostics import NetworkProbe
from swt_training.feed import LearnerFeed
from swt_training.figures import Progress, RoundTimes, round_figures
from swt_training.fine_tune import Parent, begin_from, fine_tuning, take_over
from swt_training.learner import LossParts
from swt_training.metrics import TrainingMetrics
from swt_training.publishing import Publisher
from swt_training.reanalysis import Reanalysis
from swt_training.reinitialise import due, reinitialise
from swt_training.replay import ReplayBuffer
from swt_training.resume import (
    RunCounters,
    load_state,
    prefixed,
    save_state,
    under,
)
from swt_training.run_config import other_configuration, save_run_config
from swt_training.run_setup import (
    fresh_learner,
    learning_hash,
    require_supported,
    run_name,
)
from swt_training.selection import BackgroundPlay, selection_rows
from swt_training.selfplay import exploration_temperature
from swt_training.session_table import SessionTable
from swt_training.tasks import exploring_task, reanalysis_tasks, selection_task
from swt_training.waiting import RoundAbandoned, abandon_when_due, wait_for
from swt_training.watch import RunWatch

_log = get_logger(__name__)
Int64 = NDArray[np.int64]

# What a random stream is for; part of its seed.
_BATCH, _ACTOR, _ROWS, _REPLAY, _INITIAL, _REANALYSIS, _FRESH, _DROPOUT = 11, 12, 13, 14, 15, 16, 17, 18
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
        parent: the checkpoint to begin from, with the learning rate of fine-tuning.
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
        parent: Parent | None = None,
    ) -> None:
        require_supported(config)
        self.config, self.workspace, self.clock, self.process = config, workspace, clock, process
        self.state = StateDirectory(workspace.training_state)
        self.metrics = TrainingMetrics(self.state, registry)
        self._on_progress = on_progress
        saved = load_state(self.state)
        begun = saved[0] if saved else None
        self.dataset = load_dataset(
            config, begun.boundaries_s if begun else None, begun.last_bar_s if begun else None
        )
        record = begin_from(self.state, begun, parent)
        self.network, self.learner = fresh_learner(fine_tuning(config) if record else config, self.dataset)
        _log.info("learner", device=str(self.learner.device), bfloat16=config.training.bfloat16)
        if saved is None and parent is not None:
            take_over(self.network, parent, config, self.dataset)
            self.learner.average.restart()
        self.replay = ReplayBuffer.configured(config.training, config.data.session_bars)
        self.feed = LearnerFeed(config, self.dataset, self.replay)
        self.counters = RunCounters(
            schema_version=1,
            boundaries_s=self.dataset.splits.boundaries_s,
            bars_sha256=self.dataset.bars.sha256,
            config_hash=learning_hash(config),
            last_bar_s=int(self.dataset.bars.time_s[-1]),
            run=run_name(config, clock),
            parent=record,
        )
        if saved is not None:
            self._restore(*saved)
        else:
            self.feed.fill(self._rng(_INITIAL))
            save_run_config(self.state, config)
        rollbacks = self.counters.rollbacks
        self.watch = RunWatch(
            config.trainer_alarms,
            self.state,
            clock,
            process,
            self.learner,
            NetworkProbe(self.dataset, config.data.session_bars, self.network.codes),
            rollbacks,
        )
        if saved is not None:
            self.watch.restore(under("rolling", saved[1]))
        self.selected_rows = selection_rows(
            self.dataset.splits.validation.starts, config.training.selection_sessions, config.training.seed
        )
        self._actors, self._selector = BackgroundPlay(actors), BackgroundPlay(selector)
        self._publisher = Publisher(
            config,
            workspace,
            clock,
            process,
            self.dataset,
            self._selector,
            self.metrics,
            self.counters,
        )
        if saved is None:
            self._save_state()  # a kill before the first one would leave episodes that are counted
        self._last_state_s = self._started_s = clock.monotonic_s()

    def run(self) -> None:
        """Train until a limit, a stop or ``training.maximum_minutes``; then publish a last checkpoint."""
        try:
            while self.process.should_run() and not self._out_of_time():
                self._round()
                self._publisher.publish(self.network, wait=False)
                if self._publisher.due(self.counters.episodes):
                    self._select()
                if self.clock.monotonic_s() - self._last_state_s >= STATE_EVERY_S:
                    self._save_state()
            if self._out_of_time() or self.process.limit_reached:
                self._save_state()  # whatever comes of the wait: at a limit no round is ever repeated
                self._publisher.publish(self.network, wait=True)
                if self._publisher.is_new(self.counters.episodes):
                    self._select()
                    self._publisher.publish(self.network, wait=True)
            self._save_state()
        except RoundAbandoned as abandoned:
            _log.warning("round abandoned; the next start repeats it", why=str(abandoned))
        finally:
            self._actors.close()
            self._selector.close()
            self.metrics.close()

    def _round(self) -> None:
        training, counters = self.config.training, self.counters
        started_s = self.clock.monotonic_s()
        self.watch.check_steps(())  # no actor ever gets weights that are no numbers
        steps = self._steps_of_round()
        playing = self._submit_self_play() if self._plays() else _nothing_to_play()
        reanalysing = self._submit_reanalysis()
        played_s: list[float] = []
        playing.add_done_callback(lambda _: played_s.append(self.clock.monotonic_s()))
        losses = [self._learn(counters.learner_steps + i) for i in range(steps)]
        self.watch.check_steps(losses)
        learned_s = self.clock.monotonic_s()
        longest_s = self.config.trainer_alarms.longest_round_minutes * 60.0
        results = wait_for(playing, self.process, self.clock, longest_s)
        ended_s = self.clock.monotonic_s()
        # Waking this thread may overtake the callback: the actors then ended just now.
        acted_s = (played_s[0] if played_s else ended_s) - started_s
        rng = self._rng(_REPLAY, counters.round)
        episodes = counters.episodes
        for result in results:
            self.replay.add(SessionTable.of(result, episodes), rng)
            episodes += len(result.episode_pips)
        reanalysed = wait_for(reanalysing, self.process, self.clock, longest_s) if reanalysing else ()
        for found in reanalysed:
            self.replay.replace_searches(found.episodes, found.policies, found.root_values)
        steps_done = counters.learner_steps + steps
        if due(counters.learner_steps, steps_done, training.reinitialise_every_steps):
            seed = int(self._rng(_FRESH, steps_done).integers(2**31))
            reinitialise(self.learner, training.reinitialise, training.reinitialise_keep, seed)
        played = episodes - counters.episodes
        self.counters = counters.model_copy(
            update={
                "round": counters.round + 1,
                "learner_steps": steps_done,
                "learner_sessions": self.learner.sessions_seen,
                "episodes": episodes,
                "skipped_steps": self.learner.skipped_steps,
                "rollbacks": self.watch.recovery.rollbacks,
                "averaged_steps": self.learner.average.updates,
            }
        )
        self.process.count(episodes=played)
        times = RoundTimes(
            learned_s - started_s,
            acted_s,
            ended_s - learned_s,
            self.clock.monotonic_s() - started_s,
        )
        temperature = exploration_temperature(training, counters.episodes) if results else None
        held = self.replay.statistics()
        figures = round_figures(results, losses, self.learner, held, times, temperature=temperature)
        self._report(figures | self.watch.look(results))

    def _report(self, figures: dict[str, float]) -> None:
        counters = self.counters
        so_far = {
            "Training/rounds": float(counters.round),
            "Training/learner_steps": float(counters.learner_steps),
        }
        self.metrics.write(counters.episodes, self.clock.time_s(), figures | so_far)
        progress = {"episodes": counters.episodes, "round": counters.round}
        self.process.beat("training", progress | self.watch.as_counters())
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    counters.episodes,
                    self.learner.sessions_seen,
                    self.clock.monotonic_s() - self._started_s,
                    figures.get("Performance/self_play_pips"),
                    figures["Loss/expected_pips"],
                    self.learner.average.weights,
                )
            )

    def _submit_self_play(self) -> Future[list[RolloutResult]]:
        config, counters = self.config, self.counters
        weights = self._shared(self._actors, "actors")
        if weights is None:
            return _nothing_to_play()
        self._actor_weights = weights
        tasks, allowed = [], self.process.remaining_episodes
        for number in range(self.actors_per_round):
            rng = self._rng(_ROWS, counters.round, number)
            rows = self.feed.rows(config.training.episodes_per_actor, self.learner, rng)[:allowed]
            allowed -= len(rows)
            if not len(rows):
                break  # the limit of episodes is met, not passed
            seed = (config.training.seed, _ACTOR, counters.round, number)
            tasks.append(exploring_task(config, counters, weights, rows, seed))
        return self._actors.submit(tasks)

    @property
    def actors_per_round(self) -> int:
        """Actor tasks a round: as configured, else one for each worker of this machine or cluster."""
        return self.config.training.actors or self._actors.workers

    def _plays(self) -> bool:
        """Whether self-play has begun: path values need none to learn from, the plain algorithm does."""
        training = self.config.training
        return training.algorithm == "plain" or self.counters.learner_steps >= training.head_start_steps

    def _steps_of_round(self) -> int:
        """Learner steps of the coming round; before self-play it is alone and takes its threads."""
        training = self.config.training
        if self._plays():
            torch.set_num_threads(1)
            return training.steps_per_round
        torch.set_num_threads(training.head_start_threads)
        return 1  # nobody waits for such a round: one step is seen, and stopped, the sooner

    def _learn(self, step: int) -> LossParts:
        self.process.keep_alive()
        abandon_when_due(self.process)
        # Dropout draws from torch's own generator, which no saved state holds.
        torch.manual_seed(int(self._rng(_DROPOUT, step).integers(2**63)))
        return self.feed.learn(self.learner, self._rng(_BATCH, step))

    def _submit_reanalysis(self) -> Future[list[Reanalysis]] | None:
        """Some replayed sessions, searched again with the weights this round began with."""
        wanted = self.config.training.reanalyse_sessions_per_round
        if not wanted or not len(self.replay) or not self._plays() or "actors" in self.watch.without_weights:
            return None
        rng = self._rng(_REANALYSIS, self.counters.round)
        tasks = reanalysis_tasks(self.config, self.counters, self._actor_weights, self.replay.table, rng)
        return self._actors.submit_reanalysis(list(tasks))

    def _select(self) -> None:
        weights = self._shared(self._selector, "selection")
        if weights is None:
            return
        # First the state, then the checkpoint: a kill must not leave a checkpoint of a run nobody can resume.
        self._save_state()
        task = selection_task(self.config, self.counters, weights, self.selected_rows)
        self._publisher.start(self.learner.average.network, self.counters, task)

    def _shared(self, player: BackgroundPlay, who: str) -> SharedArrays | None:
        """The weights that play, where ``who`` finds them; None where no disk has room: learning goes on."""
        try:
            weights = player.share(self.learner.average.weights())
        except OSError as error:
            _log.error("weights not shared, nothing is played", who=who, error=str(error))
            self.watch.without_weights.add(who)
            return None
        self.watch.without_weights.discard(who)
        return weights

    def _save_state(self) -> None:
        weights = export_weights(self.network)
        arrays = {
            **prefixed("weights", weights),
            **prefixed("average", self.learner.average.weights()),
            **prefixed("rolling", self.watch.arrays()),
            **prefixed("optimizer", self.learner.optimizer.arrays()),
            **prefixed("replay", self.replay.arrays()),
        }
        self._last_state_s = self.clock.monotonic_s()
        try:
            hours = self.process.counters.hours
            save_state(self.state, self.counters.model_copy(update={"hours": hours}), arrays)
        except (StateError, OSError) as error:
            _log.error("resume state not written", error=str(error))
            self.watch.state_well = False
            return
        self.watch.state_well = self._publisher.disk_well
        self.watch.recovery.keep(weights)

    def _restore(self, counters: RunCounters, arrays: dict[str, NDArray[np.generic]]) -> None:
        if counters.bars_sha256 != self.dataset.bars.sha256:
            raise ConfigError(
                f"{self.state.path} belongs to other bars",
                remedy="use the bars it was trained on, which may have grown, or another state directory",
            )
        if counters.config_hash != self.counters.config_hash:
            raise other_configuration(self.state, self.config)
        load_weights(self.network, under("weights", arrays))
        self.learner.average.restore(under("average", arrays), counters.averaged_steps)
        self.learner.optimizer.restore(under("optimizer", arrays))
        self.replay.restore(under("replay", arrays))
        self.learner.sessions_seen = counters.learner_sessions
        self.learner.skipped_steps = counters.skipped_steps
        # Hours are the process's to count; the saved ones only stand in for a counter file that is lost.
        self.process.resume_at(counters.episodes, counters.hours)
        # A run of before knew no last bar: what it has read until now are its bars.
        last_s = counters.last_bar_s or int(self.dataset.bars.time_s[-1])
        self.counters = counters.model_copy(update={"hours": 0.0, "last_bar_s": last_s})
        _log.info("resumed", round=counters.round, episodes=counters.episodes)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.config.training.seed, spawn_key=key))

    def _out_of_time(self) -> bool:
        limit = self.config.training.maximum_minutes
        return limit is not None and self.clock.monotonic_s() - self._started_s >= limit * 60.0


def _nothing_to_play() -> Future[list[RolloutResult]]:
    nothing: Future[list[RolloutResult]] = Future()
    nothing.set_result([])
    return nothing
