"""Engines by checkpoint: loaded when first asked for, the least recently used one forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from swt_core.checkpoints import CheckpointRef
from swt_inference.engine import InferenceEngine


class EngineLibrary:
    """Keeps up to ``capacity`` engines in memory; thread-safe.

    Args:
        load: makes an engine of a checkpoint (`InferenceEngine.from_checkpoint` with its options).
        capacity: engines kept.
    """

    def __init__(self, load: Callable[[CheckpointRef], InferenceEngine], capacity: int = 2) -> None:
        if capacity < 1:
            raise ValueError("a library of engines keeps at least one")
        self._load = load
        self._capacity = capacity
        self._engines: OrderedDict[str, InferenceEngine] = OrderedDict()
        self._lock = Lock()

    def engine(self, checkpoint: CheckpointRef) -> InferenceEngine:
        """The checkpoint's engine; engines are told apart by the hash of their bytes.

        Raises:
            CheckpointError: it cannot be loaded; nothing is kept of it.
        """
        with self._lock:
            found = self._engines.get(checkpoint.sha256)
            if found is None:
                found = self._load(checkpoint)
                self._engines[checkpoint.sha256] = found
                if len(self._engines) > self._capacity:
                    self._engines.popitem(last=False)
            self._engines.move_to_end(checkpoint.sha256)
            return found

    def __len__(self) -> int:
        return len(self._engines)
