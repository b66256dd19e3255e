"""Weights set aside while something trains, so that they can be judged afterwards, off its clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from swt_core.state import append_jsonl, read_jsonl

FIRST_S: Final = 0.5
# Times of crossing a goal are known to 15 %: it was crossed before the weights that show it.
GROWTH: Final = 1.15
_INDEX: Final = "snapshots.jsonl"

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Snapshot:
    """Weights as they were after ``elapsed_s`` seconds of training."""

    elapsed_s: float
    path: Path


class SnapshotWriter:
    """Sets weights aside at times that grow geometrically.

    Args:
        directory: where they go; its index is written as they come.
        first_s: when the first one is due.
        growth: factor from one due time to the next.
    """

    def __init__(self, directory: Path, first_s: float = FIRST_S, growth: float = GROWTH) -> None:
        self._directory = directory
        self._due_s = first_s
        self._growth = growth
        self._count = 0
        self._last_s: float | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def offer(self, elapsed_s: float, weights: Callable[[], Weights], *, force: bool = False) -> bool:
        """Take the weights if a snapshot is due (or ``force``), once a moment; says whether it did."""
        if elapsed_s == self._last_s or (elapsed_s < self._due_s and not force):
            return False
        while self._due_s <= elapsed_s:
            self._due_s *= self._growth
        name = f"snapshot_{self._count:04d}.safetensors"
        save_file(
            {key: np.ascontiguousarray(value) for key, value in weights().items()}, self._directory / name
        )
        line = {"elapsed_s": elapsed_s, "file": name}
        append_jsonl(self._directory / _INDEX, line, durable=False)
        self._count += 1
        self._last_s = elapsed_s
        return True


def read_snapshots(directory: Path) -> list[Snapshot]:
    """The snapshots of a run in order of time."""
    lines: list[dict[str, Any]] = read_jsonl(directory / _INDEX)
    return [Snapshot(float(line["elapsed_s"]), directory / str(line["file"])) for line in lines]
