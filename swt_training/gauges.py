"""Figures that are collected when Prometheus looks, so they go on when the loop does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from swt_core.checkpoints import CheckpointStore
from swt_core.clock import Clock
from swt_core.errors import CheckpointError
from swt_core.pool import WorkerPool
from swt_core.process import ManagedProcess


class TrainerCollector(Collector):
    """Collects at each scrape; a store that cannot be read leaves its age out.

    Args:
        process: limits and counters.
        checkpoints: the trainer's store.
        actors: the pool of self-play.
    """

    def __init__(self, process: ManagedProcess, clock: Clock, checkpoints: Path, actors: WorkerPool) -> None:
        self._process, self._clock, self._actors = process, clock, actors
        self._store = CheckpointStore(checkpoints)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        done = self._process.counters
        yield CounterMetricFamily(
            "swt_training_episodes", "Episodes played, over all starts", value=float(done.episodes)
        )
        yield CounterMetricFamily(
            "swt_training_checkpoints", "Checkpoints written, over all starts", value=float(done.checkpoints)
        )
        yield CounterMetricFamily(
            "swt_training_starts", "Starts of the trainer on this state", value=float(done.starts)
        )
        used = GaugeMetricFamily(
            "swt_training_limit_used_ratio", "Share of a hard limit that is used up", labels=["limit"]
        )
        for name, share in self._process.limits_used().items():
            used.add_metric([name], share)
        yield used
        at_limit = float(self._process.limit_reached is not None)
        yield GaugeMetricFamily("swt_training_at_limit", "1 once a hard limit was met", value=at_limit)
        workers = float(self._actors.workers)
        yield GaugeMetricFamily("swt_training_actors", "Actor tasks that run at once", value=workers)
        counted = GaugeMetricFamily(
            "swt_training_actor_events",
            "Actor results, retried tasks, and actors found dead, hung or poisoned; all but done, retried "
            "were replaced",
            labels=["event"],
        )
        counts = self._actors.counts
        for name, count in {**asdict(counts), "replaced": counts.replaced}.items():
            counted.add_metric([name], float(count))
        yield counted
        # Shown by name at any time; without a checkpoint there is no series.
        age = GaugeMetricFamily(
            "swt_training_checkpoint_age_seconds", "Age of the newest checkpoint", labels=()
        )
        age_s = self._checkpoint_age_s()
        if age_s is not None:
            age.add_metric((), age_s)
        yield age

    def _checkpoint_age_s(self) -> float | None:
        try:
            newest = self._store.newest()
        except CheckpointError:
            return None
        return None if newest is None else max(0.0, self._clock.time_s() - newest.metadata.created_s)


def register_gauges(
    registry: CollectorRegistry,
    process: ManagedProcess,
    clock: Clock,
    checkpoints: Path,
    actors: WorkerPool,
) -> None:
    """Show these figures in ``registry``."""
    registry.register(TrainerCollector(process, clock, checkpoints, actors))
