"""From weights to a published checkpoint: selection beside the run, then file, best and retention."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.errors import StateError
from swt_core.logs import get_logger
from swt_core.process import ManagedProcess
from swt_core.protected import protected_by_live, protected_by_validation
from swt_core.ranking import best_of, contest_of
from swt_core.retention import RetentionRule, apply_retention
from swt_core.state import StateDirectory, write_bytes
from swt_core.workspace import Workspace
from swt_environments.dataset import Dataset
from swt_inference.rollout import RolloutResult
from swt_models.export import Weights, export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_training.figures import selection_figures
from swt_training.metadata import CHECKPOINT_NUMBER, RUN, checkpoint_metadata
from swt_training.metrics import TrainingMetrics
from swt_training.resume import RunCounters
from swt_training.selection import BackgroundPlay, contest, summarise
from swt_training.selfplay import PlayTask
from swt_training.waiting import wait_for

_log = get_logger(__name__)
LAST_EPISODE_FILE = "last_episode.txt"


@dataclass(frozen=True)
class _Pending:
    future: Future[list[RolloutResult]]
    first_rows: NDArray[np.int64]
    weights: Weights
    counters: RunCounters


class Publisher:
    """Publishes checkpoints of one run, one selection at a time.

    Nothing here reaches back into what is learned: it only reads exported weights, so its pace may depend
    on the clock.

    Attributes:
        disk_well: whether the last checkpoint could be written.
    """

    def __init__(
        self,
        config: SWTConfig,
        workspace: Workspace,
        clock: Clock,
        process: ManagedProcess,
        dataset: Dataset,
        selector: BackgroundPlay,
        metrics: TrainingMetrics,
        counters: RunCounters,
    ) -> None:
        self._config, self._workspace, self._clock = config, workspace, clock
        self._process, self._dataset = process, dataset
        self._selector, self._metrics = selector, metrics
        self._store = CheckpointStore(workspace.checkpoints)
        self._state = StateDirectory(workspace.training_state)
        # A broken manifest or best.json is refused now, not after a minute of training.
        for left in self._store.sweep():
            _log.warning("a crash left this behind: removed", file=left.name)
        # Another run's checkpoints may lie here too; runs of before had no name, nor had their checkpoints.
        refs = [ref for ref in self._store.list() if ref.metadata.extra.get(RUN, "") == counters.run]
        mine = [ref.metadata for ref in refs if counters.episodes]
        process.at_least(checkpoints=max((m.extra.get(CHECKPOINT_NUMBER, 0) for m in mine), default=0))
        self._store.best()
        self._pending: _Pending | None = None
        self._last_s = clock.monotonic_s()
        # What was being selected when the run was stopped is selected again.
        self._last_episode = max((m.episode for m in mine), default=0)
        self._newest_s = max((m.created_s for m in mine), default=0.0)
        self._longest_s = config.trainer_alarms.longest_round_minutes * 60.0
        # A kill may have come between a checkpoint and what says so.
        self.disk_well = not mine or self._announce(refs[-1], refs[-1].metadata.episode)

    def due(self, episodes: int) -> bool:
        """Whether a new checkpoint should be selected now."""
        training = self._config.training
        return (
            self._pending is None
            and self._process.remaining_checkpoints > 0
            and episodes - self._last_episode >= training.checkpoint_every_episodes
            and self._clock.monotonic_s() - self._last_s >= training.checkpoint_minimum_seconds
        )

    def start(self, network: StochasticMuZeroNetwork, counters: RunCounters, task: PlayTask) -> None:
        """Begin the selection of the network's present weights."""
        self._last_s, self._last_episode = self._clock.monotonic_s(), counters.episodes
        future = self._selector.submit([task])
        self._pending = _Pending(future, task.first_rows, export_weights(network), counters)

    def is_new(self, episodes: int) -> bool:
        """Whether anything was played since the last selection, and may still be published."""
        return episodes > self._last_episode and self._process.remaining_checkpoints > 0

    def publish(self, network: StochasticMuZeroNetwork, *, wait: bool) -> None:
        """Once the selection is known: write the checkpoint with its figures, and name it best if it is."""
        pending = self._pending
        if pending is None or not (wait or pending.future.done()):
            return
        self._pending = None
        result = wait_for(pending.future, self._process, self._clock, self._longest_s)[0]
        if not self._process.remaining_checkpoints:
            return
        selection = summarise(result)
        now_s = self._clock.time_s()
        # A clock that was set back must not make the newest one look oldest: that would be deleted.
        self._newest_s = max(now_s, self._newest_s)
        metadata = checkpoint_metadata(
            self._config,
            self._dataset,
            network,
            pending.counters,
            selection,
            self._newest_s,
            number=self._process.counters.checkpoints + 1,
            contest=contest(self._config, self._dataset, pending.first_rows),
        )
        try:
            ref = self._store.save(pending.weights, metadata)
        except (StateError, OSError) as error:
            # A full disk must not end the run: the last good checkpoint stays, and an alarm is raised.
            _log.error("checkpoint not written", error=str(error))
            self.disk_well = False
            return
        self._process.count(checkpoints=1)
        self.disk_well = self._announce(ref, pending.counters.episodes)
        self._metrics.write(pending.counters.episodes, now_s, selection_figures(selection))
        _log.info(
            "checkpoint",
            name=ref.name,
            sqn=selection.statistics.sqn.value,
            pips=selection.pips_per_session,
        )
        self._retain(now_s)

    def _announce(self, ref: CheckpointRef, episode: int) -> bool:
        """Say in files what was published; whether the disk had room for that."""
        try:
            self._name_best(ref)
            write_bytes(self._state.file(LAST_EPISODE_FILE), f"{episode}\n".encode())
        except (StateError, OSError) as error:
            _log.error("checkpoint published, but not announced", name=ref.name, error=str(error))
            return False
        return True

    def _name_best(self, newest: CheckpointRef) -> None:
        """All that played the same sessions are compared, not only this start's: they outlive any crash."""
        named = self._store.best()
        best = best_of([ref for ref in self._store.list() if contest_of(ref) == contest_of(newest)])
        if named is None or best.sha256 != named.sha256:
            self._store.mark_best(best)

    def _retain(self, now_s: float) -> None:
        try:
            protected = protected_by_validation(self._workspace.validation_state, now_s)
            protected |= protected_by_live(self._workspace.live_state)
        except StateError as error:
            _log.warning("nothing is deleted: what is still needed cannot be read", error=str(error))
            return
        training = self._config.training
        rule = RetentionRule(
            keep_last=training.keep_last_checkpoints, improvement_pips=training.keep_improvement_pips
        )
        try:
            apply_retention(self._store, rule, protected=protected)
        except (StateError, OSError) as error:
            _log.error("old checkpoints not deleted", error=str(error))
            self.disk_well = False
