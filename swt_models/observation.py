"""What an observation vector is made of, by feature profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swt_core.errors import ConfigError

MICRO_BARS = 32
MICRO_COLUMNS = 9


@dataclass(frozen=True)
class ObservationShape:
    """Sizes of the market part and the position part; the observation is market then position.

    ``direct`` feeds the vector to the representation network as it is. ``temporal`` reads the market part
    as a row-major ``[bars, columns]`` series, oldest bar first, and merges the position part after it.
    """

    market: int
    position: int
    kind: Literal["direct", "temporal"] = "direct"
    bars: int = 0
    columns: int = 0

    def __post_init__(self) -> None:
        if self.kind == "temporal" and self.bars * self.columns != self.market:
            raise ConfigError(
                f"a temporal observation of {self.bars} × {self.columns} does not fill {self.market} values"
            )

    @property
    def size(self) -> int:
        """Length of an observation."""
        return self.market + self.position

    @classmethod
    def for_profile(cls, profile: str, market: int, position: int) -> ObservationShape:
        """The shape of a feature profile whose processor yields ``market`` and ``position`` values."""
        if profile == "micro":
            return cls(market, position, "temporal", MICRO_BARS, MICRO_COLUMNS)
        return cls(market, position)
