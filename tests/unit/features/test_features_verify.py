"""Verification against Kymatio, and the picture of a day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from features_fakes import START_S, bars_of, random_walk

from swt_core.config.models import FeaturesConfig
from swt_core.errors import ConfigError, DataError
from swt_core.instruments import instrument
from swt_features.plot import day_rows, plot_day, scripted_position_features, whole_day
from swt_features.processor import FeatureProcessor
from swt_features.store import FeatureStore, MarketFeatures, build_store
from swt_features.verify import verify_sample

GBP_JPY = instrument("GBP_JPY")
BARS = bars_of(random_walk(600))


@pytest.mark.parametrize("profile", ["swt", "full", "episode_13475"])
def test_computed_features_pass_verification(profile: str) -> None:
    processor = FeatureProcessor(FeaturesConfig.model_validate({"profile": profile}), GBP_JPY)
    result = verify_sample(MarketFeatures(processor, BARS), processor, BARS, 300, np.random.default_rng(1))
    assert result.passed
    assert (result.windows, result.from_store) == (300, False)


def test_one_wrong_value_in_a_store_fails_verification(tmp_path: Path) -> None:
    processor = FeatureProcessor(FeaturesConfig(), GBP_JPY)
    path = tmp_path / "features.h5"
    build_store(path, processor, BARS)
    stored = FeatureStore(path, processor, BARS)
    position = path.read_bytes().index(stored.market_rows(np.array([300]))[0].tobytes())
    with path.open("r+b") as file:
        file.seek(position + 4 * 70)
        file.write(np.float32(0.5).tobytes())
    features = MarketFeatures(processor, BARS, path)
    result = verify_sample(features, processor, BARS, 4000, np.random.default_rng(1))
    assert result.from_store
    assert not result.passed
    assert result.worst_row == 300


def test_the_micro_profile_has_nothing_to_verify() -> None:
    processor = FeatureProcessor(FeaturesConfig(profile="micro"), GBP_JPY)
    with pytest.raises(ConfigError, match="no wavelet scattering"):
        verify_sample(MarketFeatures(processor, BARS), processor, BARS, 3, np.random.default_rng(1))


def test_the_picture_of_a_day_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "day.png"
    plot_day(BARS, whole_day(BARS), FeaturesConfig(), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_day_is_a_trading_day_and_only_rows_with_whole_windows_count() -> None:
    bars = bars_of(random_walk(3000))
    rows = day_rows(bars, whole_day(bars, "2024-03-05"))
    assert rows[0] == 255
    assert bars.time_s[rows[-1]] == START_S + 22 * 3600 - 60
    with pytest.raises(DataError, match="no bar with 255 bars before it"):
        day_rows(bars, whole_day(bars, "2024-03-15"))
    with pytest.raises(DataError, match="not a date"):
        whole_day(bars, "yesterday")


def test_scripted_trades_take_turns() -> None:
    rows = np.arange(300, 600)
    features = scripted_position_features(BARS, rows, FeaturesConfig())
    is_long, is_short = features[:, 6], features[:, 7]
    assert not features[:61].any()
    assert is_long[61:240].all()
    assert not is_long[240:].any()
    assert not is_short.any()
