"""The locked parameters of the profile ``episode_13475``, and the check that none was moved."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from swt_core.config.models import SWTConfig

LOCKED: Final[dict[str, object]] = {
    "trading.search.algorithm": "standard",
    "trading.search.simulations": 15,
    "trading.search.c_puct": 1.25,
    "trading.search.temperature": 1.0,
    # Nine position features of its own, and 128 market values: J=2, Q=6, 8 paths × 16 pooled samples.
    "features.profile": "episode_13475",
    "features.wst": "J2Q6",
    "model.hidden_dim": 256,
    "model.support_bins": 601,
    "model.support_min_pips": -300.0,
    "model.support_max_pips": 300.0,
    "training.learning_rate": 2e-4,
    # That rate for every weight, from the first step on.
    "training.hidden_rate_factor": 0,
    "training.early_sessions": 0,
    "training.gradient_clip": 0.5,
    "training.reward": "amddp1",
    "trading.units": 1,
    "trading.minimum_confidence": 0.35,
}


@dataclass(frozen=True)
class Deviation:
    """A locked parameter that has another value."""

    field: str
    expected: object
    actual: object

    def __str__(self) -> str:
        return f"{self.field} is {self.actual!r}, episode 13475 needs {self.expected!r}"


def verify_episode_13475(config: SWTConfig) -> list[Deviation]:
    """Every deviation of ``config`` from the locked parameters; none means it is episode 13475's."""
    return [
        Deviation(key, expected, actual)
        for key, expected in LOCKED.items()
        if (actual := attrgetter(key)(config)) != expected
    ]
