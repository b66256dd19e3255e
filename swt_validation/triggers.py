"""When a checkpoint is due for validation: a pure rule over what is known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from swt_core.checkpoints import CheckpointRef
from swt_core.config import ValidationConfig
from swt_validation.levels import Level

MINUTE_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True)
class History:
    """What the validator did so far.

    Attributes:
        judged: (hash, level) of every checkpoint that has been judged, or refused for good.
        last_run_s: when the last run started, UTC epoch seconds; None: never.
        last_episode: episode of the checkpoint judged last.
        last_expectancy_pips: what that checkpoint said of itself.
    """

    judged: Collection[tuple[str, Level]] = ()
    last_run_s: float | None = None
    last_episode: int | None = None
    last_expectancy_pips: float | None = None


@dataclass(frozen=True)
class Due:
    """A validation that should run now."""

    checkpoint: CheckpointRef
    level: Level
    reason: str


def waiting(
    checkpoints: Sequence[CheckpointRef],
    best: CheckpointRef | None,
    history: History,
    config: ValidationConfig,
) -> list[Due]:
    """What should be validated, most urgent first, whatever the time since the last run.

    A new best is judged at the configured level. Otherwise only the newest checkpoint counts (a validator
    that fell behind does not catch up on old ones): it is due on a gain in expectancy, after so many
    episodes, or after so many hours (`due` adds the last).
    """
    found = []
    if best is not None and (best.sha256, config.level) not in history.judged:
        found.append(Due(best, config.level, "a new best checkpoint"))
    newest = max(checkpoints, key=lambda ref: ref.metadata.order, default=None)
    if newest is None or (newest.sha256, "STANDARD") in history.judged:
        return found
    if any(due.checkpoint.sha256 == newest.sha256 for due in found):
        return found
    if (newest.sha256, config.level) in history.judged:
        return found
    reason = _reason(newest, history, config)
    if reason is not None:
        found.append(Due(newest, "STANDARD", reason))
    return found


def _reason(newest: CheckpointRef, history: History, config: ValidationConfig) -> str | None:
    if history.last_episode is None:
        return "the first checkpoint"
    before, now = history.last_expectancy_pips, newest.metadata.expectancy_pips
    if before is not None and now is not None and now - before >= config.improvement_share * abs(before) > 0:
        return f"expectancy went from {before:+.2f} to {now:+.2f} pips"
    episodes = newest.metadata.episode - history.last_episode
    if episodes >= config.every_episodes:
        return f"{episodes} episodes since the last validation"
    return None


def due(
    checkpoints: Sequence[CheckpointRef],
    best: CheckpointRef | None,
    history: History,
    config: ValidationConfig,
    now_s: float,
) -> Due | None:
    """What should run now, or None: at most one run every 15 minutes (configurable)."""
    since_s = None if history.last_run_s is None else now_s - history.last_run_s
    if since_s is not None and since_s < config.minimum_interval_minutes * MINUTE_S:
        return None
    found = waiting(checkpoints, best, history, config)
    if found:
        return found[0]
    newest = max(checkpoints, key=lambda ref: ref.metadata.order, default=None)
    if (
        newest is not None
        and since_s is not None
        and since_s >= config.every_hours * HOUR_S
        and not {(newest.sha256, "STANDARD"), (newest.sha256, config.level)} & set(history.judged)
    ):
        return Due(newest, "STANDARD", f"{since_s / HOUR_S:.1f} hours since the last validation")
    return None
