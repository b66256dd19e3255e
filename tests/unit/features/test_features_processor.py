"""The feature processor: sizes, causality, live parity, the sign of the market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from features_fakes import bars_of, random_walk

from swt_core.calendar import new_york_seconds
from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_core.position import BARS, EQUITY, SIDE, flat_positions
from swt_data.bars import Bars
from swt_data.files import read_bars
from swt_features.processor import FeatureProcessor

GBP_JPY = instrument("GBP_JPY")
CONFIGURATIONS = {
    "swt": FeaturesConfig(),
    "swt J6Q4": FeaturesConfig(wst="J6Q4"),
    "swt standardised": FeaturesConfig(scaling="window_std"),
    "micro": FeaturesConfig(profile="micro"),
    "full": FeaturesConfig(profile="full"),
    "episode_13475": FeaturesConfig(profile="episode_13475"),
}
every_configuration = pytest.mark.parametrize("name", CONFIGURATIONS)


def processor(name: str) -> FeatureProcessor:
    return FeatureProcessor(CONFIGURATIONS[name], GBP_JPY)


@pytest.mark.parametrize(
    ("name", "market", "position"),
    [("swt", 128, 9), ("swt J6Q4", 70, 9), ("micro", 288, 6), ("full", 330, 9), ("episode_13475", 128, 9)],
)
def test_each_profile_has_its_documented_size(name: str, market: int, position: int) -> None:
    features = processor(name)
    bars, rows = bars_of(random_walk(300)), np.array([260, 299])
    positions = flat_positions(2)
    assert (features.market_size, features.position_size) == (market, position)
    observed = features.observe(features.market_rows(bars, rows), positions, bars.close_hp[rows])
    assert observed.dtype == np.float32
    assert observed.shape == (2, features.observation_size) == (2, market + position)


@every_configuration
def test_bars_after_a_row_change_nothing_at_or_before_it(name: str) -> None:
    features = processor(name)
    closes = random_walk(700)
    row = 450
    changed = closes.copy()
    changed[row + 1 :] = random_walk(700 - row - 1, seed=9) - 5_000
    rows = np.arange(255, row + 1)
    before = features.market_rows(bars_of(closes), rows)
    assert np.array_equal(features.market_rows(bars_of(changed), rows), before)
    later = features.market_rows(bars_of(changed), np.array([row + 1]))
    assert not np.array_equal(later, features.market_rows(bars_of(closes), np.array([row + 1])))


@every_configuration
def test_bars_before_the_window_change_nothing(name: str) -> None:
    features = processor(name)
    closes, row = random_walk(700), 500
    changed = closes.copy()
    changed[: row - 255] += 40_000
    one = np.array([row])
    assert np.array_equal(
        features.market_rows(bars_of(changed), one), features.market_rows(bars_of(closes), one)
    )


@every_configuration
def test_an_upside_down_market_looks_different(name: str) -> None:
    features = processor(name)
    closes, rows = random_walk(300), np.array([299])
    mirrored = 2 * closes[-1] - closes
    difference = features.market_rows(bars_of(closes), rows) - features.market_rows(bars_of(mirrored), rows)
    assert np.abs(difference).max() > 0.1


def assert_live_equals_batch(features: FeatureProcessor, bars: Bars, rows: np.ndarray) -> None:
    batch = features.market_rows(bars, rows)
    for i, row in enumerate(rows):
        window = bars.rows(slice(int(row) - 255, int(row) + 1))
        assert np.array_equal(features.market_rows(window, np.array([255]))[0], batch[i])


@every_configuration
def test_a_live_window_of_256_bars_equals_the_batch_bit_for_bit(name: str) -> None:
    assert_live_equals_batch(processor(name), bars_of(random_walk(600)), np.array([255, 256, 480, 270, 599]))


@every_configuration
def test_live_equals_batch_across_weekend_break_and_clock_change_on_real_bars(
    name: str, fx_dir: Path
) -> None:
    bars = read_bars(fx_dir / "GBPJPY_M1_2018-2019_cross.parquet", GBP_JPY, 4.0)
    gaps = np.diff(bars.time_s)
    weekend = int(np.flatnonzero(gaps > 40 * 3600)[3]) + 1
    offsets = new_york_seconds(bars.time_s) - bars.time_s
    clock_change = int(np.flatnonzero(np.diff(offsets))[0]) + 1
    minute_of_day = new_york_seconds(bars.time_s[: 10 * 1440]) // 60 % 1440
    daily_break = int(np.flatnonzero(minute_of_day[3000:] >= 17 * 60)[0]) + 3000
    rows = np.concatenate([at + np.array([-1, 0, 1, 100, 254, 255, 256]) for at in (weekend, clock_change)])
    rows = np.concatenate([rows, daily_break + np.arange(-3, 12)])
    assert_live_equals_batch(processor(name), bars, rows)


def test_an_observation_is_the_market_part_then_the_position_part() -> None:
    features = processor("swt")
    bars, rows = bars_of(random_walk(300)), np.array([280, 290, 299])
    positions = flat_positions(3)
    positions[1, [SIDE, EQUITY, BARS]] = 1.0, 12.5, 7.0
    market = features.market_rows(bars, rows)
    observed = features.observe(market, positions, bars.close_hp[rows])
    assert np.array_equal(observed[:, :128], market)
    assert np.array_equal(observed[:, 128:], features.position_rows(positions, bars.close_hp[rows]))
    assert not observed[[0, 2], 128:].any()
    assert observed[1, 128:].any()


def test_rows_outside_the_bars_are_refused() -> None:
    features, bars = processor("micro"), bars_of(random_walk(300))
    for row in (254, 300):
        with pytest.raises(DataError, match="256 bars up to each row"):
            features.market_rows(bars, np.array([row]))


def test_the_version_names_what_defines_the_numbers() -> None:
    versions = {processor(name).version for name in CONFIGURATIONS}
    assert len(versions) == len(CONFIGURATIONS)
    assert processor("swt").version == processor("swt").version
    assert FeatureProcessor(FeaturesConfig(anchor_scale_pips=20.0), GBP_JPY).version not in versions


def test_full_profile_holds_the_closes_of_the_window_anchored_at_the_last() -> None:
    features, closes = processor("full"), random_walk(300)
    row = features.market_rows(bars_of(closes), np.array([299]))[0]
    expected = (closes[44:300] - closes[299]) / GBP_JPY.half_points_per_pip / 30.0
    np.testing.assert_allclose(row[:256], expected, rtol=1e-6, atol=1e-7)
    assert row[255] == 0.0


def test_spreads_and_ranges_are_not_market_features() -> None:
    bars = bars_of(random_walk(300))
    wider = replace(bars, spread_close=bars.spread_close + 100, high_hp=bars.high_hp + 500)
    one = np.array([299])
    assert np.array_equal(processor("full").market_rows(bars, one), processor("full").market_rows(wider, one))
