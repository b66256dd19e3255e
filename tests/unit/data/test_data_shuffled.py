"""Shuffled bars keep the market's shapes and lose its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.files import read_bars
from swt_data.shuffled import shuffled_bars
from swt_data.synthetic import synthetic_bars

GBP_JPY = instrument("GBP_JPY")


def check(bars: Bars, shuffled: Bars) -> None:
    np.testing.assert_array_equal(shuffled.time_s, bars.time_s)
    np.testing.assert_array_equal(shuffled.open_hp[1:], shuffled.close_hp[:-1])
    np.testing.assert_array_equal(shuffled.bid_close + shuffled.ask_close, shuffled.close_hp)
    np.testing.assert_array_equal(shuffled.bid_open + shuffled.ask_open, shuffled.open_hp)
    assert shuffled.low_hp.min() > 0
    assert np.all(shuffled.high_hp >= np.maximum(shuffled.open_hp, shuffled.close_hp))
    assert np.all(shuffled.low_hp <= np.minimum(shuffled.open_hp, shuffled.close_hp))
    np.testing.assert_allclose(np.sort(shuffled.range_pips), np.sort(bars.range_pips), atol=0.06)


def test_real_bars_keep_their_shapes(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_M1_2016.parquet", GBP_JPY, 4.0)
    check(bars, shuffled_bars(bars, np.random.default_rng(1)))


def test_recorded_quotes_of_either_parity_keep_whole_points(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "EURUSD_M1_2014-2018_oanda_ba.parquet", instrument("EUR_USD"), 4.0)
    assert np.any(bars.close_hp % 2)
    check(bars, shuffled_bars(bars, np.random.default_rng(1)))


def test_what_the_past_knew_of_the_future_is_gone() -> None:
    bars = synthetic_bars("regimes", 100, 1, GBP_JPY)

    def memory(some: Bars) -> float:
        """Correlation of each bar's change with the sum of the 20 before it."""
        change = (some.close_hp - some.open_hp).astype(float)
        before = np.convolve(change, np.ones(20), "valid")[:-1]
        return float(np.corrcoef(before, change[20:])[0, 1])

    assert memory(bars) > 0.15
    assert abs(memory(shuffled_bars(bars, np.random.default_rng(1)))) < 4 / np.sqrt(len(bars))


def test_the_same_generator_state_shuffles_alike() -> None:
    bars = synthetic_bars("realistic", 3, 1, GBP_JPY)
    first, again = (shuffled_bars(bars, np.random.default_rng(4)) for _ in range(2))
    assert first.sha256 == again.sha256 != shuffled_bars(bars, np.random.default_rng(5)).sha256
    assert pytest.approx(first.range_pips.mean(), rel=0.02) == bars.range_pips.mean()
