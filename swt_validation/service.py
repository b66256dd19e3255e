"""The validator as a process: state directory, health endpoint, pool, signals."""

from __future__ import annotations

from pathlib import Path

from swt_core.checkpoints import CheckpointStore
from swt_core.clock import Clock, SystemClock
from swt_core.config import SWTConfig
from swt_core.logs import configure_logging
from swt_core.metrics import HealthServer, metrics_registry, register_state, while_it_beats
from swt_core.pool import SerialPool, open_pool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_validation.checkpoint_validation import load_source
from swt_validation.daemon import Validator, judge_with, run
from swt_validation.metrics import ValidatorMetrics


def serve(
    config: SWTConfig,
    checkpoints: Path,
    state: Path,
    *,
    workers: int = 1,
    port: int = 0,
    clock: Clock | None = None,
) -> None:
    """Run the validator until a signal or a limit stops it.

    Args:
        checkpoints: the trainer's store, only read.
        state: the validator's directory, which nobody else may write.
        workers: processes that share out the episodes; 1: this one; 0: 85 % of the cores.
        port: of /health and /metrics on loopback; 0: any.

    Raises:
        StateError: another validator works in ``state``.
    """
    clock = clock or SystemClock()
    configure_logging(json=True)
    directory = StateDirectory(state)
    registry = metrics_registry("validator")
    register_state(registry, directory, clock)
    alone = workers == 1 and config.pool.kind == "local"
    pool = SerialPool() if alone else open_pool(config.pool, workers, clock=clock, at_once=False)
    try:
        with (
            directory.writer(),
            ManagedProcess("validator", config.process_limits, directory, clock) as process,
        ):
            judge = judge_with(
                lambda: load_source(config), config, state, clock, pool, process.stop_event.is_set
            )
            metrics = ValidatorMetrics(registry)
            validator = Validator(CheckpointStore(checkpoints), directory, config, clock, judge, metrics)
            health = while_it_beats(validator.health, directory, clock)
            with HealthServer(registry, health, port=port):
                run(validator, process, config.validation)
    finally:
        pool.close()
