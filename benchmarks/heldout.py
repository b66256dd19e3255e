"""Judging agents on held-out sessions: the same sessions, costs and rules for every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from swt_core.config import SWTConfig
from swt_core.pool import WorkerPool
from swt_environments.dataset import Dataset, load_dataset
from swt_environments.simulation import BatchSimulation
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import Choices, Policy, play
from swt_training.selfplay import frozen_engine

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Kind = Literal["search", "prior", "perceptron"]

BATCH: Final = 64
NORMAL_95: Final = 1.96


@dataclass(frozen=True)
class HeldOutTask:
    """One agent on some sessions.

    ``search`` decides as validation and live trading do, ``prior`` plays the network's most probable legal
    action, ``perceptron`` the largest output of a plain network (the peers').
    """

    config: SWTConfig
    kind: Kind
    weights: Path
    first_rows: Int64


@dataclass(frozen=True)
class HeldOut:
    """Profit after costs and number of trades of each session, both ``[E]``."""

    pips: Float64
    trades: Int64


class PriorPolicy:
    """The network without search: the most probable legal action."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.engine = engine

    def choose(self, simulation: BatchSimulation) -> Choices:
        logits = self.engine.evaluator.root(simulation.observe()).policy_logits
        return Choices(np.where(simulation.masks(), logits, -np.inf).argmax(axis=1).astype(np.int64))


class PlayedPolicy:
    """What search plays greedily, without the simulations that cannot change it.

    Args:
        minimum_confidence: visit share below which an entry becomes HOLD.
    """

    def __init__(self, engine: InferenceEngine, minimum_confidence: float) -> None:
        self.engine = engine
        self.minimum_confidence = minimum_confidence

    def choose(self, simulation: BatchSimulation) -> Choices:
        actions, live = np.zeros(simulation.batch, np.int64), np.flatnonzero(simulation.active)
        actions[live] = self.engine.play_batch(
            simulation.observe()[live],
            simulation.masks()[live],
            minimum_confidence=self.minimum_confidence,
        )
        return Choices(actions)


class PerceptronPolicy:
    """A plain ReLU network's largest output; an illegal action becomes what the environment makes of it.

    Args:
        layers: ``[(W [out, in], b [out]), …]``; no activation after the last.
    """

    def __init__(self, layers: Sequence[tuple[Float32, Float32]]) -> None:
        self.layers = layers

    def choose(self, simulation: BatchSimulation) -> Choices:
        return Choices(legalised(self.outputs(simulation.observe()).argmax(axis=1), simulation))

    def outputs(self, observations: Float32) -> Float32:
        """``[B, A]`` of observations ``[B, O]``."""
        values = observations
        for i, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if i + 1 < len(self.layers):
                values = np.maximum(values, 0.0)
        return values


def legalised(actions: Int64, simulation: BatchSimulation) -> Int64:
    """Illegal actions become HOLD, or CLOSE where the week's end forbids that: as in `SWT/Forex-v0`."""
    masks = simulation.masks()
    legal = masks[np.arange(len(actions)), actions]
    return np.where(legal, actions, np.where(masks[:, 0], 0, 3)).astype(np.int64)


def held_out_rows(starts: Int64, session_bars: int, sessions: int, seed: int) -> tuple[Int64, bool]:
    """First rows of sessions, in random order, and whether no two of them share a bar.

    Where fewer disjoint sessions exist than are asked for, overlapping ones are drawn.
    """
    rng = np.random.default_rng(seed)
    disjoint = disjoint_starts(starts, session_bars)
    if len(disjoint) >= sessions:
        return rng.permutation(disjoint)[:sessions], True
    return rng.choice(starts, size=min(sessions, len(starts)), replace=False), False


def disjoint_starts(starts: Int64, session_bars: int) -> Int64:
    """The earliest starts, ascending, each a whole session after the one before."""
    chosen: list[int] = []
    at = 0
    while at < len(starts):
        chosen.append(int(starts[at]))
        at = int(np.searchsorted(starts, starts[at] + session_bars))
    return np.array(chosen, np.int64)


def ci95(values: Float64) -> float:
    """Half the width of the 95 % interval of the mean of independent values."""
    return float(NORMAL_95 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")


def held_out(pool: WorkerPool, config: SWTConfig, kind: Kind, weights: Path, first_rows: Int64) -> HeldOut:
    """Play an agent on sessions, spread over the pool's workers; in the order of ``first_rows``."""
    parts = np.array_split(first_rows, min(pool.workers, len(first_rows)))
    results = list(pool.map(play_held_out, [HeldOutTask(config, kind, weights, part) for part in parts]))
    return HeldOut(np.concatenate([r.pips for r in results]), np.concatenate([r.trades for r in results]))


def play_held_out(task: HeldOutTask) -> HeldOut:
    """Runs in a worker."""
    dataset = _dataset(task.config.model_dump_json())
    market, last = dataset.market, task.first_rows + task.config.data.session_bars - 1
    result = play(_policy(task, dataset), market, task.first_rows, last, batch=BATCH)
    trades = np.bincount([t.episode for t in result.trades], minlength=len(task.first_rows))
    return HeldOut(result.episode_pips, trades.astype(np.int64))


@lru_cache(maxsize=1)
def _dataset(config_json: str) -> Dataset:
    return load_dataset(SWTConfig.model_validate_json(config_json))


def _policy(task: HeldOutTask, dataset: Dataset) -> Policy:
    if task.kind == "perceptron":
        return PerceptronPolicy(layers_of(load_file(task.weights)))
    processor = dataset.market.processor
    engine = frozen_engine(
        load_file(task.weights), task.config, processor.market_size, processor.position_size
    )
    if task.kind == "prior":
        return PriorPolicy(engine)
    return PlayedPolicy(engine, task.config.trading.minimum_confidence)


def layers_of(weights: dict[str, Float32]) -> list[tuple[Float32, Float32]]:
    """The layers of a perceptron that was saved as ``0.weight``, ``0.bias``, ``1.weight``, …"""
    return [(weights[f"{i}.weight"], weights[f"{i}.bias"]) for i in range(len(weights) // 2)]
