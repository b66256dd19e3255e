"""What an actor loads: it starts without torch, which takes longer to import than all the rest."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("torch", "matplotlib", "pandas", "ray")


@pytest.mark.parametrize("module", ["swt_training.selfplay", "swt_validation.players", "swt_core.pool"])
def test_an_actor_starts_without_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {_HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
