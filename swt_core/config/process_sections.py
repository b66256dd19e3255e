"""Configuration of managed processes and of the worker pool."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from swt_core.config.section import Section


class ProcessLimitsConfig(Section):
    """Hard limits of a managed process; counters persist over restarts."""

    maximum_episodes: int = Field(1_000_000, ge=1, description="episodes")
    maximum_hours: float = Field(24.0 * 365, gt=0, description="wall time, hours")
    maximum_memory_gb: float = Field(6.0, gt=0, description="resident memory, GB")
    maximum_cpu_percent: float = Field(100.0, gt=0, le=100, description="share of all cores, %")
    maximum_checkpoints: int = Field(100_000, ge=1, description="checkpoints written")
    heartbeat_seconds: float = Field(60.0, gt=0, le=60, description="time between heartbeats, s")
    resource_check_seconds: float = Field(300.0, gt=0, description="time between resource checks, s")
    stop_seconds: float = Field(30.0, gt=0, description="time for a graceful stop, s")


class PoolConfig(Section):
    """The worker pool on which actors and validation play."""

    kind: Literal["local", "ray"] = Field(
        "local", description="local: processes of this machine; ray: a Ray cluster (extra `ray`)"
    )
    ray_address: str | None = Field(
        None, description="of the cluster, or auto; none: $RAY_ADDRESS, else a cluster of this machine alone"
    )
    heartbeat_seconds: float = Field(1.0, gt=0, description="how often a worker says that it lives, s")
    silence_seconds: float = Field(
        60.0,
        gt=0,
        description="a worker that says nothing for so long is replaced, s; longer than the longest kernel",
    )
    task_timeout_seconds: float = Field(
        1800.0, gt=0, description="a worker that takes longer for one task is replaced, s"
    )
