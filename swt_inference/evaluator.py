"""The one interface through which search sees a model.

A model answers three questions, each for a batch of rows: what is this observation (h and f), what follows
from an action (φ and ψ), what follows from a chance code (g and f). Search keeps the returned embeddings
and hands them back; it never sees weights or torch.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


class StateEvaluation(NamedTuple):
    """n decision states: embeddings ``[n, H]``, rewards ``[n]`` of the step into them (zero at a root),
    policy logits ``[n, A]``, values ``[n]``; pips."""

    embeddings: Float32
    rewards: Float32
    policy_logits: Float32
    values: Float32

    @classmethod
    def blank(cls, count: int, width: int, actions: int) -> StateEvaluation:
        """Room for ``count`` states: rewards are zero, the rest is to be filled."""
        return cls(
            np.empty((count, width), np.float32),
            np.zeros(count, np.float32),
            np.empty((count, actions), np.float32),
            np.empty(count, np.float32),
        )


class AfterstateEvaluation(NamedTuple):
    """n afterstates: embeddings ``[n, H]``, chance logits ``[n, C]``, values ``[n]``; pips."""

    embeddings: Float32
    chance_logits: Float32
    values: Float32

    @classmethod
    def blank(cls, count: int, width: int, codes: int) -> AfterstateEvaluation:
        """Room for ``count`` afterstates, to be filled."""
        return cls(
            np.empty((count, width), np.float32),
            np.empty((count, codes), np.float32),
            np.empty(count, np.float32),
        )


class Evaluator(Protocol):
    """A model as search sees it. Returned arrays are valid until the next call."""

    width: int
    actions: int
    codes: int

    def root(self, observations: Float32) -> StateEvaluation:
        """h and f of ``[n, O]``."""
        ...

    def afterstates(self, latents: Float32, actions: Int32) -> AfterstateEvaluation:
        """φ and ψ of latents ``[n, H]`` and actions ``[n]``."""
        ...

    def states(self, afterstates: Float32, codes: Int32) -> StateEvaluation:
        """g and f of afterstates ``[n, H]`` and chance codes ``[n]``."""
        ...
