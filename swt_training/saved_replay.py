"""The replay buffer of a run, read from its saved state while nobody else is disturbed."""

from __future__ import annotations

from pathlib import Path

from swt_core.errors import ConfigError, StateError
from swt_core.state import StateDirectory
from swt_training.replay import ReplayBuffer
from swt_training.replay_statistics import ReplayStatistics
from swt_training.resume import RunCounters, load_state, under


def read_saved_replay(training_state: Path) -> tuple[RunCounters, ReplayStatistics]:
    """Counters and buffer statistics of the newest sound state.

    Raises:
        ConfigError: there is none.
        StateError: none is sound, or it was written before buffers told their limits.
    """
    saved = load_state(StateDirectory(training_state)) if training_state.is_dir() else None
    if saved is None:
        raise ConfigError(
            f"no training state in {training_state}",
            remedy="name the run's --state-dir; a run saves its state every half minute",
        )
    counters, arrays = saved
    try:
        return counters, ReplayBuffer.saved(under("replay", arrays)).statistics()
    except (KeyError, ValueError) as error:
        raise StateError(
            f"the saved state in {training_state} holds no buffer of this version: {error}",
            remedy="continue the run for a moment with this version, then look again",
        ) from error
