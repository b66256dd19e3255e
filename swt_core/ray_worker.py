"""What runs on the machines of a Ray cluster: a worker's methods, and arrays in the object store."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from swt_core.numba_cache import configure_numba_cache


@dataclass(frozen=True)
class RayArrays:
    """Arrays in Ray's object store; each machine fetches them once, its workers map that copy."""

    reference: Any

    def load(self) -> dict[str, NDArray[Any]]:
        import ray

        found: dict[str, NDArray[Any]] = ray.get(self.reference)
        return found


class RayWorker:
    """A worker: tasks in one thread, heartbeats in another."""

    def __init__(self) -> None:
        configure_numba_cache()

    def beat(self) -> tuple[str, int]:
        """That it lives, and as which process of which node."""
        import ray

        return ray.get_runtime_context().get_node_id(), os.getpid()

    def run(self, function: Callable[[Any], Any], task: Any) -> Any:
        """One task."""
        return function(task)
