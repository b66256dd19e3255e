"""What an actor loads: it starts without torch, which takes longer to import than all the rest."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from swt_inference.rollout import RolloutResult, Trajectories
from swt_training.selfplay import is_sound

_HEAVY = ("torch", "matplotlib", "pandas", "ray")


# The daemon too: it starts its actors before it imports torch, so that both go on at once.
_LIGHT = ("swt_training.selfplay", "swt_training.reanalysis", "swt_training.daemon", "swt_validation.players")


@pytest.mark.parametrize("module", _LIGHT)
def test_an_actor_starts_without_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {_HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def session(pips: float = 1.0, root_value: float = 0.0, share: float = 0.25) -> RolloutResult:
    played = Trajectories(
        np.zeros(1, np.int64),
        np.zeros((1, 2), np.int8),
        np.full((1, 2, 4), share, np.float32),
        np.full((1, 2), root_value, np.float32),
    )
    return RolloutResult(np.array([pips]), (), np.zeros(4, np.int64), 0.5, (), played)


@pytest.mark.parametrize("part", ["pips", "root_value", "share"])
def test_sessions_with_a_nan_are_not_learned_from(part: str) -> None:
    assert is_sound(session())
    assert not is_sound(session(**{part: float("nan")}))
