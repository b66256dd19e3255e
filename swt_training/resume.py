"""Exact resume: everything a run needs to go on as if it had never stopped.

The state is one safetensors file per generation plus a small record with its hash; the two newest
generations are kept, so a torn or corrupt newest one falls back to the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from swt_core.errors import StateError
from swt_core.logs import get_logger
from swt_core.state import StateDirectory, StateRecord, read_json, write_bytes
from swt_training.fine_tune import ParentRecord

_log = get_logger(__name__)

KEPT_GENERATIONS = 2
Arrays = dict[str, NDArray[Any]]


class RunCounters(StateRecord):
    """Where a run stands; every random draw derives from the seed and these."""

    round: int = Field(0, ge=0, description="rounds completed")
    learner_steps: int = Field(0, ge=0)
    learner_sessions: int = Field(0, ge=0, description="sessions the learner has seen")
    episodes: int = Field(0, ge=0, description="sessions searched by actors")
    skipped_steps: int = Field(0, ge=0, description="learner steps dropped for not being finite")
    rollbacks: int = Field(0, ge=0, description="returns to the last good state")
    hours: float = Field(0.0, ge=0, description="time spent running when this was saved, hours")
    averaged_steps: int = Field(0, ge=0, description="gradient steps in the average of the weights")
    parent: ParentRecord | None = Field(None, description="the checkpoint the run began from")
    run: str = Field("", description="which run this is: its checkpoints say the same")
    last_bar_s: int | None = Field(None, description="last bar of the data the run began with")
    boundaries_s: tuple[int, int]
    bars_sha256: str
    config_hash: str


class _Generation(StateRecord):
    file: str
    sha256: str
    counters: RunCounters


def save_state(state: StateDirectory, counters: RunCounters, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a new generation; older ones beyond the kept number are removed.

    Raises:
        StateError: it cannot be written (a full disk, say); earlier generations stay.
    """
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    name = f"resume_{counters.round:09d}.safetensors"
    write_bytes(state.file(name), data)
    record = _Generation(
        schema_version=1, file=name, sha256=hashlib.sha256(data).hexdigest(), counters=counters
    )
    state.write(f"resume_{counters.round:09d}.json", record)
    # One with a later round was broken, and the run fell back behind it: it would take a sound one's place.
    stems = [path.stem for path in _generations(state) if path.stem <= Path(name).stem]
    for left in Path(state.path).glob("resume_*"):
        if left.stem not in stems[:KEPT_GENERATIONS]:  # what a power cut left half-written goes too
            left.unlink(missing_ok=True)


def load_state(state: StateDirectory) -> tuple[RunCounters, Arrays] | None:
    """The newest sound generation, or None when there is none.

    Raises:
        StateError: there are generations, and none is sound.
    """
    records = _generations(state)
    for path in records:
        try:
            record = read_json(path, _Generation)
            if record is None:
                continue
            data = state.file(record.file).read_bytes()
            if hashlib.sha256(data).hexdigest() != record.sha256:
                raise StateError(f"{record.file} is not what {path.name} promised")
            return record.counters, load(data)
        except (StateError, OSError, SafetensorError) as error:
            _log.warning("resume state is broken, trying the one before", file=path.name, error=str(error))
    if records:
        raise StateError(
            f"no resume state in {state.path} is sound", remedy="start afresh in another directory"
        )
    return None


def saved_counters(state: StateDirectory) -> RunCounters | None:
    """The counters of the newest generation whose record can be read, without its arrays."""
    for path in _generations(state):
        with suppress(StateError):
            record = read_json(path, _Generation)
            if record is not None:
                return record.counters
    return None


def _generations(state: StateDirectory) -> list[Path]:
    return sorted(Path(state.path).glob("resume_*.json"), reverse=True)


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    """An optimizer's moments and step counts as arrays (no pickle)."""
    arrays: Arrays = {}
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
            arrays[f"{index}.{name}"] = tensor.detach().cpu().numpy().copy()
    return arrays


def restore_optimizer(optimizer: torch.optim.Optimizer, arrays: Mapping[str, NDArray[Any]]) -> None:
    """The inverse of `optimizer_arrays`."""
    state = optimizer.state_dict()
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = torch.from_numpy(np.array(array))
    state["state"] = slots
    optimizer.load_state_dict(state)


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Arrays under ``prefix/``."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The inverse of `prefixed`."""
    start = f"{prefix}/"
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}
