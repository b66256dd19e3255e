"""When a heartbeat is too old. It stands alone: a health check every few seconds imports little else."""

from __future__ import annotations

from typing import Final

# Three heartbeats of the slowest kind (process_limits.heartbeat_seconds is at most a minute).
STALE_AFTER_S: Final = 180.0
# Loading bars and compiling kernels beats none.
STARTING_S: Final = 900.0
# Clocks get corrected by less; after a larger step back the next heartbeat, a minute later, is well again.
FUTURE_S: Final = 60.0


def longest_silence_s(
    status: str, stale_after_s: float = STALE_AFTER_S, starting_s: float = STARTING_S
) -> float:
    """Age at which a heartbeat that says ``status`` is stale, s."""
    return max(starting_s, stale_after_s) if status.startswith("starting") else stale_after_s


def is_silent(age_s: float, ahead_s: float, longest_s: float) -> bool:
    """Whether one look at a heartbeat finds it stale: too old, or stamped too far in the future.

    After the clock was set back by an hour, the last heartbeat of a hung daemon would be young for an hour.

    Args:
        age_s: its age, s; 0 in the future.
        ahead_s: how far in the future it is stamped, s.
        longest_s: age at which it is stale.
    """
    return age_s > longest_s or ahead_s > FUTURE_S


def of_the_future(ahead_s: float) -> str:
    """What is wrong with a heartbeat that is ``ahead_s`` in the future."""
    return f"stamped {ahead_s:.0f} s in the future: the clock was set back"
