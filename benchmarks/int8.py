"""What int8 search costs and gains on a *trained* network: decisions kept, profit, speed beside float32.

A network is trained by the product's own trainer (or ``checkpoint`` names one), plays held-out sessions
greedily in float32, and int8 is asked at every one of those decisions. Then int8 plays the same sessions
itself. Settings: ``minutes`` of training (2), ``checkpoint`` (a path), ``sessions`` (24), and any
``section.key`` of the configuration (the market is ``regimes`` unless said).
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from benchmarks.search import interleaved
from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import SystemClock
from swt_core.config import SWTConfig
from swt_core.config.loading import load_config
from swt_core.errors import CheckpointError, ConfigError
from swt_core.position import HOLD
from swt_core.workspace import Workspace
from swt_environments.dataset import Dataset, load_dataset
from swt_environments.simulation import BatchSimulation
from swt_inference.engine import InferenceEngine
from swt_inference.int8_tiles import HAS_VNNI
from swt_inference.rollout import SearchPolicy, play

NAME: Final = "int8"
_BATCHES: Final = (1, 64)


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Measure in this process; pin it to a core and its libraries to a thread for clean ratios."""
    minutes = options.number("minutes", 0.5 if options.quick else 2.0)
    sessions = int(options.number("sessions", 8 if options.quick else 24))
    overrides = options.overrides("minutes", "sessions", "checkpoint")
    if sessions < 1 or minutes <= 0:
        raise ConfigError("sessions is at least 1, and minutes more than 0")
    base = ["data.market=regimes", "data.market_days=600", "training.decay_sessions=3500"]
    timing = [f"training.maximum_minutes={minutes}", "training.checkpoint_minimum_seconds=20"]
    config = load_config(None, None, {}, [*base, *timing, *overrides]).config
    dataset = load_dataset(config)
    path = options.settings.get("checkpoint")
    if path is not None:
        place = Path(path)
        return measure(config, dataset, CheckpointStore(place.parent).find(place), sessions, options)
    with tempfile.TemporaryDirectory(prefix="swt-int8-") as directory:
        return measure(config, dataset, _trained(config, Path(directory)), sessions, options)


def measure(
    config: SWTConfig, dataset: Dataset, checkpoint: CheckpointRef, sessions: int, options: BenchmarkOptions
) -> dict[str, BenchmarkValue]:
    """Both evaluators on the same held-out sessions.

    Returns:
        ``kept``: share of float32's greedy decisions that int8 repeats; ``kept_of_actions``: of those that
        are not HOLD; ``identical_visits``: share of searches with the same visit counts; profit a session of
        each; ``ratio_b1`` and ``ratio_b64``: int8's decisions a second over float32's.
    """
    search = config.trading.search
    exact, small = (
        InferenceEngine.from_checkpoint(checkpoint, search.model_copy(update={"evaluator": evaluator}))
        for evaluator in ("float32", "int8")
    )
    rng = np.random.default_rng(options.seed)
    starts = dataset.splits.test.starts
    first = np.sort(rng.choice(starts, min(sessions, len(starts)), replace=False))
    last = first + config.data.session_bars - 1
    simulation = BatchSimulation(dataset.market, first, last)
    same: list[NDArray[np.bool_]] = []
    acting: list[NDArray[np.bool_]] = []
    visits: list[NDArray[np.bool_]] = []
    observations, masks = simulation.observe(), simulation.masks()
    while simulation.active.any():
        observations, masks = simulation.observe(), simulation.masks()
        theirs, mine = exact.decide_batch(observations, masks), small.decide_batch(observations, masks)
        same.append(theirs.searched_actions == mine.searched_actions)
        acting.append(theirs.searched_actions != HOLD)
        visits.append((theirs.visit_counts == mine.visit_counts).all(axis=1))
        simulation.step(theirs.actions)
    kept, acted = np.concatenate(same), np.concatenate(acting)
    again = play(SearchPolicy(small), dataset.market, first, last)
    result: dict[str, BenchmarkValue] = {
        "kept": float(kept.mean()),
        "kept_of_actions": float(kept[acted].mean()) if acted.any() else None,
        "identical_visits": float(np.concatenate(visits).mean()),
        "decisions": len(kept),
        "pips_per_session": float(simulation.realised_pips.mean()),
        "pips_per_session_int8": float(again.episode_pips.mean()),
        "vnni": HAS_VNNI,
    }
    rounds = 9 if options.quick else 31
    repeated = -(-max(_BATCHES) // len(observations))
    rows, legal = np.tile(observations, (repeated, 1)), np.tile(masks, (repeated, 1))
    for size in _BATCHES:
        peers = {
            name: _decide(engine, rows[:size], legal[:size])
            for name, engine in (("float32", exact), ("int8", small))
        }
        seconds = {name: statistics.median(times) for name, times in interleaved(peers, rounds).items()}
        result[f"decisions_per_s_b{size}"] = size / seconds["float32"]
        result[f"decisions_per_s_b{size}_int8"] = size / seconds["int8"]
        result[f"ratio_b{size}"] = seconds["float32"] / seconds["int8"]
    return result


def _decide(engine: InferenceEngine, observations: NDArray[np.float32], masks: NDArray[np.bool_]) -> Any:
    return lambda: engine.decide_batch(observations, masks)


def _trained(config: SWTConfig, directory: Path) -> CheckpointRef:
    from swt_training.daemon import run_trainer

    workspace = Workspace(directory)
    run_trainer(config, workspace, SystemClock())
    best = CheckpointStore(workspace.checkpoints).best()
    if best is None:
        raise CheckpointError("training ended without a checkpoint", remedy="give it more --minutes")
    return best
