"""Micro and time features against their definitions, written out with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
from features_fakes import START_S, bars_of, random_walk

from swt_core import calendar
from swt_features.micro import MICRO_NAMES, micro_rows
from swt_features.timing import time_rows


def defined_columns(closes_hp: np.ndarray) -> pd.DataFrame:
    """The price columns by their definitions, one row a bar."""
    close = pd.Series(closes_hp.astype(float))

    def place(values: pd.Series) -> pd.Series:
        low, high = values.rolling(60).min(), values.rolling(60).max()
        return ((values - low) / (high - low)).where(high > low, 0.0)

    return pd.DataFrame(
        {
            "position_in_range_60": place(close),
            "min_max_scaled_momentum_60": place(close - close.shift(60)),
            "min_max_scaled_rolling_range": place(close.rolling(60).max() - close.rolling(60).min()),
            "min_max_scaled_momentum_5": place(close - close.shift(5)),
            "price_change_pips": np.tanh(close.diff() / 20 / 10),
        }
    )


def test_price_columns_follow_their_definitions() -> None:
    closes = random_walk(400)
    closes[300:380] = closes[300]
    rows = np.array([255, 256, 257, 399, 310, 345])
    got = micro_rows(bars_of(closes), rows).reshape(len(rows), 32, 9)
    wanted = defined_columns(closes).to_numpy()
    for i, row in enumerate(rows):
        np.testing.assert_allclose(got[i, :, :5], wanted[row - 31 : row + 1], rtol=1e-6, atol=1e-7)


def test_every_price_column_stays_within_its_bounds() -> None:
    got = micro_rows(bars_of(random_walk(700)), np.arange(255, 700)).reshape(-1, 9)
    assert got[:, :4].min() >= 0.0
    assert got[:, :4].max() <= 1.0
    assert np.abs(got).max() <= 1.0


def test_the_last_bar_comes_last() -> None:
    bars = bars_of(random_walk(300))
    got = micro_rows(bars, np.array([299])).reshape(32, 9)
    assert len(MICRO_NAMES) == 9
    np.testing.assert_array_equal(got[:, 5:], time_rows(bars.time_s[268:300]))


def test_time_tells_hour_and_place_in_the_week_in_new_york() -> None:
    sunday_open_s = calendar.next_open(START_S - 3 * 86_400) - calendar.BREAK_AFTER_S
    hours = sunday_open_s + 3600 * np.array([0, 6, 24, 60, 118])
    got = time_rows(hours)
    day, week = (
        2 * np.pi * np.array([0, 6, 24, 60, 118]) / 24,
        2 * np.pi * np.array([0, 6, 24, 60, 118]) / 120,
    )
    wanted = np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=1)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_daylight_saving_does_not_move_the_clock() -> None:
    winter_s, summer_s = 1_704_898_800, 1_720_620_000  # Wednesdays 10:00 New York, in January and July 2024
    np.testing.assert_array_equal(time_rows(np.array([winter_s])), time_rows(np.array([summer_s])))
