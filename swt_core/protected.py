"""What validator and live trader still need: read by the trainer before it deletes a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field

from swt_core.state import StateRecord, read_json
from swt_core.verdict import VERDICT_FILE, Decision, Verdict

QUEUE_FILE: Final = "queue.json"
LIVE_STATUS_FILE: Final = "status.json"


class ValidationQueue(StateRecord):
    """Checkpoints under validation and waiting for it, by hash."""

    running: str | None = Field(None, description="sha256 of the checkpoint under validation")
    queued: tuple[str, ...] = Field((), description="sha256 of those that wait")
    updated_s: float = Field(0.0, description="when this was written, UTC epoch seconds")


def protected_by_validation(validation_state: Path, now_s: float) -> frozenset[str]:
    """Hashes no trainer may delete: queued, under validation, or with a DEPLOY verdict that still stands.

    Raises:
        StateError: a file cannot be understood; then nothing may be deleted.
    """
    queue = read_json(validation_state / QUEUE_FILE, ValidationQueue)
    protected = set(queue.queued) if queue else set()
    if queue and queue.running:
        protected.add(queue.running)
    for path in sorted(validation_state.glob(f"*/{VERDICT_FILE}")):
        verdict = read_json(path, Verdict)
        if verdict and verdict.decision is Decision.DEPLOY and now_s < verdict.expires_s:
            protected.add(verdict.checkpoint_sha256)
    return frozenset(protected)


class _ModelInUse(StateRecord):
    """The fields of the live trader's status that the trainer needs."""

    model_sha256: str | None = None
    shadow_sha256: str | None = None


def protected_by_live(live_state: Path) -> frozenset[str]:
    """The hashes of the checkpoints the live trader has loaded: its own, verdict or not, and its shadow's.

    Raises:
        StateError: the status cannot be understood; then nothing may be deleted.
    """
    status = read_json(live_state / LIVE_STATUS_FILE, _ModelInUse)
    loaded = (status.model_sha256, status.shadow_sha256) if status else ()
    return frozenset(sha256 for sha256 in loaded if sha256)
