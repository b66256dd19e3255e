"""Decisions that are remembered: the same question is not searched twice.

What is played greedily is a function of model, search, observation and legal actions, whatever the batch it
is in. Weeks, sessions and changed assumptions ask many identical questions (an agent without a position sees
the bars alone), so their answers are kept by a 128-bit hash of the question's bytes: runs are the same to
the bit, only faster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_environments.simulation import BatchSimulation
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import Choices

_KEY_BYTES: Final = 16


@dataclass(frozen=True)
class Decisions:
    """Answers by question, as arrays that travel cheaply between processes.

    Attributes:
        keys: ``[n, 16]`` hashes of the questions.
        actions: ``[n]`` what was played.
    """

    keys: NDArray[np.uint8]
    actions: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.actions)


def no_decisions() -> Decisions:
    """Nothing is known."""
    return Decisions(np.zeros((0, _KEY_BYTES), np.uint8), np.zeros(0, np.int8))


def joined(parts: Iterable[Decisions]) -> Decisions:
    """All answers of several; a question may be in it twice, with one answer."""
    found = list(parts)
    return Decisions(
        np.concatenate([part.keys for part in found]),
        np.concatenate([part.actions for part in found]),
    )


class RecallingPolicy:
    """Decides greedily through the engine, and asks it nothing that is known.

    Args:
        engine: the frozen model and its search.
        minimum_confidence: visit share below which an entry becomes HOLD.
        known: answers of this very engine at this minimum confidence.
    """

    def __init__(self, engine: InferenceEngine, minimum_confidence: float, known: Decisions) -> None:
        self._engine = engine
        self._minimum_confidence = minimum_confidence
        self._known = _table(known)
        self._before = len(self._known)
        self.asked = 0

    def choose(self, simulation: BatchSimulation) -> Choices:
        """See `swt_inference.rollout.Policy`."""
        live = np.flatnonzero(simulation.active)
        observations, masks = simulation.observe()[live], simulation.masks()[live]
        keys = [
            blake2b(seen.tobytes() + legal.tobytes(), digest_size=_KEY_BYTES).digest()
            for seen, legal in zip(observations, masks, strict=True)
        ]
        new = np.array([i for i, key in enumerate(keys) if key not in self._known], np.int64)
        if len(new):
            found = self._engine.play_batch(
                observations[new], masks[new], minimum_confidence=self._minimum_confidence
            )
            self.asked += len(new)
            self._known.update(zip((keys[i] for i in new), found.tolist(), strict=True))
        actions = np.zeros(simulation.batch, np.int64)
        actions[live] = [self._known[key] for key in keys]
        return Choices(actions)

    @property
    def learnt(self) -> Decisions:
        """What it had to search for since it was made."""
        entries = list(self._known.items())[self._before :]
        return Decisions(
            np.frombuffer(b"".join(key for key, _ in entries), np.uint8).reshape(-1, _KEY_BYTES),
            np.array([action for _, action in entries], np.int8),
        )


def _table(known: Decisions) -> dict[bytes, int]:
    raw = known.keys.tobytes()
    keys = (raw[i : i + _KEY_BYTES] for i in range(0, len(raw), _KEY_BYTES))
    return dict(zip(keys, known.actions.tolist(), strict=True))
