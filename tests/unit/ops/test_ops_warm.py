"""After `swt doctor --warm` nothing is left to compile, neither in the cache nor for a first decision."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WARM = """
import json
from swt_core.numba_cache import configure_numba_cache
configure_numba_cache()
from swt_ops.kernel_cache import read_kernel_cache
before = read_kernel_cache()
from swt_ops.warm import warm_kernels
warm_kernels()
after = read_kernel_cache()
print(json.dumps({"before": before.warm, "warm": len(after.warm), "cold": after.cold}))
"""

# The default networks and market, and decisions as self-play and the live trader take them.
FIRST_DECISION = """
import gc, json
from swt_core.numba_cache import configure_numba_cache
configure_numba_cache()
import numpy as np
from numba.core.dispatcher import Dispatcher
from swt_core.config import SWTConfig
from swt_core.position import POSITION_FIELDS
from swt_environments.dataset import load_dataset
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import SearchPolicy, play
from swt_live.decider import decide
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

config = SWTConfig.model_validate({"data": {"market_days": 40}})
dataset = load_dataset(config)
processor = dataset.market.processor
shape = ObservationShape.for_profile("swt", processor.market_size, processor.position_size)
engine = InferenceEngine.from_network(StochasticMuZeroNetwork(config.model, shape), config.trading.search)
first = dataset.splits.test.starts[:3]
explore = SearchPolicy(engine, temperature=1.0, rng=np.random.default_rng(0))
play(explore, dataset.market, first, first + 5, record=True, keep_equity=True)
decide(dataset.bars.rows(slice(0, 600)), np.zeros(POSITION_FIELDS), processor, engine, config.trading)
kernels = [x for x in gc.get_objects() if isinstance(x, Dispatcher)]
kernels = [x for x in kernels if x.py_func.__module__.startswith("swt_")]
cached = [x for x in kernels if hasattr(x._cache, "_cache_file")]
print(json.dumps({
    "missed": sorted(x.py_func.__name__ for x in cached if sum(x.stats.cache_misses.values())),
    "hits": sum(sum(x.stats.cache_hits.values()) for x in cached),
}))
"""


def run(script: str, cache: Path) -> dict[str, object]:
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=900, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    result: dict[str, object] = json.loads(finished.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_warming_an_empty_cache_leaves_no_kernel_cold_and_no_first_decision_compiles(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    warmed = run(WARM, cache)
    assert warmed["before"] == []
    assert warmed["cold"] == []
    found = run(FIRST_DECISION, cache)
    assert found["missed"] == []
    assert found["hits"]
    # The check itself can fail: a kernel that is taken out of the cache is missed.
    (place,) = cache.glob("search.simulate-*")
    shutil.rmtree(place)
    assert "_select_nb" in str(run(FIRST_DECISION, cache)["missed"])
