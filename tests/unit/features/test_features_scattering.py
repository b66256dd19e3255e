"""The fast scattering equals Kymatio, and a window equals itself in any company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from features_fakes import hard_closes, random_walk

from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.files import read_bars
from swt_features.oracle import kymatio_features, relative_error
from swt_features.scattering import WaveletScattering
from swt_features.wavelets import Profile

PROFILES: list[Profile] = ["J2Q6", "J6Q4"]
LIMIT = 5e-6
REAL = {
    "GBPJPY_M1_2016": "GBP_JPY",
    "GBPJPY_M1_2018-2019_cross": "GBP_JPY",
    "EURUSD_M1_2024-01_oanda": "EUR_USD",
    "GBPUSD_M1_2012-02_fxcm_ba": "GBP_USD",
}


def worst_error(profile: Profile, closes_hp: np.ndarray, rows: np.ndarray, window_std: bool) -> float:
    """The worst window, all values together and order 0 left out (which would hide the others)."""
    scattering = WaveletScattering(profile)
    values = scattering.transform(closes_hp, rows, 1 / 600, window_std)
    reference = kymatio_features(profile, closes_hp, rows, 1 / 600, window_std)
    higher = scattering.tables.slots
    return max(
        relative_error(values, reference).max(),
        relative_error(values[:, higher:], reference[:, higher:]).max(),
    )


@pytest.mark.parametrize("window_std", [False, True], ids=["anchored", "standardised"])
@pytest.mark.parametrize("profile", PROFILES)
def test_every_hard_window_equals_kymatio(profile: Profile, window_std: bool) -> None:
    for name, closes in hard_closes().items():
        rows = np.arange(255, len(closes), 3)
        assert worst_error(profile, closes, rows, window_std) < LIMIT, name


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("profile", PROFILES)
def test_windows_of_real_bars_equal_kymatio(profile: Profile, name: str, fx_dir: Path) -> None:
    closes = read_bars(fx_dir / f"{name}.parquet", instrument(REAL[name]), 4.0).close_hp
    rows = np.random.default_rng(1).integers(255, len(closes), 200)
    assert worst_error(profile, closes, rows, window_std=False) < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_window_of_a_month_of_real_bars_equals_kymatio(
    profile: Profile, name: str, fx_dir: Path
) -> None:
    closes = read_bars(fx_dir / f"{name}.parquet", instrument(REAL[name]), 4.0).close_hp[-30_000:]
    for rows in np.array_split(np.arange(255, len(closes)), 60):
        assert worst_error(profile, closes, rows, window_std=False) < LIMIT


@pytest.mark.parametrize("profile", PROFILES)
def test_shapes_are_the_documented_ones(profile: Profile) -> None:
    scattering = WaveletScattering(profile)
    assert scattering.transform(random_walk(300), np.arange(255, 300)).shape == (
        45,
        {"J2Q6": 128, "J6Q4": 70}[profile],
    )
    assert scattering.transform(random_walk(300), np.empty(0, np.int64)).shape == (0, scattering.size)


@pytest.mark.parametrize("window_std", [False, True], ids=["anchored", "standardised"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_live_window_equals_the_batch_bit_for_bit(profile: Profile, window_std: bool) -> None:
    closes = random_walk(700)
    scattering = WaveletScattering(profile)
    rows = np.arange(255, 700)
    batch = scattering.transform(closes, rows, 1 / 600, window_std)
    for row in (255, 256, 263, 270, 271, 400, 699):
        window = closes[row - 255 : row + 1].copy()
        live = scattering.transform(window, np.array([255]), 1 / 600, window_std)
        assert np.array_equal(live[0], batch[row - 255])


@pytest.mark.parametrize("profile", PROFILES)
def test_order_and_company_of_rows_do_not_matter(profile: Profile) -> None:
    closes = random_walk(700)
    scattering = WaveletScattering(profile)
    batch = scattering.transform(closes, np.arange(255, 700), 1 / 600)
    generator = np.random.default_rng(5)
    for size in (2, 15, 16, 17, 100):
        rows = generator.integers(255, 700, size)
        assert np.array_equal(scattering.transform(closes, rows, 1 / 600), batch[rows - 255])


def test_standardising_ignores_level_and_unit() -> None:
    closes = random_walk(300)
    scattering = WaveletScattering("J6Q4")
    rows = np.arange(255, 300)
    plain = scattering.transform(closes, rows, window_std=True)
    moved = scattering.transform(7 * closes + 12_345, rows, window_std=True)
    np.testing.assert_allclose(moved, plain, rtol=2e-5, atol=2e-6)


def test_rows_without_a_whole_window_are_refused() -> None:
    scattering = WaveletScattering("J2Q6")
    for row in (254, -1, 300):
        with pytest.raises(DataError, match="256 closes"):
            scattering.transform(random_walk(300), np.array([row]))
