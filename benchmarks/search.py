"""Decisions a second of one core, interleaved with a plain Python tree and with mctx.

The measurement runs in a child process pinned to one core, with one thread in every library: thread
counts can only be set before the libraries load. mctx is measured where it is installed (extra ``oracle``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.numba_cache import configure_numba_cache

NAME = "search"
BATCHES = (1, 16, 64, 256)
PEER_BATCH = 64
SINGLE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Measure in a child process; ``options.quick`` takes fewer rounds.

    Returns:
        Scalars by name: decisions a second (medians), ratios to the peers, live latencies in ms.
    """
    rounds = 5 if options.quick else 15
    command = [sys.executable, "-m", "benchmarks.search", "--rounds", str(rounds)]
    finished = subprocess.run(  # noqa: S603 - our own interpreter and module
        command, env={**os.environ, **SINGLE_THREAD}, stdout=subprocess.PIPE, check=True
    )
    result: dict[str, BenchmarkValue] = json.loads(finished.stdout)
    return result


def measure(rounds: int) -> dict[str, Any]:
    """Everything, in this process."""
    import torch

    from benchmarks.random_network import random_network
    from benchmarks.reference_search import ReferenceSearch
    from swt_core.config.models import ModelConfig, SearchConfig
    from swt_inference.engine import InferenceEngine
    from swt_models.observation import ObservationShape

    torch.set_num_threads(1)
    shape = ObservationShape(128, 9)
    network = random_network(ModelConfig(), shape)
    observations, masks = roots(max(BATCHES), shape.size)
    plain = SearchConfig()
    deep = plain.model_copy(update={"simulations": 50})
    engine = InferenceEngine.from_network(network, plain)
    deep_engine = InferenceEngine.from_network(network, deep)
    reference = ReferenceSearch(network, plain)
    peers: dict[str, Callable[[], Any]] = {
        f"b{size}": _decide(engine, observations[:size], masks[:size]) for size in BATCHES
    }
    some, legal = observations[:PEER_BATCH], masks[:PEER_BATCH]
    int8 = plain.model_copy(update={"evaluator": "int8"})
    int8_engine = InferenceEngine.from_network(network, int8)
    one, one_legal = observations[:1], masks[:1]
    peers["int8_b1"] = _decide(int8_engine, one, one_legal)
    peers["int8"] = _decide(int8_engine, some, legal)
    peers["deep"] = _decide(deep_engine, some, legal)
    peers["reference"] = lambda: [reference.visits(some[i], legal[i]) for i in range(8)]
    sizes = {**{f"b{size}": size for size in BATCHES}, "deep": PEER_BATCH, "reference": 8}
    sizes |= {"int8": PEER_BATCH, "int8_b1": 1}
    if find_spec("mctx") is not None:
        peers |= _mctx_peers(network, plain, deep, some, legal)
        sizes |= {"mctx": PEER_BATCH, "mctx_50": PEER_BATCH}
    seconds = interleaved(peers, rounds)
    rate = {name: sizes[name] / statistics.median(times) for name, times in seconds.items()}
    result: dict[str, Any] = {f"decisions_per_s_b{size}": rate[f"b{size}"] for size in BATCHES}
    result["decisions_per_s_50_b64"] = rate["deep"]
    result["int8_decisions_per_s_b64"] = rate["int8"]
    result["int8_ratio"] = rate["int8"] / rate["b64"]
    result["int8_ratio_b1"] = rate["int8_b1"] / rate["b1"]
    result["reference_decisions_per_s"] = rate["reference"]
    result["ratio_reference"] = rate["b64"] / rate["reference"]
    result["identical_visits_reference"] = _identical_to_reference(engine, reference, some, legal)
    if "mctx" in rate:
        result["mctx_decisions_per_s"] = rate["mctx"]
        result["ratio_mctx"] = rate["b64"] / rate["mctx"]
        result["ratio_mctx_50"] = rate["deep"] / rate["mctx_50"]
        result["identical_visits"] = identical_visits()
    result |= live_latency(engine, observations, masks, 10 * rounds)
    result["tree_share"] = tree_share(engine, some, legal, rounds)
    return result


