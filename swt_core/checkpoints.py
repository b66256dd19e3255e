"""The checkpoint store: safetensors files, a sha256 manifest, and which one is best.

A checkpoint is ``checkpoint_v{MAJOR.MINOR.PATCH}_ep{EPISODE}_arch-{ARCH}.safetensors``: float32 weights
with JSON metadata in the header, no pickle anywhere (`docs/contracts.md` §11). A published file never
changes: what a verdict or a live trader refers to by hash stays what it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from swt_core.errors import CheckpointError, CorruptCheckpointError, IncompatibleModelError, StateError
from swt_core.state import RecordT, StateRecord, read_json, write_bytes, write_json

Weights = Mapping[str, NDArray[np.float32]]

MANIFEST_FILE: Final = "manifest.json"
BEST_FILE: Final = "best.json"
_SUFFIX: Final = ".safetensors"
_HEADER_KEY: Final = "swt"
_VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
_ARCHITECTURE = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class _Metadata(BaseModel):
    # extra="ignore": a newer trainer may say more than this reader understands.
    model_config = ConfigDict(frozen=True, extra="ignore")


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
        return f"checkpoint_v{self.version}_ep{self.episode}_arch-{self.architecture}{_SUFFIX}"

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Age as numbers: version, then episode (names sorted as text would put v10 before v9)."""
        major, minor, patch = (int(part) for part in self.version.split("."))
        return major, minor, patch, self.episode


@dataclass(frozen=True)
class CheckpointRef:
    """A published checkpoint: where it lies, what its bytes hash to, what it says about itself."""

    path: Path
    sha256: str
    metadata: CheckpointMetadata

    @property
    def name(self) -> str:
        return self.path.name


# Inside the store, `list` is its method.
Refs = list[CheckpointRef]


class _Entry(_Metadata):
    sha256: str
    weights_sha256: str
    bytes: int
    metadata: CheckpointMetadata


class _Manifest(StateRecord):
    checkpoints: dict[str, _Entry] = Field(default_factory=dict)


class _Best(StateRecord):
    name: str
    sha256: str
    sqn: float | None = None
    expectancy_pips: float | None = None
    trades: int = 0


