"""The rows of the master database: bars with time, flags and the 67 wavelet averages.

The averages are those of `J6Q4`: order 0, 22 paths of order 1, 44 of order 2 (``docs/contracts.md`` §6).
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.config.models import FeaturesConfig
from swt_data.bars import Bars, Int64
from swt_data.sessions import valid_lookbacks
from swt_features.master_schema import LAYOUT, WST, WST_COLUMNS
from swt_features.processor import FEATURE_REVISION, LOOKBACK
from swt_features.scattering import WaveletScattering
from swt_features.timing import TIME_NAMES, time_rows

Columns = dict[str, NDArray[np.generic]]


def master_version(features: FeaturesConfig) -> str:
    """Hash of everything that defines the database's numbers, beside the bars."""
    definition = {
        "layout": LAYOUT,
        "revision": FEATURE_REVISION,
        "wst": "J6Q4",
        "scaling": features.scaling,
        "anchor_scale_pips": features.anchor_scale_pips,
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


class MasterRows:
    """What the rows of the database are made of, and each day's fingerprint."""

    def __init__(self, bars: Bars, features: FeaturesConfig, defects: NDArray[np.uint8]) -> None:
        self.bars = bars
        self.version = master_version(features)
        self._defects = defects
        self._gaps = calendar.gap_kinds(bars.time_s).astype(np.uint8)
        self._valid = valid_lookbacks(bars, defects != 0)
        self._days = calendar.trading_day(bars.time_s)
        self._scattering = WaveletScattering("J6Q4")
        self._window_std = features.scaling == "window_std"
        self._scale = 1.0 / (features.anchor_scale_pips * bars.instrument.half_points_per_pip)

    def days(self) -> dict[int, slice]:
        """The rows of each trading day, counted from the epoch."""
        first = np.flatnonzero(np.diff(self._days, prepend=self._days[0] - 1))
        ends = np.append(first[1:], len(self.bars))
        return {int(self._days[a]): slice(int(a), int(b)) for a, b in zip(first, ends, strict=True)}

    def fingerprint(self, rows: slice) -> str:
        """Hash of all that the rows of a day depend on: themselves, their flags, the closes behind them."""
        digest = hashlib.sha256(self.version.encode())
        bars = self.bars
        history = slice(max(0, rows.start - LOOKBACK + 1), rows.stop)
        digest.update(bars.rows(rows).sha256.encode())
        for column in (
            bars.close_hp[history],
            bars.volume[rows],
            self._defects[rows],
            self._gaps[rows],
            self._valid[rows],
        ):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def block(self, rows: slice) -> Columns:
        """Columns of consecutive rows; wavelet values where the first of them has a whole window."""
        bars = self.bars.rows(rows)
        scale = 10.0**bars.instrument.display_precision
        circles = time_rows(bars.time_s)
        columns: Columns = {
            "time_s": bars.time_s,
            "trading_day": self._days[rows].astype(np.int32),
            "open": bars.open_hp / (2 * scale),
            "high": bars.high_hp / (2 * scale),
            "low": bars.low_hp / (2 * scale),
            "close": bars.close_hp / (2 * scale),
            "bid_open": bars.bid_open / scale,
            "ask_open": bars.ask_open / scale,
            "bid_close": bars.bid_close / scale,
            "ask_close": bars.ask_close / scale,
            "volume": bars.volume,
            **{name: np.ascontiguousarray(circles[:, i]) for i, name in enumerate(TIME_NAMES)},
            "defects": self._defects[rows],
            "gap_before": self._gaps[rows],
            "window_valid": self._valid[rows],
        }
        if rows.start >= LOOKBACK - 1:
            averages = self._averages(np.arange(rows.start, rows.stop))
            columns |= {name: np.ascontiguousarray(averages[:, i]) for i, name in enumerate(WST)}
        return columns

    def _averages(self, rows: Int64) -> NDArray[np.float32]:
        """``[k, 67]`` time averages of all paths: the four samples of order 0 become one."""
        values = self._scattering.transform(self.bars.close_hp, rows, self._scale, self._window_std)
        out = np.empty((len(rows), WST_COLUMNS), np.float32)
        out[:, 0] = ((values[:, 0] + values[:, 1]) + (values[:, 2] + values[:, 3])) * np.float32(0.25)
        out[:, 1:] = values[:, 4:]
        return out
