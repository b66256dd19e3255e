"""Four depths of validation, and the time limit that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from swt_core.clock import Clock
from swt_core.config import ValidationConfig
from swt_core.errors import ConfigError
from swt_validation.evaluation import EpisodeMode

Level = Literal["QUICK", "STANDARD", "FULL", "COMPREHENSIVE"]
LEVELS: Final[tuple[Level, ...]] = ("QUICK", "STANDARD", "FULL", "COMPREHENSIVE")


@dataclass(frozen=True)
class LevelPlan:
    """What a level does.

    Attributes:
        mode: sessions for a quick look, whole weeks for a verdict.
        sessions: at most so many sessions; None: all of the test range.
        curves: resampled curves in each Monte Carlo set.
        sensitivity_sessions: sessions of the comparison and of each sensitivity run; None: all.
        walk_forward: whether out-of-sample is set against in-sample.
        compare_sessions: whether sessions are run beside the weeks, and assumptions changed.
    """

    level: Level
    mode: EpisodeMode
    sessions: int | None
    curves: int
    sensitivity_sessions: int | None
    walk_forward: bool
    compare_sessions: bool


def parse_level(text: str) -> Level:
    """The level of that name, in any case.

    Raises:
        ConfigError: there is no such level.
    """
    for level in LEVELS:
        if level == text.upper():
            return level
    raise ConfigError(f"unknown level {text!r}", remedy=f"use one of {', '.join(LEVELS)}")


def plan(level: Level, config: ValidationConfig) -> LevelPlan:
    """The plan of a level under a configuration."""
    if level == "QUICK":
        return LevelPlan(level, "sessions", config.quick_sessions, 50, 0, False, False)
    if level == "STANDARD":
        return LevelPlan(level, "sessions", None, 200, 0, False, False)
    if level == "FULL":
        return LevelPlan(level, "weeks", None, config.monte_carlo_runs, 200, False, True)
    return LevelPlan(level, "weeks", None, 10 * config.monte_carlo_runs, None, True, True)


class Deadline:
    """The time a validation may take; optional parts ask before they start."""

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._start_s = clock.monotonic_s()
        self._limit_s = limit_s
        self.missing: list[str] = []

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic_s() - self._start_s

    @property
    def left_s(self) -> float:
        """Seconds until the limit, at least 0."""
        return max(0.0, self._limit_s - self.elapsed_s)

    def over(self) -> bool:
        """Whether time is up; asked at every step of what can be left unfinished."""
        return self.elapsed_s >= self._limit_s

    def allows(self, part: str) -> bool:
        """Whether there is time left for ``part``; if not, it is noted as missing."""
        if not self.over():
            return True
        self.missing.append(part)
        return False
