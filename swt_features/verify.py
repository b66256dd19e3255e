"""A sample of windows recomputed with Kymatio: does what is in use still equal its definition?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_core.errors import ConfigError, DataError
from swt_data.bars import Bars
from swt_features.oracle import kymatio_features, relative_error
from swt_features.processor import LOOKBACK, FeatureProcessor
from swt_features.store import MarketFeatures

ERROR_LIMIT: Final = 5e-6


@dataclass(frozen=True)
class Verification:
    """Outcome of a comparison: worst and median relative L2 error of a window's scattering."""

    windows: int
    worst_error: float
    median_error: float
    worst_row: int
    from_store: bool

    @property
    def passed(self) -> bool:
        return self.worst_error <= ERROR_LIMIT


def verify_sample(
    features: MarketFeatures,
    processor: FeatureProcessor,
    bars: Bars,
    sample: int,
    generator: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Compare ``sample`` random windows of ``features`` (stored or computed) with Kymatio in float64.

    Args:
        progress: told how many windows are compared, and of how many.

    Raises:
        ConfigError: the profile has no scattering part.
        DataError: there are fewer than 256 bars.
    """
    if processor.scattering is None:
        raise ConfigError(
            f"the profile {processor.config.profile!r} has no wavelet scattering to verify",
            remedy="verify the profile swt, full or episode_13475",
        )
    if len(bars) < LOOKBACK:
        raise DataError(f"features need at least {LOOKBACK} bars, there are {len(bars)}")
    rows = np.sort(generator.integers(LOOKBACK - 1, len(bars), sample))
    errors: list[NDArray[np.float64]] = []
    for part in np.array_split(rows, max(1, sample // 256)):
        reference = kymatio_features(
            processor.scattering.profile,
            bars.close_hp,
            part,
            processor.close_scale,
            processor.config.scaling == "window_std",
        )
        errors.append(relative_error(features.market_rows(part)[:, processor.scattering_columns], reference))
        if progress is not None:
            progress(sum(map(len, errors)), len(rows))
    error = np.concatenate(errors)
    return Verification(
        windows=len(rows),
        worst_error=float(error.max()),
        median_error=float(np.median(error)),
        worst_row=int(rows[error.argmax()]),
        from_store=features.store is not None,
    )
