"""The trainer's speed: learner steps and samples a second, replay ratio, and where the time goes.

Runs the trainer as ``swt train`` does, for a while, in a temporary workspace, and reads its metrics; the
first rounds, in which workers start, do not count. Settings: ``minutes`` (2), ``profile``, and any
``section.key`` of the configuration.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.clock import SystemClock
from swt_core.config import TrainingConfig
from swt_core.config.loading import load_config
from swt_core.cores import available_cores
from swt_core.errors import DataError
from swt_core.state import read_jsonl
from swt_core.workspace import Workspace

NAME: Final = "train"
WARM_UP_ROUNDS: Final = 2
_ROUND_KEY: Final = "Training/round_s"
_STEPS_KEY: Final = "Training/learner_steps"
_PLAYED_KEY: Final = "Performance/self_play_pips"  # not in the rounds before self-play begins


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Train for a while and measure."""
    from swt_training.daemon import run_trainer
    from swt_training.metrics import METRICS_FILE

    minutes = options.number("minutes", 0.7 if options.quick else 2.0)
    settings = [f"training.maximum_minutes={minutes}", *options.overrides("minutes", "profile")]
    config = load_config(None, options.settings.get("profile"), {}, settings).config
    with tempfile.TemporaryDirectory(prefix="swt-train-") as directory:
        workspace = Workspace(Path(directory))
        trainer = run_trainer(config, workspace, SystemClock())
        records = read_jsonl(workspace.training_state / METRICS_FILE)
    return {
        **round_figures(
            [r for r in records if _PLAYED_KEY in r],
            sessions_per_step=config.training.sessions_per_step,
            replayed_per_step=replayed_per_step(config.training),
            session_bars=config.data.session_bars,
        ),
        "actors": trainer.actors_per_round,
        "cores": available_cores(),
        "device": trainer.learner.device.type,
        "bfloat16": config.training.bfloat16,
    }


def replayed_per_step(training: TrainingConfig) -> int:
    """Sessions of a learner step that were searched before; the plain algorithm has no others."""
    if training.algorithm == "plain":
        return training.sessions_per_step
    return min(training.replayed_sessions_per_step, training.sessions_per_step - 1)


def round_figures(
    records: Sequence[Mapping[str, Any]],
    *,
    sessions_per_step: int,
    replayed_per_step: int,
    session_bars: int,
) -> dict[str, BenchmarkValue]:
    """Figures of a run from its rounds' metrics, oldest first.

    The time is that from the record of the last warm-up round to the last record, so it includes what
    lies between rounds. A sample is one recorded bar in one learner step.

    Raises:
        DataError: the run was too short to have rounds beyond the warm-up.
    """
    if len(records) <= WARM_UP_ROUNDS:
        raise DataError(
            f"{len(records)} rounds are too few to measure", remedy="give the benchmark more minutes"
        )
    rounds = records[WARM_UP_ROUNDS:]
    before = records[WARM_UP_ROUNDS - 1]
    elapsed_s = rounds[-1]["time_s"] - before["time_s"]
    steps = rounds[-1][_STEPS_KEY] - before[_STEPS_KEY]
    episodes = rounds[-1]["episode"] - before["episode"]

    def share(name: str) -> float:
        return float(sum(r[f"Training/{name}_share"] * r[_ROUND_KEY] for r in rounds) / elapsed_s)

    learner, waiting = share("learning"), share("waiting")
    return {
        "steps_per_s": steps / elapsed_s,
        "samples_per_s": steps * sessions_per_step * session_bars / elapsed_s,
        "replay_ratio": steps * replayed_per_step / episodes,
        "learned_per_searched": steps * sessions_per_step / episodes,
        "episodes_per_round": episodes / len(rounds),
        "steps_per_round": steps / len(rounds),
        "actors_share": share("acting"),
        "learner_share": learner,
        "waiting_share": waiting,
        "other_share": 1.0 - learner - waiting,
        "episodes_per_s": episodes / elapsed_s,
        "rounds": len(rounds),
        "seconds": elapsed_s,
    }
