"""Hard limits of a managed process as pure rules, and the counters they are held against."""

from __future__ import annotations

from pydantic import Field

from swt_core.config.models import ProcessLimitsConfig
from swt_core.resources import Resources
from swt_core.state import StateRecord


class ProcessCounters(StateRecord):
    """What a run has used up so far, over all its restarts."""

    episodes: int = Field(0, ge=0)
    repeated_episodes: int = Field(0, ge=0, description="lost with a kill and played again, not in episodes")
    checkpoints: int = Field(0, ge=0)
    hours: float = Field(0.0, ge=0, description="time spent running, hours")
    starts: int = Field(0, ge=0, description="how often the process was started")
    resource_stops: int = Field(0, ge=0, description="stops in a row for memory or CPU")


def lasting_limit(counters: ProcessCounters, limits: ProcessLimitsConfig) -> str | None:
    """The limit that no restart clears, in words; None while none is reached."""
    if counters.episodes >= limits.maximum_episodes:
        return f"limit of {limits.maximum_episodes} episodes reached"
    if counters.checkpoints >= limits.maximum_checkpoints:
        return f"limit of {limits.maximum_checkpoints} checkpoints reached"
    if counters.hours >= limits.maximum_hours:
        return f"limit of {limits.maximum_hours:g} hours reached"
    return None


def resource_limit(used: Resources, limits: ProcessLimitsConfig) -> str | None:
    """The resource that was passed, in words; None while none is."""
    if used.memory_gb > limits.maximum_memory_gb:
        return f"limit of {limits.maximum_memory_gb:g} GB memory passed: {used.memory_gb:.2f} GB"
    # 100 % of all cores cannot be passed, whatever rounding says.
    if used.cpu_percent > limits.maximum_cpu_percent < 100.0:
        return f"limit of {limits.maximum_cpu_percent:g} % CPU passed: {used.cpu_percent:.0f} %"
    return None


def limits_used(counters: ProcessCounters, limits: ProcessLimitsConfig) -> dict[str, float]:
    """Share of each lasting limit that is used up; 1 is at the limit."""
    return {
        "episodes": counters.episodes / limits.maximum_episodes,
        "checkpoints": counters.checkpoints / limits.maximum_checkpoints,
        "hours": counters.hours / limits.maximum_hours,
    }
