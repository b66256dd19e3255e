"""The trainer daemon: pools, limits, health and metrics around one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from swt_core.checkpoints import CheckpointStore
from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.config.models import PoolConfig
from swt_core.local_pool import LocalPool
from swt_core.logs import get_logger
from swt_core.metrics import Health, HealthServer, metrics_registry, register_state, while_it_beats
from swt_core.pool import default_workers, open_pool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_training.gauges import register_gauges

if TYPE_CHECKING:
    from swt_training.figures import Progress
    from swt_training.fine_tune import Parent
    from swt_training.trainer import Trainer

_log = get_logger(__name__)

# With room to spare: with the default profile an actor takes 0.36, learner and selector together 1.2.
ACTOR_GB: Final = 0.5
TRAINER_GB: Final = 2.0


def run_trainer(
    config: SWTConfig,
    workspace: Workspace,
    clock: Clock,
    *,
    health_port: int | None = None,
    stay_at_limit: bool = False,
    from_checkpoint: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Trainer:
    """Train in this process until a limit, a signal or ``training.maximum_minutes``.

    Args:
        health_port: where /health and /metrics are served on loopback; None: nowhere.
        stay_at_limit: stay alive and healthy at a limit that lasts, as a supervised daemon should.
        from_checkpoint: begin from its weights, with the learning rate of fine-tuning: a path, or another
            run's ``DIRECTORY/best`` or ``DIRECTORY/newest``. The run that began so is resumed by the same
            call, also when its parent is gone or no longer the best.
        on_progress: called after each round.

    Raises:
        CheckpointError: ``from_checkpoint`` cannot be had, or does not fit.
        ConfigError: the configuration asks for something that is not built, or does not fit the state.
        DataError: the bars cannot be trusted.
        StateError: another trainer writes in this workspace, or no resume state is sound.
    """
    state = StateDirectory(workspace.training_state)
    registry = metrics_registry("trainer")
    register_state(registry, state, clock)
    parent = None
    if from_checkpoint is not None:
        from swt_training.fine_tune import chosen_parent
        from swt_training.resume import saved_counters

        saved, store = saved_counters(state), CheckpointStore(workspace.checkpoints)
        parent = chosen_parent(store, state, from_checkpoint, saved.parent if saved else None)
    with state.writer(), ManagedProcess("trainer", config.process_limits, state, clock) as process:
        server = None
        if health_port is not None:
            health = while_it_beats(lambda: _health(process), state, clock)
            server = HealthServer(registry, health, port=health_port).start()
        try:
            trainer = _trainer(config, workspace, clock, process, registry, on_progress, parent)
            trainer.run()
            if stay_at_limit and process.limit_reached and process.limit_lasts:
                process.idle_at_limit()
            process.raise_for_restart()
        finally:
            if server is not None:
                server.stop()
    return trainer


def _trainer(
    config: SWTConfig,
    workspace: Workspace,
    clock: Clock,
    process: ManagedProcess,
    registry: CollectorRegistry,
    on_progress: Callable[[Progress], None] | None,
    parent: Parent | None,
) -> Trainer:
    # Actors start while this process imports torch; selection waits for its first checkpoint, and is always
    # played here: a cluster without room for it would otherwise end the run.
    actors = open_pool(actors_pool(config), actors_that_fit(config), clock=clock)
    selector = LocalPool(1, task_timeout_s=config.pool.task_timeout_seconds, clock=clock, at_once=False)
    try:
        from swt_training.trainer import Trainer

        register_gauges(registry, process, clock, workspace.checkpoints, actors)
        return Trainer(
            config,
            workspace,
            clock,
            process,
            actors=actors,
            selector=selector,
            registry=registry,
            on_progress=on_progress,
            parent=parent,
        )
    except BaseException:
        actors.close()
        selector.close()
        raise


def actors_pool(config: SWTConfig) -> PoolConfig:
    """The actors' pool; a task that hangs is noticed, and done by another, before the round is too long."""
    patience_s = config.trainer_alarms.longest_round_minutes * 60.0 / 3.0
    timeout_s = min(config.pool.task_timeout_seconds, patience_s)
    return config.pool.model_copy(update={"task_timeout_seconds": timeout_s})


def actors_that_fit(config: SWTConfig, workers: int | None = None) -> int:
    """How many actors to start: as configured, else for 85 % of the cores as many as memory allows.

    Without that a machine of many cores would meet its own memory limit again and again.

    Args:
        workers: what the cores allow; None: this machine's.

    Returns:
        0 leaves it to a cluster, whose machines have memory of their own.
    """
    wanted = config.training.actors
    if config.pool.kind == "ray":
        return wanted
    limit_gb = config.process_limits.maximum_memory_gb
    cores = workers or default_workers()
    room = max(1, int((limit_gb - TRAINER_GB) / ACTOR_GB))
    if (wanted or cores) > room:
        _log.warning(
            "memory is the limit of actors",
            maximum_memory_gb=limit_gb,
            fit=room,
            wanted=wanted or cores,
            remedy=f"set process_limits.maximum_memory_gb to {TRAINER_GB + ACTOR_GB * (wanted or cores):g}",
        )
    return wanted or min(cores, room)


def _health(process: ManagedProcess) -> Health:
    counters = process.counters
    return Health(
        healthy=True,
        status=process.limit_reached or process.stop_reason or "training",
        detail={"episodes": counters.episodes, "checkpoints": counters.checkpoints, "hours": counters.hours},
    )
