"""A histogram of latencies with a fixed memory: logarithmic bins from 10 µs to 100 s."""

from __future__ import annotations

import math

import numpy as np

LOWEST_MS = 0.01
BINS_PER_DECADE = 20
DECADES = 7


class LatencyHistogram:
    """Counts by bin; quantiles are right to within a bin, 12 %."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS_PER_DECADE * DECADES, np.int64)
        self.total_ms = 0.0

    def record(self, latency_ms: float) -> None:
        """Count one latency."""
        decades = math.log10(max(latency_ms, LOWEST_MS) / LOWEST_MS)
        self.counts[min(int(decades * BINS_PER_DECADE), len(self.counts) - 1)] += 1
        self.total_ms += latency_ms

    @property
    def count(self) -> int:
        """Latencies recorded."""
        return int(self.counts.sum())

    def quantile_ms(self, share: float) -> float | None:
        """Upper edge of the bin that holds the quantile; None while empty."""
        if not self.count:
            return None
        place = int(np.searchsorted(self.counts.cumsum(), math.ceil(share * self.count)))
        return float(self.edges_ms()[place])

    @staticmethod
    def edges_ms() -> list[float]:
        """Upper edges of the bins, ms."""
        return [
            LOWEST_MS * 10 ** ((place + 1) / BINS_PER_DECADE) for place in range(BINS_PER_DECADE * DECADES)
        ]
