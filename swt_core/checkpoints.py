"""The checkpoint store: immutable safetensors files, a sha256 manifest, and which one is best.

A checkpoint is ``checkpoint_v{MAJOR.MINOR.PATCH}_ep{EPISODE}_arch-{ARCH}.safetensors``
(`docs/contracts.md` §11). A published file never changes: what a verdict or a live trader refers to by
hash stays what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from swt_core.checkpoint_files import (
    CheckpointData,
    CheckpointMetadata,
    Weights,
    decode,
    encode,
    require_compatible,
    weights_sha256,
)
from swt_core.errors import CheckpointError, CorruptCheckpointError, StateError
from swt_core.state import RecordT, StateRecord, read_json, write_bytes, write_json

__all__ = [
    "CheckpointData",
    "CheckpointMetadata",
    "CheckpointRef",
    "CheckpointStore",
    "Weights",
    "require_compatible",
]

MANIFEST_FILE: Final = "manifest.json"
BEST_FILE: Final = "best.json"


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


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

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
        digest = weights_sha256(weights)
        manifest = self._manifest()
        while (entry := manifest.checkpoints.get(metadata.file_name)) is not None:
            if entry.weights_sha256 == digest and (self.directory / metadata.file_name).exists():
                return self._ref(metadata.file_name, entry)
            major, minor, patch, _ = metadata.order
            metadata = metadata.model_copy(update={"version": f"{major}.{minor}.{patch + 1}"})
        data = encode(weights, metadata)
        write_bytes(self.directory / metadata.file_name, data)
        entry = _Entry(
            sha256=hashlib.sha256(data).hexdigest(),
            weights_sha256=digest,
            bytes=len(data),
            metadata=metadata,
        )
        try:
            self._write_manifest({**manifest.checkpoints, metadata.file_name: entry})
        except StateError:
            with suppress(OSError):
                (self.directory / metadata.file_name).unlink()
            raise
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
        return decode(data, ref.path)

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
                path = self.directory / BEST_FILE
                raise CheckpointError(
                    f"{path} names {named.name}, which the manifest does not have",
                    remedy=f"delete {path}: the trainer names the best again when it starts",
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
        """Remove the temporary files a crash left behind.

        A checkpoint that the manifest does not list stays: it is whole, and it may be the manifest that is
        lost or old.
        """
        leftovers = sorted(self.directory.glob(".*.tmp"))
        for path in leftovers:
            with suppress(OSError):
                path.unlink()
        return leftovers

    def _ref(self, name: str, entry: _Entry) -> CheckpointRef:
        return CheckpointRef(self.directory / name, entry.sha256, entry.metadata)

    def _manifest(self) -> _Manifest:
        return _read_state(self.directory / MANIFEST_FILE, _Manifest) or _Manifest(schema_version=1)

    def _write_manifest(self, entries: Mapping[str, _Entry]) -> None:
        write_json(self.directory / MANIFEST_FILE, _Manifest(schema_version=1, checkpoints=dict(entries)))


def _read_state(path: Path, record: type[RecordT]) -> RecordT | None:
    try:
        return read_json(path, record)
    except StateError as error:
        raise CorruptCheckpointError(error.message, remedy=error.remedy) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is gone", remedy="use a checkpoint that is still there") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