def roots(count: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Random observations; every other root is in a position."""
    observations = np.random.default_rng(0).standard_normal((count, size)).astype(np.float32)
    masks = np.zeros((count, 4), np.bool_)
    masks[::2, :3] = True
    masks[1::2, [0, 3]] = True
    return observations, masks


def interleaved(peers: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each peer in each round; all peers take turns, so a slow moment hits all of them."""
    for call in peers.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, call in peers.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def live_latency(
    engine: Any, observations: NDArray[np.float32], masks: NDArray[np.bool_], decisions: int
) -> dict[str, float]:
    """Latencies of single decisions after the caches were filled with something else, and hot ones."""
    other = np.ones(16_000_000, np.float32)
    cold, hot = [], []
    for i in range(decisions):
        other += 1.0
        row = i % len(observations)
        cold.append(engine.decide(observations[row], masks[row]).latency_ms)
        hot.append(engine.decide(observations[row], masks[row]).latency_ms)
    return {
        "live_p50_ms": float(np.quantile(cold, 0.5)),
        "live_p95_ms": float(np.quantile(cold, 0.95)),
        "live_hot_p50_ms": float(np.quantile(hot, 0.5)),
    }


def tree_share(
    engine: Any, observations: NDArray[np.float32], masks: NDArray[np.bool_], rounds: int
) -> float:
    """Share of a batch's time that is not spent evaluating networks (medians of both)."""
    from swt_inference.agents import create_search

    evaluator = _TimedEvaluator(engine.evaluator)
    search = create_search(engine.search_config)
    shares = []
    for _ in range(2 * rounds):
        evaluator.seconds = 0.0
        start = time.perf_counter()
        search(evaluator, observations, masks)
        shares.append(1 - evaluator.seconds / (time.perf_counter() - start))
    return float(statistics.median(shares))


class _TimedEvaluator:
    """Adds up the time spent in an evaluator."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.width, self.actions, self.codes = inner.width, inner.actions, inner.codes
        self.seconds = 0.0

    def root(self, observations: Any) -> Any:
        return self._timed(self.inner.root, observations)

    def afterstates(self, latents: Any, actions: Any) -> Any:
        return self._timed(self.inner.afterstates, latents, actions)

    def states(self, afterstates: Any, codes: Any) -> Any:
        return self._timed(self.inner.states, afterstates, codes)

    def _timed(self, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = call(*arguments)
        self.seconds += time.perf_counter() - start
        return result


def identical_visits() -> float:
    """Share of roots of random games whose visit counts are mctx's, 15 and 50 simulations."""
    from benchmarks import mctx_oracle
    from swt_core.config.models import SearchConfig
    from swt_inference.search.base import no_rule
    from swt_inference.search.standard import StandardSearch
    from swt_inference.table_evaluator import TableEvaluator

    same = []
    for seed in range(mctx_oracle.SEEDS):
        game = mctx_oracle.case(seed)
        for simulations in mctx_oracle.SIMULATIONS:
            config = SearchConfig(
                simulations=simulations, discount=mctx_oracle.DISCOUNT, minimum_value_range_pips=0.0
            )
            search = StandardSearch(config, rule=no_rule(mctx_oracle.ACTIONS))
            found = search(TableEvaluator(game.tables), game.roots, game.masks)
            wanted = mctx_oracle.stochastic(game, simulations)
            same.append((found.visit_counts == wanted.visit_counts).all(axis=1).mean())
    return float(np.mean(same))


def _identical_to_reference(
    engine: Any, reference: Any, observations: NDArray[np.float32], masks: NDArray[np.bool_]
) -> float:
    """Share of roots on which the plain tree, computed in double precision over torch, agrees."""
    found = engine.decide_batch(observations, masks).visit_counts
    wanted = [reference.visits(observations[i], masks[i])[0] for i in range(len(observations))]
    return float((found == np.array(wanted)).all(axis=1).mean())


def _decide(engine: Any, observations: NDArray[np.float32], masks: NDArray[np.bool_]) -> Callable[[], Any]:
    return lambda: engine.decide_batch(observations, masks)


def _mctx_peers(
    network: Any, plain: Any, deep: Any, observations: NDArray[np.float32], masks: NDArray[np.bool_]
) -> dict[str, Callable[[], Any]]:
    from benchmarks.mctx_networks import mctx_search
    from swt_models.export import export_weights

    weights, blocks = export_weights(network), network.model.residual_blocks
    fifteen = mctx_search(weights, network.support, blocks, plain)
    fifty = mctx_search(weights, network.support, blocks, deep)
    return {"mctx": lambda: fifteen(observations, masks), "mctx_50": lambda: fifty(observations, masks)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    configure_numba_cache()
    print(json.dumps(measure(chosen.rounds)))
