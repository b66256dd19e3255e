"""When a heartbeat is too old. It stands alone: a health check every few seconds imports little else."""

from __future__ import annotations

from typing import Final

# Three heartbeats of the slowest kind (process_limits.heartbeat_seconds is at most a minute).
STALE_AFTER_S: Final = 180.0
# Loading bars and compiling kernels beats none.
STARTING_S: Final = 900.0


def longest_silence_s(
    status: str, stale_after_s: float = STALE_AFTER_S, starting_s: float = STARTING_S
) -> float:
    """Age at which a heartbeat that says ``status`` is stale, s."""
    return max(starting_s, stale_after_s) if status.startswith("starting") else stale_after_s
