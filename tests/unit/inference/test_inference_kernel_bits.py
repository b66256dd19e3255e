"""A kernel's bits depend on its arguments alone, not on what was compiled, loaded or called before."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

ROOT = Path(__file__).resolve().parents[3]


def kernels() -> dict[str, Dispatcher]:
    """Every compiled function of the product by module and name."""
    found: dict[str, Dispatcher] = {}
    for path in sorted(ROOT.glob("swt_*/**/*.py")):
        if "nb.njit" in path.read_text():
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            own = {n: value for n, value in vars(module).items() if isinstance(value, Dispatcher)}
            found |= {f"{path.stem}.{name}": kernel for name, kernel in own.items()}
    return found


def called(kernel: Dispatcher) -> list[Dispatcher]:
    function = kernel.py_func
    known = [function.__globals__.get(name) for name in function.__code__.co_names]
    return [value for value in known if isinstance(value, Dispatcher)]


def rounds_freely(kernel: Dispatcher) -> bool:
    """Whether the compiler may choose the order or the fusing of sums in it, or in what it calls."""
    return bool(kernel.targetoptions.get("fastmath")) or any(rounds_freely(inner) for inner in called(kernel))


def test_a_kernel_that_rounds_freely_is_part_of_its_callers() -> None:
    """Else each caller brings a copy of its own, rounded otherwise, and the first one loaded serves all."""
    every = kernels()
    assert sum(map(rounds_freely, every.values())) >= 15
    apart = {
        f"{inner.py_func.__name__} in {name}"
        for name, kernel in every.items()
        for inner in called(kernel)
        if rounds_freely(inner) and not inner.targetoptions.get("forceinline")
    }
    assert not apart


DIGESTS = """
    import hashlib, sys
    from swt_core.numba_cache import configure_numba_cache
    configure_numba_cache()
    import numpy as np
    from swt_core.config import ModelConfig
    from swt_inference.devices import create_evaluator
    from swt_inference.kernels import norm_relu_nb, normalise_nb
    from swt_models.export import export_weights
    from swt_models.networks import StochasticMuZeroNetwork
    from swt_models.observation import ObservationShape
    import torch

    rng = np.random.default_rng(0)
    if "alone" in sys.argv:
        rows, line = rng.random((2, 32), np.float32), rng.random(32, np.float32)
        normalise_nb(2, rows, rows)
        norm_relu_nb(2, rows, line, line, line)
    shape, model = ObservationShape(64, 9), ModelConfig(hidden_dim=128, support_bins=61)
    torch.manual_seed(0)
    weights = export_weights(StochasticMuZeroNetwork(model, shape))
    rng = np.random.default_rng(1)
    weights = {n: (w + 0.05 * rng.standard_normal(w.shape)).astype(np.float32) for n, w in weights.items()}
    seen = rng.standard_normal((7, shape.size)).astype(np.float32)
    chosen = (np.arange(7) % 3).astype(np.int32)
    digest = hashlib.sha256()
    for arithmetic in ("float32", "int8"):
        evaluator = create_evaluator(weights, model, shape, "cpu", arithmetic)
        latents = evaluator.root(seen).embeddings.copy()
        after = evaluator.afterstates(latents, chosen).embeddings.copy()
        for array in (*evaluator.afterstates(latents, chosen), *evaluator.states(after, chosen)):
            digest.update(array.tobytes())
    print(digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_now_or_loaded_and_in_whatever_order_networks_give_the_same_bits(tmp_path: Path) -> None:
    def digest(*arguments: str) -> str:
        found = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(DIGESTS), *arguments],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        return found.stdout.strip()

    cold = digest()
    assert len(cold) == 64
    assert digest() == cold
    assert digest("alone") == cold
