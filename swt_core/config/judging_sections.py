"""Configuration of the validator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from swt_core.config.section import Section


class ValidationConfig(Section):
    """The validator and its verdict."""

    level: Literal["QUICK", "STANDARD", "FULL"] = Field(
        "FULL", description="depth of an automatic validation"
    )
    quick_sessions: int = Field(50, ge=1, description="sessions of a QUICK validation")
    monte_carlo_runs: int = Field(
        1000, ge=50, description="resampled equity curves of FULL; COMPREHENSIVE makes ten times as many"
    )
    poll_seconds: float = Field(5.0, gt=0, description="how often checkpoints/ is looked at, s")
    minimum_interval_minutes: float = Field(
        15.0, ge=0, description="least time between automatic runs, minutes"
    )
    improvement_share: float = Field(
        0.1, ge=0, description="relative gain in expectancy that triggers an automatic run"
    )
    every_episodes: int = Field(100, ge=1, description="episodes after which an automatic run is due")
    every_hours: float = Field(6.0, gt=0, description="hours after which an automatic run is due, h")
    time_limit_minutes: float = Field(
        30.0, gt=0, description="a run stops here with a partial report, minutes"
    )
    permutations: int = Field(1000, ge=99, description="random re-placements of the trades for the p-value")
    initial_risk_pips: float = Field(1.0, gt=0, description="1 R: what a trade is said to risk, pips")
    traded_fraction: float | None = Field(
        None, gt=0, le=20, description="size really traded, notional over equity; none: safe-f"
    )
    seed: int = Field(7, ge=0, description="seed of resampling")
    verdict_days: int = Field(30, ge=1, description="how long a DEPLOY verdict stays valid, days")