class CheckpointStore:
    """The ``checkpoints/`` directory. One process saves, marks and deletes; any number read."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def __repr__(self) -> str:
        return f"CheckpointStore({str(self.directory)!r})"

    def save(self, weights: Weights, metadata: CheckpointMetadata) -> CheckpointRef:
        """Publish weights: file first, then its line in the manifest.

        The same weights under the same name are published once. Where other weights already have the
        name (training went on from an earlier state), PATCH is raised until the name is free; the
        returned reference has the version really used.

        Raises:
            CheckpointError: a weight is not float32 or not finite, or there is none.
            StateError: the directory cannot be written; nothing half-written stays.
        """
        weights_sha256 = _weights_sha256(weights)
        manifest = self._manifest()
        while (entry := manifest.checkpoints.get(metadata.file_name)) is not None:
            if entry.weights_sha256 == weights_sha256 and (self.directory / metadata.file_name).exists():
                return self._ref(metadata.file_name, entry)
            major, minor, patch, _ = metadata.order
            metadata = metadata.model_copy(update={"version": f"{major}.{minor}.{patch + 1}"})
        # One header key only: safetensors writes several in no fixed order.
        arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        data = safetensors_numpy.save(arrays, {_HEADER_KEY: metadata.model_dump_json()})
        write_bytes(self.directory / metadata.file_name, data)
        entry = _Entry(
            sha256=hashlib.sha256(data).hexdigest(),
            weights_sha256=weights_sha256,
            bytes=len(data),
            metadata=metadata,
        )
        self._write_manifest({**manifest.checkpoints, metadata.file_name: entry})
        return self._ref(metadata.file_name, entry)

    def load(
        self, checkpoint: CheckpointRef | Path | str
    ) -> tuple[dict[str, NDArray[np.float32]], CheckpointMetadata]:
        """The weights and metadata of a checkpoint, its bytes checked against the manifest.

        Args:
            checkpoint: a reference, a name in this store, or a path (then the manifest beside it counts).

        Raises:
            CorruptCheckpointError: the bytes are not what the manifest (or the reference) promises.
            CheckpointError: there is no such checkpoint.
        """
        expected = checkpoint.sha256 if isinstance(checkpoint, CheckpointRef) else None
        ref = checkpoint if isinstance(checkpoint, CheckpointRef) else self.find(checkpoint)
        data = _read(ref.path)
        actual = hashlib.sha256(data).hexdigest()
        promised = expected or ref.sha256
        if actual != promised:
            raise CorruptCheckpointError(
                f"{ref.path} has sha256 {actual}, but {promised} was promised",
                remedy="delete the file and use another checkpoint, or restore it from a backup",
            )
        return _decode(data, ref.path)

    def find(self, checkpoint: Path | str) -> CheckpointRef:
        """The reference of a name in this store, or of a path to a checkpoint in any store.

        Raises:
            CheckpointError: no manifest vouches for it.
        """
        path = Path(checkpoint)
        if path.parent != Path():
            store = CheckpointStore(path.parent)
        else:
            store, path = self, self.directory / path
        entry = store._manifest().checkpoints.get(path.name)
        if entry is None:
            raise CheckpointError(
                f"{path} is not in {store.directory / MANIFEST_FILE}",
                remedy="name a checkpoint that the manifest lists: a hash must vouch for the weights",
            )
        return store._ref(path.name, entry)

    def list(self) -> Refs:
        """All published checkpoints whose files are there, oldest first."""
        refs = [self._ref(name, entry) for name, entry in self._manifest().checkpoints.items()]
        return sorted((ref for ref in refs if ref.path.exists()), key=lambda ref: ref.metadata.order)

    def newest(self) -> CheckpointRef | None:
        """The checkpoint with the highest version and episode."""
        refs = self.list()
        return refs[-1] if refs else None

    def best(self) -> CheckpointRef | None:
        """The checkpoint that `mark_best` named last; None when none was named yet.

        Raises:
            CheckpointError: it is named, but it is gone.
        """
        best = _read_state(self.directory / BEST_FILE, _Best)
        while best is not None:
            entry = self._manifest().checkpoints.get(best.name)
            if entry is not None and entry.sha256 == best.sha256:
                return self._ref(best.name, entry)
            # The trainer may have named another best and deleted this one since: look again.
            named, best = best, _read_state(self.directory / BEST_FILE, _Best)
            if best == named:
                raise CheckpointError(
                    f"{self.directory / BEST_FILE} names {named.name}, which the manifest does not have",
                    remedy="let the trainer name a new best, or remove best.json",
                )
        return None

    def mark_best(self, ref: CheckpointRef) -> None:
        """Name ``ref`` the best checkpoint.

        Raises:
            CheckpointError: it is not a published checkpoint of this store.
        """
        entry = self._manifest().checkpoints.get(ref.name)
        if entry is None or entry.sha256 != ref.sha256:
            raise CheckpointError(f"{ref.name} with sha256 {ref.sha256} is not in {self.directory}")
        metadata = ref.metadata
        write_json(
            self.directory / BEST_FILE,
            _Best(
                name=ref.name,
                sha256=ref.sha256,
                sqn=metadata.sqn,
                expectancy_pips=metadata.expectancy_pips,
                trades=metadata.trades,
            ),
        )

    def delete(self, ref: CheckpointRef) -> None:
        """Withdraw a checkpoint: first from the manifest, then the file. One already gone is fine."""
        entries = dict(self._manifest().checkpoints)
        if entries.get(ref.name) is not None and entries[ref.name].sha256 != ref.sha256:
            raise CheckpointError(f"{ref.name} in {self.directory} is not the one to delete: hashes differ")
        if entries.pop(ref.name, None) is not None:
            self._write_manifest(entries)
        (self.directory / ref.name).unlink(missing_ok=True)

    def sweep(self) -> Sequence[Path]:
        """Remove what a crash left behind: temporary files, and checkpoints no manifest lists."""
        listed = self._manifest().checkpoints
        leftovers = [*self.directory.glob(".*.tmp")]
        leftovers += [
            path for path in self.directory.glob(f"checkpoint_*{_SUFFIX}") if path.name not in listed
        ]
        for path in leftovers:
            with suppress(FileNotFoundError):
                path.unlink()
        return sorted(leftovers)

    def _ref(self, name: str, entry: _Entry) -> CheckpointRef:
        return CheckpointRef(self.directory / name, entry.sha256, entry.metadata)

    def _manifest(self) -> _Manifest:
        return _read_state(self.directory / MANIFEST_FILE, _Manifest) or _Manifest(schema_version=1)

    def _write_manifest(self, entries: Mapping[str, _Entry]) -> None:
        write_json(self.directory / MANIFEST_FILE, _Manifest(schema_version=1, checkpoints=dict(entries)))


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


def _read_state(path: Path, record: type[RecordT]) -> RecordT | None:
    try:
        return read_json(path, record)
    except StateError as error:
        raise CorruptCheckpointError(error.message, remedy=error.remedy) from error


def _weights_sha256(weights: Weights) -> str:
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is gone", remedy="use a checkpoint that is still there") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def _decode(data: bytes, path: Path) -> tuple[dict[str, NDArray[np.float32]], CheckpointMetadata]:
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
