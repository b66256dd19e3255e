"""Position features against the formulas, for positions the kernel really produces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from swt_core.config.models import FeaturesConfig
from swt_core.instruments import instrument
from swt_core.position import advance_nb, flat_positions
from swt_features.position import (
    EPISODE_13475_NAMES,
    MICRO_NAMES,
    POSITION_NAMES,
    PositionVariant,
    position_features,
)

GBP_JPY = instrument("GBP_JPY")


def played(action: int, mids: list[int]) -> np.ndarray:
    """The position row after entering at the first mid (points) and holding over the others; 4-pip spread."""
    position, step = flat_positions(1), np.empty((1, 5))
    carry = np.zeros((1, 2))
    before = mids[0]
    for i, mid in enumerate(mids):
        prices = [np.array([price]) for price in (before - 20, before + 20, mid - 20, mid + 20)]
        advance_nb(position, np.array([action if i == 0 else 0]), *prices, carry, 10.0, step)
        before = mid
    return position


def squash(x: float, scale: float) -> float:
    return 2 / math.pi * math.atan(x / scale)


def features(position: np.ndarray, close_points: int, profile: str = "swt") -> np.ndarray:
    config = FeaturesConfig.model_validate({"profile": profile})
    return position_features(position, np.array([2 * close_points]), config, GBP_JPY)[0]


def test_a_flat_position_is_all_zeros() -> None:
    for profile in ("swt", "micro", "episode_13475", "full"):
        assert not features(flat_positions(1), 170_000, profile).any()


def test_the_nine_standard_features_of_a_long_trade() -> None:
    # equity after each close: −4, +16, +6, −14 pips
    got = features(played(1, [170_000, 170_200, 170_100, 169_900]), 169_900)
    wanted = {
        "current_equity_pips": squash(-14, 150),
        "bars_since_entry": squash(4, 2000),
        "position_efficiency": -14 / 16,
        "pips_from_peak": squash(-30, 150),
        "max_drawdown_pips": squash(30, 150),
        "amddp_reward": squash(-14 - 0.01 * 30, 150),
        "is_long": 1.0,
        "is_short": 0.0,
        "has_position": 1.0,
    }
    np.testing.assert_allclose(got, [wanted[name] for name in POSITION_NAMES], rtol=1e-6)


def test_a_short_trade_earns_when_the_market_falls() -> None:
    got = dict(zip(POSITION_NAMES, features(played(2, [170_000, 169_800]), 169_800), strict=True))
    assert got["current_equity_pips"] == pytest.approx(squash(16, 150), rel=1e-6)
    assert (got["is_long"], got["is_short"]) == (0.0, 1.0)
    assert got["position_efficiency"] == 1.0


def test_efficiency_stays_within_one_whatever_happens() -> None:
    generator = np.random.default_rng(2)
    for _ in range(50):
        mids = (170_000 + np.cumsum(generator.integers(-300, 301, 40))).tolist()
        row = features(played(int(generator.integers(1, 3)), mids), mids[-1])
        assert -1.0 <= row[2] <= 1.0
        assert np.abs(row).max() <= 1.0


def test_the_nine_features_of_episode_13475() -> None:
    got = features(played(1, [170_000, 170_200, 170_100, 169_900]), 169_900, "episode_13475")
    wanted = {
        "position_side": 1.0,
        "bars_since_entry": 4 / 720,
        "current_equity_pips": -14 / 100,
        "price_change_pips": -12 / 50,
        "drawdown_pips": 30 / 50,
        "max_drawdown_pips": 30 / 100,
        "high_drawdown": 1.0,
        "near_stop_loss": 0.0,
        "near_take_profit": 0.0,
    }
    np.testing.assert_allclose(got, [wanted[name] for name in EPISODE_13475_NAMES], rtol=1e-6)


@pytest.mark.parametrize(
    ("close", "flags"),
    [(170_190, (0, 0, 1)), (170_180, (0, 0, 0)), (169_890, (0, 1, 0)), (169_840, (1, 1, 0))],
)
def test_risk_flags_of_episode_13475_switch_at_their_limits(close: int, flags: tuple[int, ...]) -> None:
    assert tuple(features(played(1, [170_000, close]), close, "episode_13475")[6:]) == flags


def test_the_six_static_micro_features() -> None:
    got = features(played(1, [170_000, 170_200, 170_100, 169_900]), 169_900, "micro")
    wanted = [1.0, *(math.tanh(x / 100) for x in (-14, 4, -30, -30, 30))]
    assert len(MICRO_NAMES) == len(got) == 6
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_each_variant_names_its_features() -> None:
    assert [len(variant.names) for variant in PositionVariant] == [9, 9, 6]
