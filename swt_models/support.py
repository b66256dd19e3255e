"""Categorical support of value and reward: scalars as distributions over fixed atoms.

A scalar x becomes two-hot weights on the two atoms around it (Schrittwieser et al. 2020, appendix F); a
head's logits become the scalar Σ p·atom again. With the value transform the atoms are evenly spaced in
``h(x) = sign(x)(√(|x| + 1) − 1) + εx`` and the expectation is taken there, as in MuZero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import ModelConfig
from swt_core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-3


@dataclass(frozen=True)
class Support:
    """``bins`` atoms from ``minimum`` to ``maximum`` (pips), evenly spaced in the transformed value."""

    bins: int
    minimum: float
    maximum: float
    transformed: bool = False

    def __post_init__(self) -> None:
        if self.bins < 3 or self.minimum >= self.maximum:
            raise ConfigError(
                f"a support of {self.bins} bins from {self.minimum} to {self.maximum} pips is impossible",
                remedy="model.support_bins must be at least 3 and support_min_pips below support_max_pips",
            )

    @classmethod
    def of(cls, model: ModelConfig) -> Support:
        return cls(model.support_bins, model.support_min_pips, model.support_max_pips, model.value_transform)

    def atoms(self) -> NDArray[np.float32]:
        """Atoms in the transformed value, float32 ``[bins]``."""
        low, high = (float(_transform(np.asarray(x))) if self.transformed else x for x in self._bounds())
        return np.linspace(low, high, self.bins).astype(np.float32)

    def two_hot(self, values: Tensor) -> Tensor:
        """Two-hot weights ``[..., bins]`` of ``values`` ``[...]`` (pips, clipped to the support)."""
        import torch  # here: actors evaluate without it

        low, high = self._bounds()
        clipped = values.float().clamp(low, high)
        if self.transformed:
            clipped = transform(clipped)
            low, high = (float(_transform(np.asarray(x))) for x in (low, high))
        position = (clipped - low) * ((self.bins - 1) / (high - low))
        lower = position.floor().clamp(0, self.bins - 2)
        share = (position - lower).clamp(0, 1)
        # A NaN stays one in the weights, and so in the loss, where the learner drops the step.
        index = lower.nan_to_num(0.0).long().unsqueeze(-1)
        weights = torch.zeros((*values.shape, self.bins), dtype=torch.float32, device=values.device)
        weights.scatter_(-1, index, (1 - share).unsqueeze(-1))
        weights.scatter_(-1, index + 1, share.unsqueeze(-1))
        return weights

    def scalar(self, logits: Tensor) -> Tensor:
        """Expected value in pips, ``[...]``, of ``logits`` ``[..., bins]``."""
        import torch

        atoms = torch.from_numpy(self.atoms()).to(logits.device)
        # Never in bf16: three digits of a 300-pip scale are no value to compare actions by.
        with torch.autocast(logits.device.type, enabled=False):
            expected = torch.softmax(logits.float(), dim=-1) @ atoms
        return inverse_transform(expected) if self.transformed else expected

    def _bounds(self) -> tuple[float, float]:
        return self.minimum, self.maximum


def transform(values: Tensor) -> Tensor:
    """MuZero's h(x)."""
    return values.sign() * ((values.abs() + 1).sqrt() - 1) + EPSILON * values


def inverse_transform(values: Tensor) -> Tensor:
    """The exact inverse of `transform`, rearranged so that nothing cancels in float32."""
    shifted = values.abs() + (1 + EPSILON)
    root = 2 * shifted / ((1 + 4 * EPSILON * shifted).sqrt() + 1)
    return values.sign() * (root**2 - 1)


def _transform(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(values) * (np.sqrt(np.abs(values) + 1) - 1) + EPSILON * values
