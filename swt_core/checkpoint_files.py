"""One checkpoint file: float32 weights in safetensors, JSON metadata in its header, no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from swt_core.errors import CheckpointError, CorruptCheckpointError, IncompatibleModelError

Weights = Mapping[str, NDArray[np.float32]]

SUFFIX: Final = ".safetensors"
_HEADER_KEY: Final = "swt"
_VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
_ARCHITECTURE = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class _Metadata(BaseModel):
    # extra="ignore": a newer trainer may say more than this reader understands.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CheckpointData(_Metadata):
    """Which bars a checkpoint was trained on, and which were held out for whom."""

    source: str = Field(description="file name or name of the synthetic market")
    sha256: str = Field(description="hash of the bars")
    instrument: str
    synthetic: bool = Field(description="a model from synthetic data never trades real money")
    train_start_s: int
    train_end_s: int
    validation_start_s: int
    validation_end_s: int
    test_start_s: int
    test_end_s: int


class CheckpointMetadata(_Metadata):
    """What a checkpoint says about itself; written into the file's header and into the manifest.

    ``version`` is MAJOR.MINOR.PATCH: architecture, hyper-parameters, continued training. ``model_settings``
    holds the model section of the configuration, enough to rebuild the networks; ``extra`` whatever
    else the trainer wants to keep (reward preset, search settings, …).
    """

    architecture: str = Field(pattern=rf"^{_ARCHITECTURE}$")
    feature_profile: str
    feature_version: str
    episode: int = Field(ge=0)
    version: str = Field(pattern=rf"^{_VERSION}$")
    config_hash: str
    git_commit: str | None = None
    data: CheckpointData
    sqn: float | None = None
    expectancy_pips: float | None = None
    trades: int = Field(0, ge=0)
    model_settings: dict[str, Any] = Field(default_factory=dict)
    extra: dict[str, Any] = Field(default_factory=dict)
    created_s: float

    @property
    def file_name(self) -> str:
        return f"checkpoint_v{self.version}_ep{self.episode}_arch-{self.architecture}{SUFFIX}"

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Age as numbers: version, then episode (names sorted as text would put v10 before v9)."""
        major, minor, patch = (int(part) for part in self.version.split("."))
        return major, minor, patch, self.episode


def require_compatible(
    metadata: CheckpointMetadata,
    *,
    architecture: str | None = None,
    feature_profile: str | None = None,
    feature_version: str | None = None,
    instrument: str | None = None,
) -> None:
    """Refuse a checkpoint that belongs to something else than what it shall be used for.

    Raises:
        IncompatibleModelError: naming both sides of each difference.
    """
    wanted = {
        "architecture": (metadata.architecture, architecture),
        "feature profile": (metadata.feature_profile, feature_profile),
        "feature version": (metadata.feature_version, feature_version),
        "instrument": (metadata.data.instrument, instrument),
    }
    differences = [
        f"{what} is {has!r}, needed is {needs!r}"
        for what, (has, needs) in wanted.items()
        if needs is not None and has != needs
    ]
    if differences:
        raise IncompatibleModelError(
            f"{metadata.file_name}: {'; '.join(differences)}",
            remedy="use the configuration the checkpoint was trained with, or train a new one",
        )


def encode(weights: Weights, metadata: CheckpointMetadata) -> bytes:
    """A checkpoint's bytes; the same input gives the same bytes."""
    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    # One header key only: safetensors writes several in no fixed order.
    return safetensors_numpy.save(arrays, {_HEADER_KEY: metadata.model_dump_json()})


def decode(data: bytes, path: Path) -> tuple[dict[str, NDArray[np.float32]], CheckpointMetadata]:
    try:
        weights = safetensors_numpy.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = CheckpointMetadata.model_validate_json(header["__metadata__"][_HEADER_KEY])
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise CorruptCheckpointError(
            f"{path} is not an SWT checkpoint: {str(error).splitlines()[0]}",
            remedy="use a checkpoint that `swt train` wrote",
        ) from error
    return weights, metadata


def weights_sha256(weights: Weights) -> str:
    """Hash of names, shapes and values.

    Raises:
        CheckpointError: there is no weight, or one is not float32 or not finite.
    """
    if not weights:
        raise CheckpointError("a checkpoint without weights is none")
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        if array.dtype != np.float32:
            raise CheckpointError(f"weight {name} is {array.dtype}, checkpoints hold float32")
        if not np.isfinite(array).all():
            raise CheckpointError(
                f"weight {name} is not finite", remedy="go back to the last good checkpoint"
            )
        digest.update(f"{name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
