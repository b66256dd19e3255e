"""The one feature processor: training, validation and live trading see the market through it."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars
from swt_features.micro import MICRO_BARS, MICRO_COLUMNS, micro_rows
from swt_features.position import PositionVariant, position_features_nb, position_variant
from swt_features.scattering import WaveletScattering
from swt_features.timing import TIME_COLUMNS, time_rows
from swt_features.wavelets import WINDOW

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Raised by hand whenever a feature's definition changes: old checkpoints and stores then refuse to load.
FEATURE_REVISION: Final = 1
LOOKBACK: Final = WINDOW


class FeatureProcessor:
    """Bars and positions in, observations out.

    An observation is float32 ``[O]``: the market part ``[M]``, then the position part ``[P]``. A row
    looks at itself and at the 255 rows before it, never further; a batch, and a single live window of
    exactly 256 bars, give the same bits.

    Attributes:
        market_size: M. position_size: P. observation_size: O = M + P.
        scattering: the wavelet scattering in use; none in the profile `micro`.
        version: hash of everything that defines the numbers; checkpoints and stores carry it.
    """

    def __init__(self, config: FeaturesConfig, instrument: Instrument) -> None:
        self.config = config
        self.instrument = instrument
        self._variant = position_variant(config)
        self.scattering: WaveletScattering | None = None
        if config.profile != "micro":
            wst = {"full": "J6Q4", "episode_13475": "J2Q6"}.get(config.profile, config.wst)
            self.scattering = WaveletScattering("J6Q4" if wst == "J6Q4" else "J2Q6")
        self.market_size = self._market_size()
        self.position_size = len(self._variant.names)
        self.observation_size = self.market_size + self.position_size
        self.version = self._version()

    def _version(self) -> str:
        """Only what has a say in this profile: a setting that changes no number changes no version."""
        config = self.config
        definition: dict[str, str | float] = {"revision": FEATURE_REVISION, "profile": config.profile}
        if self.scattering is not None:
            definition |= {
                "wst": self.scattering.profile,
                "scaling": config.scaling,
                "anchor_scale_pips": config.anchor_scale_pips,
            }
        if self._variant is PositionVariant.STANDARD:
            definition |= {"equity_scale_pips": config.equity_scale_pips, "bars_scale": config.bars_scale}
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]

    def _market_size(self) -> int:
        if self.scattering is None:
            return MICRO_BARS * MICRO_COLUMNS
        extra = WINDOW + TIME_COLUMNS if self.config.profile == "full" else 0
        return extra + self.scattering.size

    def market_rows(self, bars: Bars, rows: Int64) -> Float32:
        """The market part at ``rows`` (any order, repeats allowed), ``[k, M]``.

        Raises:
            DataError: a row lies outside the bars or has fewer than 255 rows before it.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        if len(rows) and (int(rows.min()) < LOOKBACK - 1 or int(rows.max()) >= len(bars)):
            raise DataError(
                f"features need {LOOKBACK} bars up to each row; asked for rows {rows.min()} … {rows.max()} "
                f"of {len(bars)} bars"
            )
        if self.scattering is None:
            return micro_rows(bars, rows)
        scattered = self.scattering.transform(
            bars.close_hp, rows, self.close_scale, self.config.scaling == "window_std"
        )
        if self.config.profile != "full":
            return scattered
        out = np.empty((len(rows), self.market_size), np.float32)
        lags = np.arange(1 - WINDOW, 1)
        anchored = bars.close_hp[rows[:, None] + lags] - bars.close_hp[rows, None]
        out[:, :WINDOW] = anchored.astype(np.float32) * np.float32(self.close_scale)
        out[:, self.scattering_columns] = scattered
        out[:, -TIME_COLUMNS:] = time_rows(bars.time_s[rows])
        return out

    def position_rows(self, positions: Float64, close_hp: Int64) -> Float32:
        """The position part ``[B, P]`` of position rows ``[B, POSITION_FIELDS]`` at mid closes ``[B]``."""
        out = np.empty((len(positions), self.position_size), np.float32)
        self._write_positions(positions, close_hp, out)
        return out

    def observe(self, market: Float32, positions: Float64, close_hp: Int64) -> Float32:
        """Observations ``[B, O]``: the market part ``[B, M]`` joined with the positions' features."""
        out = np.empty((len(positions), self.observation_size), np.float32)
        out[:, : self.market_size] = market
        self._write_positions(positions, close_hp, out[:, self.market_size :])
        return out

    @property
    def scattering_columns(self) -> slice:
        """Where the scattering lies in a market row."""
        if self.scattering is None:
            return slice(0, 0)
        start = WINDOW if self.config.profile == "full" else 0
        return slice(start, start + self.scattering.size)

    @property
    def close_scale(self) -> float:
        """What anchored closes in half-points are multiplied by."""
        return 1.0 / (self.config.anchor_scale_pips * self.instrument.half_points_per_pip)

    def _write_positions(self, positions: Float64, close_hp: Int64, out: Float32) -> None:
        position_features_nb(
            positions,
            close_hp,
            int(self._variant),
            self.config.equity_scale_pips,
            self.config.bars_scale,
            float(self.instrument.points_per_pip),
            out,
        )
