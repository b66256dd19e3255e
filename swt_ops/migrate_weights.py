"""Reads weights that torch saved (``.pth``), without running anything in them, and maps what fits.

torch's own loader refuses everything but tensors and plain containers (``weights_only=True``). What fits
becomes a checkpoint to begin a training from (`swt train --from`); what does not is refused with the reason:
half a network, or one that computes something else from the same numbers, is worth nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import torch

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.config import SWTConfig
from swt_core.config.loading import config_hash
from swt_core.errors import CheckpointError, IncompatibleModelError
from swt_models.architecture import architecture_name, describe
from swt_models.export import Weights, load_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

# Where training programs put the weights inside a checkpoint.
_WRAPPERS: Final = ("model_state", "model_state_dict", "state_dict", "network", "networks", "model")
_PREFIXES: Final = ("module.", "_orig_mod.")
_SHOWN: Final = 5


@dataclass(frozen=True)
class Imported:
    """Weights of a foreign file under this product's names.

    Attributes:
        sha256: of the file.
        other: what else stood in the file: optimiser state, counters.
    """

    weights: Weights
    sha256: str
    other: tuple[str, ...]


def read_pth(path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Tensors of a ``.pth`` file as ``part.layer.name``, and the names of what else stands in it.

    Raises:
        CheckpointError: there is no such file, it holds code, or no weights.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is not there", remedy="name a .pth file") from error
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} holds more than weights, or is damaged: {first}",
            remedy="in the program that wrote it, save the state_dict alone: objects are never loaded here",
        ) from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, no weights")
    wrapper = next((name for name in _WRAPPERS if isinstance(found.get(name), Mapping)), None)
    inner = found if wrapper is None else found[wrapper]
    tensors = dict(_flatten(inner))
    if not tensors:
        raise CheckpointError(f"{path} holds no weights", remedy=f"looked in {', '.join(_WRAPPERS)}")
    other = () if wrapper is None else tuple(sorted(str(name) for name in found if name != wrapper))
    return tensors, other


def import_pth(path: Path, config: SWTConfig, observation: ObservationShape) -> Imported:
    """The weights of ``path``, when they are those of the configured network.

    Raises:
        CheckpointError: as `read_pth`.
        IncompatibleModelError: the networks differ; every kind of difference is named.
    """
    tensors, other = read_pth(path)
    network = StochasticMuZeroNetwork(config.model, observation)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    reasons = differences({name: tuple(value.shape) for name, value in tensors.items()}, wanted)
    if reasons:
        raise IncompatibleModelError(
            f"{path} cannot be mapped: {'; '.join(reasons)}",
            remedy="train a new network: with another architecture the same numbers compute something else",
        )
    weights = {
        name: np.ascontiguousarray(value.detach().to(torch.float32).numpy())
        for name, value in tensors.items()
    }
    load_weights(network, weights)
    return Imported(weights, hashlib.sha256(path.read_bytes()).hexdigest(), other)


def differences(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Why weights do not fit, in sentences; nothing when names and shapes are the same."""
    if found == wanted:
        return []
    reasons = []
    if any(name.endswith(("running_mean", "running_var")) for name in found):
        reasons.append("it normalises by statistics of batches, here no decision depends on its batch")
    convolutions = {shape for name, shape in found.items() if len(shape) == 3 and name.endswith("weight")}
    if convolutions and convolutions - set(wanted.values()):
        widest = max(shape[0] for shape in convolutions)
        reasons.append(f"it reads time by convolutions of {widest} channels that this network does not have")
    inputs = {shape[1] for shape in found.values() if len(shape) == 2}
    joined = sorted(inputs & {260, 263})
    if joined:
        reasons.append(
            f"its dynamics take latent, action and outcome as one row of {joined[-1]}, here they are embedded"
        )
    if len(found) < len(wanted) and not any("afterstate" in name or "outcome" in name for name in found):
        reasons.append("it holds no afterstate or outcome network, without which search cannot plan")
    shapes = [
        f"{name} is {_text(found[name])} there and {_text(wanted[name])} here"
        for name in sorted(found.keys() & wanted.keys())
        if found[name] != wanted[name]
    ]
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    for what, names in (("of another shape", shapes), ("missing", missing), ("unknown here", unknown)):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            reasons.append(f"{what}: {', '.join(names[:_SHOWN])}{more}")
    return reasons


def save_imported(
    imported: Imported,
    store: CheckpointStore,
    config: SWTConfig,
    observation: ObservationShape,
    feature_version: str,
    *,
    name: str,
    written_s: float,
    now_s: float,
) -> CheckpointRef:
    """Publish imported weights as a checkpoint to begin from; it can never be judged or trade by itself.

    Nobody knows which bars the weights have read: everything up to the file's date counts as read, and as
    synthetic, so that no verdict about them could reach real money.

    Raises:
        CheckpointError: a weight is not finite.
        StateError: the store cannot be written.
    """
    end_s = int(written_s)
    data = CheckpointData(
        source=f"unknown (imported from {name})",
        sha256=imported.sha256,
        instrument=config.data.instrument,
        synthetic=True,
        train_start_s=0,
        train_end_s=end_s,
        validation_start_s=end_s,
        validation_end_s=end_s,
        test_start_s=end_s,
        test_end_s=end_s,
    )
    metadata = CheckpointMetadata(
        architecture=architecture_name(config.model, observation),
        feature_profile=config.features.profile,
        feature_version=feature_version,
        episode=0,
        version="0.1.0",
        config_hash=config_hash(config),
        data=data,
        model_settings=describe(config.model, observation),
        extra={"imported_from": name, "imported_sha256": imported.sha256},
        created_s=now_s,
    )
    return store.save(imported.weights, metadata)


def _flatten(tree: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, torch.Tensor]]:
    found: list[tuple[str, torch.Tensor]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, torch.Tensor):
            for unwanted in _PREFIXES:
                name = name.removeprefix(unwanted)
            found.append((name, value))
        elif isinstance(value, Mapping):
            found += _flatten(value, f"{name}.")
    return found


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) or "one number"
