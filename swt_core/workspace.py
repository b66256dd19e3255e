"""The state directories of one installation, under one root: the only way daemons talk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Where each daemon writes and the others read (``docs/contracts.md`` §12)."""

    root: Path

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def training_state(self) -> Path:
        return self.root / "training_state"

    @property
    def validation_state(self) -> Path:
        return self.root / "validation_state"

    @property
    def live_state(self) -> Path:
        return self.root / "live_state"

    @property
    def practice_state(self) -> Path:
        return self.root / "practice_state"

    @property
    def data(self) -> Path:
        return self.root / "data"
