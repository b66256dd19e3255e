"""One training run in a process of its own: `python -m benchmarks.learning_run CONFIG.json DIRECTORY`.

The run is that of ``swt train``: same process, pools, limits and checkpoints, in a workspace under the
directory. Weights are set aside as it goes; ``run.json`` tells how it ended.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from benchmarks.snapshots import SnapshotWriter
from swt_core.checkpoints import CheckpointStore
from swt_core.clock import SystemClock
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError
from swt_core.logs import configure_logging
from swt_core.numba_cache import configure_numba_cache
from swt_core.state import write_json
from swt_core.workspace import Workspace

RUN_FILE: Final = "run.json"
BEST_FILE: Final = "best.safetensors"
SNAPSHOTS: Final = "snapshots"


class RunRecord(BaseModel):
    """How a run ended.

    Attributes:
        unavailable: why it could not run at all; else None.
        elapsed_s: training time of the last weights.
        has_best: whether a checkpoint was chosen on the validation range (``best.safetensors``).
        threads: threads that torch used, where that was tried out.
    """

    unavailable: str | None = None
    elapsed_s: float = 0.0
    episodes: int = 0
    learner_sessions: int = 0
    has_best: bool = False
    threads: int | None = None


def main(config: SWTConfig, directory: Path) -> RunRecord:
    """Train until ``training.maximum_minutes``; the snapshots and the record lie in the directory."""
    from safetensors.numpy import save_file

    from swt_training.daemon import run_trainer
    from swt_training.figures import Progress

    workspace = Workspace(directory / "workspace")
    snapshots = SnapshotWriter(directory / SNAPSHOTS)
    last_s = 0.0

    def watch(now: Progress) -> None:
        nonlocal last_s
        last_s = now.elapsed_s
        snapshots.offer(now.elapsed_s, now.weights)

    try:
        trainer = run_trainer(config, workspace, SystemClock(), on_progress=watch)
    except ConfigError as error:
        record = RunRecord(unavailable=str(error))
    else:
        # The average is what plays and is published: the weights behind it swing from step to step.
        snapshots.offer(last_s, trainer.learner.average.weights, force=True)
        store = CheckpointStore(workspace.checkpoints)
        best = store.best()
        if best is not None:
            save_file(store.load(best)[0], directory / BEST_FILE)
        counters = trainer.counters
        record = RunRecord(
            elapsed_s=last_s,
            episodes=counters.episodes,
            learner_sessions=counters.learner_sessions,
            has_best=best is not None,
        )
    write_json(directory / RUN_FILE, record)
    return record


if __name__ == "__main__":
    configure_numba_cache()
    configure_logging(json=True, service="trainer")
    main(SWTConfig.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
