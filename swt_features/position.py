"""What the agent is told about its own position: nine values, or six for the `micro` profile.

All values come from the one position kernel's rows (`swt_core.position`) and are zero when flat.
Definitions: ``docs/features.md``.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import FeaturesConfig
from swt_core.instruments import Instrument
from swt_core.position import (
    ACCUMULATED_DRAWDOWN,
    BARS,
    ENTRY_POINTS,
    EQUITY,
    MAX_DRAWDOWN,
    PEAK,
    SIDE,
    TROUGH,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

POSITION_NAMES: Final = (
    "current_equity_pips",
    "bars_since_entry",
    "position_efficiency",
    "pips_from_peak",
    "max_drawdown_pips",
    "amddp_reward",
    "is_long",
    "is_short",
    "has_position",
)
EPISODE_13475_NAMES: Final = (
    "position_side",
    "bars_since_entry",
    "current_equity_pips",
    "price_change_pips",
    "drawdown_pips",
    "max_drawdown_pips",
    "high_drawdown",
    "near_stop_loss",
    "near_take_profit",
)
MICRO_NAMES: Final = (
    "position_side",
    "position_pips",
    "bars_since_entry",
    "pips_from_peak",
    "max_drawdown_pips",
    "accumulated_dd",
)


class PositionVariant(IntEnum):
    """Which of the three sets of position features a profile uses."""

    STANDARD = 0
    EPISODE_13475 = 1
    MICRO = 2

    @property
    def names(self) -> tuple[str, ...]:
        return (POSITION_NAMES, EPISODE_13475_NAMES, MICRO_NAMES)[self]


@nb.njit(cache=True)
def squash_nb(x: float, scale: float) -> float:
    """``(2/π)·atan(x/scale)``, in (−1, 1)."""
    return (2.0 / math.pi) * math.atan(x / scale)


@nb.njit(cache=True)
def standard_features_nb(position: Float64, equity_scale: float, bars_scale: float, out: Float32) -> None:
    """The nine features of the default profile, for an open position."""
    side, equity, peak = position[SIDE], position[EQUITY], position[PEAK]
    out[0] = squash_nb(equity, equity_scale)
    out[1] = squash_nb(position[BARS], bars_scale)
    out[2] = equity / max(peak, -position[TROUGH], 1.0)
    out[3] = squash_nb(equity - peak, equity_scale)
    out[4] = squash_nb(position[MAX_DRAWDOWN], equity_scale)
    out[5] = squash_nb(equity - 0.01 * position[ACCUMULATED_DRAWDOWN], equity_scale)
    out[6] = 1.0 if side > 0.0 else 0.0
    out[7] = 1.0 if side < 0.0 else 0.0
    out[8] = 1.0


@nb.njit(cache=True)
def episode_13475_features_nb(
    position: Float64, close_points: float, points_per_pip: float, out: Float32
) -> None:
    """The nine features of the profile `episode_13475`, for an open position."""
    equity, deepest = position[EQUITY], position[MAX_DRAWDOWN]
    out[0] = position[SIDE]
    out[1] = position[BARS] / 720.0
    out[2] = equity / 100.0
    out[3] = (close_points - position[ENTRY_POINTS]) / points_per_pip / 50.0
    out[4] = (position[PEAK] - equity) / 50.0
    out[5] = deepest / 100.0
    out[6] = 1.0 if deepest >= 20.0 else 0.0
    out[7] = 1.0 if equity <= -15.0 else 0.0
    out[8] = 1.0 if equity >= 15.0 else 0.0


@nb.njit(cache=True)
def micro_features_nb(position: Float64, out: Float32) -> None:
    """The six static features of the `micro` profile, for an open position."""
    out[0] = position[SIDE]
    out[1] = math.tanh(position[EQUITY] / 100.0)
    out[2] = math.tanh(position[BARS] / 100.0)
    out[3] = math.tanh((position[EQUITY] - position[PEAK]) / 100.0)
    out[4] = math.tanh(-position[MAX_DRAWDOWN] / 100.0)
    out[5] = math.tanh(position[ACCUMULATED_DRAWDOWN] / 100.0)


@nb.njit(cache=True)
def position_features_nb(
    positions: Float64,
    close_hp: Int64,
    variant: int,
    equity_scale: float,
    bars_scale: float,
    points_per_pip: float,
    out: Float32,
) -> None:
    """Write the position features of a batch.

    Args:
        positions: ``[B, POSITION_FIELDS]`` rows of the position kernel.
        close_hp: ``[B]`` last mid close in half-points (only `episode_13475` looks at it).
        variant: a `PositionVariant`.
        equity_scale, bars_scale: squash scales of the standard variant, pips and bars.
        points_per_pip: points in a pip.
        out: ``[B, P]``, overwritten.
    """
    for i in range(positions.shape[0]):
        if positions[i, SIDE] == 0.0:
            out[i, :] = 0.0
        elif variant == 0:
            standard_features_nb(positions[i], equity_scale, bars_scale, out[i])
        elif variant == 1:
            episode_13475_features_nb(positions[i], close_hp[i] / 2.0, points_per_pip, out[i])
        else:
            micro_features_nb(positions[i], out[i])


def position_variant(config: FeaturesConfig) -> PositionVariant:
    """The set of position features that a profile uses."""
    if config.profile == "micro":
        return PositionVariant.MICRO
    return PositionVariant.EPISODE_13475 if config.profile == "episode_13475" else PositionVariant.STANDARD


def position_features(
    positions: Float64, close_hp: Int64, config: FeaturesConfig, instrument: Instrument
) -> Float32:
    """Position features ``[B, P]`` of a batch of position rows (P = 9, or 6 for `micro`)."""
    variant = position_variant(config)
    out = np.empty((len(positions), len(variant.names)), np.float32)
    position_features_nb(
        positions,
        close_hp,
        int(variant),
        config.equity_scale_pips,
        config.bars_scale,
        float(instrument.points_per_pip),
        out,
    )
    return out
