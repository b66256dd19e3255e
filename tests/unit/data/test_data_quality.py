"""Each check finds the defect planted in real bars, and none is found where none was planted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swt_core import calendar
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.defects import Defect
from swt_data.files import read_bars
from swt_data.quality import QualityReport, check_quality

GBP_JPY = instrument("GBP_JPY")
PIP = GBP_JPY.half_points_per_pip


@pytest.fixture(scope="module")
def real(fx_dir: Path) -> Bars:
    return read_bars(fx_dir / "GBPJPY_M1_2016.parquet", GBP_JPY, 4.0)


@pytest.fixture(scope="module")
def quoted(fx_dir: Path) -> Bars:
    return read_bars(fx_dir / "EURUSD_M1_2014-2018_oanda_ba.parquet", instrument("EUR_USD"), 1.0)


def only(report: QualityReport) -> dict[str, int]:
    return {kind: count for kind, count in report.defect_counts.items() if count}


def set_close(bars: Bars, row: int, close_hp: int) -> Bars:
    """A bar whose close was printed elsewhere, its extremes and the next open with it."""
    close, high, low = bars.close_hp.copy(), bars.high_hp.copy(), bars.low_hp.copy()
    close[row] = close_hp
    high[row], low[row] = max(high[row], close_hp), min(low[row], close_hp)
    return replace(bars, close_hp=close, high_hp=high, low_hp=low)


@pytest.mark.parametrize(
    "name",
    [
        "GBPJPY_M1_2016",
        "GBPJPY_M1_2025-days",
        "GBPJPY_M1_2018-2019_cross",
        "GBPJPY_M1_2024-01_cross",
        "EURJPY_M1_2018-2019_cross",
        "EURUSD_M1_2024-01_oanda",
        "GBPUSD_M1_2024-01_oanda",
        "USDJPY_M1_2024-01_oanda",
        "EURUSD_M1_2014-2018_oanda_ba",
    ],
)
def test_real_files_are_accepted_without_a_single_data_error(fx_dir: Path, name: str) -> None:
    pair = instrument(f"{name[:3]}_{name[3:6]}")
    report = check_quality(read_bars(fx_dir / f"{name}.parquet", pair, 4.0))
    assert report.accepted, report.reasons
    assert only(report) == {}


def test_the_figures_of_the_report_are_those_of_the_file(real: Bars) -> None:
    report = check_quality(real)
    assert report.mean_range_pips == pytest.approx(5.17, abs=0.01)
    assert report.p99_range_pips == pytest.approx(27.7, abs=0.1)
    assert report.max_range_pips == pytest.approx(862, abs=1)
    assert report.coverage == pytest.approx(0.9999, abs=1e-4)
    assert report.gaps["weekend"].count == 9
    assert report.gaps["tickless"].count == 6
    assert report.gaps["hole"].count == 0
    assert report.alignment.weeks == 10


def test_brexit_night_carries_no_defect(real: Bars) -> None:
    night = (real.time_s >= 1_466_715_600) & (real.time_s < 1_466_769_600)
    assert real.range_pips[night].max() > 800
    assert not check_quality(real).error_mask[night].any()


def test_a_corrupted_file_is_refused_with_its_figures(real: Bars) -> None:
    # Each bar's extremes blown up, as in a file that synthesised its prices: 99.9 % above 12 pips.
    rng = np.random.default_rng(1)
    reach = np.rint(rng.gamma(4.0, 8.0, len(real)) * PIP).astype(np.int64)
    bars = replace(real, high_hp=real.high_hp + reach, low_hp=real.low_hp - reach)
    report = check_quality(bars)
    assert not report.accepted
    assert report.mean_range_pips == pytest.approx(69, abs=2)
    assert "of bars are above 12 pips and the mean range is 69." in report.reasons[0]
    with pytest.raises(DataError, match="above 12 pips"):
        report.require_accepted()


@pytest.mark.parametrize("pips", [60, -60])
def test_a_spike_that_reverts_at_the_next_bar_is_found(real: Bars, pips: int) -> None:
    quiet = 3000
    bars = set_close(real, quiet, int(real.close_hp[quiet]) + pips * PIP)
    report = check_quality(bars)
    assert only(report) == {"spike": 1}
    assert report.defects[quiet] == Defect.SPIKE
    assert report.accepted


def test_a_jump_that_stays_is_volatility(real: Bars) -> None:
    shift = np.where(np.arange(len(real)) >= 3000, 60 * PIP, 0)
    bars = replace(
        real,
        open_hp=real.open_hp + shift,
        high_hp=real.high_hp + shift,
        low_hp=real.low_hp + shift,
        close_hp=real.close_hp + shift,
    )
    assert only(check_quality(bars)) == {}


def test_the_same_spike_in_a_wild_hour_is_volatility(real: Bars) -> None:
    wild = int(np.searchsorted(real.time_s, 1_466_733_600))  # 02:00 UTC on Brexit night
    assert real.range_pips[wild - 30 : wild + 30].mean() > 60
    assert only(check_quality(set_close(real, wild, int(real.close_hp[wild]) + 60 * PIP))) == {}


def test_a_lone_wick_is_found(real: Bars) -> None:
    low = real.low_hp.copy()
    low[3000] -= 120 * PIP
    report = check_quality(replace(real, low_hp=low))
    assert only(report) == {"spike": 1}
    assert report.defects[3000] == Defect.SPIKE


@pytest.mark.parametrize("column", ["high_hp", "low_hp", "close_hp", "open_hp"])
def test_an_ohlc_violation_is_found(real: Bars, column: str) -> None:
    values = getattr(real, column).copy()
    values[3000] = (
        real.low_hp[3000] - 2 if column in {"high_hp", "close_hp", "open_hp"} else real.high_hp[3000] + 2
    )
    report = check_quality(replace(real, **{column: values}))
    assert report.defects[3000] == Defect.OHLC
    assert only(report) == {"ohlc": 1}


def test_a_price_of_zero_is_found(real: Bars) -> None:
    low = real.low_hp.copy()
    low[3000] = 0
    assert check_quality(replace(real, low_hp=low)).defects[3000] & Defect.OHLC


def test_duplicates_and_disorder_are_found(real: Bars) -> None:
    twice = real.rows(np.insert(np.arange(len(real)), 3000, 3000))
    report = check_quality(twice)
    assert only(report) == {"duplicate": 2}
    np.testing.assert_array_equal(np.flatnonzero(report.defects), [3000, 3001])
    rows = np.arange(len(real))
    rows[[3000, 3001]] = rows[[3001, 3000]]
    assert check_quality(real.rows(rows)).defect_counts["duplicate"] == 2


@pytest.mark.parametrize(("minutes", "found"), [(9, 0), (10, 10), (45, 45)])
def test_a_run_that_repeats_one_price_is_stale_from_ten_bars_on(real: Bars, minutes: int, found: int) -> None:
    run = slice(3000, 3000 + minutes)
    columns = {}
    for name in ("open_hp", "high_hp", "low_hp", "close_hp"):
        columns[name] = getattr(real, name).copy()
        columns[name][run] = real.close_hp[2999]
    report = check_quality(replace(real, **columns))
    assert only(report) == ({"stale": found} if found else {})
    np.testing.assert_array_equal(
        np.flatnonzero(report.defects), np.arange(3000, 3000 + minutes) if found else []
    )


def test_an_ask_below_the_bid_is_found(quoted: Bars) -> None:
    spread = quoted.spread_close.copy()
    spread[3000] = -2 - spread[3000]
    report = check_quality(replace(quoted, spread_close=spread))
    assert only(report) == {"crossed": 1}
    assert report.defects[3000] == Defect.CROSSED


def test_a_stretch_on_another_price_scale_is_found_and_refused(real: Bars) -> None:
    factor = np.where((np.arange(len(real)) >= 3000) & (np.arange(len(real)) < 3600), 10, 1)
    columns = {name: getattr(real, name) * factor for name in ("open_hp", "high_hp", "low_hp", "close_hp")}
    report = check_quality(replace(real, **columns))
    assert report.defects[3000] & Defect.LEVEL
    assert report.defects[3600] & Defect.LEVEL
    one = check_quality(set_close(real, 3000, int(real.close_hp[3000]) // 10))
    assert one.defects[3000] & Defect.LEVEL


def test_weekend_bars_are_found(real: Bars) -> None:
    friday = int(np.flatnonzero(np.diff(real.time_s) > 40 * 3600)[0])
    rows = np.insert(np.arange(len(real)), friday + 1, [friday] * 5)
    bars = real.rows(rows)
    time = bars.time_s.copy()
    time[friday + 1 : friday + 6] = real.time_s[friday] + 3600 * 24 + 60 * np.arange(5)
    report = check_quality(replace(bars, time_s=time))
    assert only(report) == {"outside_week": 5}
    assert report.alignment.misaligned_weeks == 0


@pytest.mark.parametrize(("hours", "side"), [(1, "late"), (-1, "early")])
def test_stamps_an_hour_off_are_refused_as_a_wrong_time_zone(real: Bars, hours: int, side: str) -> None:
    report = check_quality(replace(real, time_s=real.time_s + 3600 * hours))
    assert getattr(report.alignment, f"{side}_summer_weeks") >= 9
    assert report.alignment.misaligned_weeks >= 9
    assert not report.accepted
    assert "time zone is wrong" in report.reasons[0]


def test_a_fixed_offset_is_caught_in_the_summer_it_gets_wrong(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_M1_2018-2019_cross.parquet", GBP_JPY, 4.0)
    # "EST without DST": local New York stamps read as UTC−5 all year, late by an hour in summer.
    local = calendar.new_york_seconds(bars.time_s)
    report = check_quality(replace(bars, time_s=local + 5 * 3600))
    assert report.alignment.late_summer_weeks > 60
    assert report.alignment.late_winter_weeks == 0
    assert not report.accepted


def test_holes_and_coverage_are_counted(real: Bars) -> None:
    rows = np.delete(np.arange(len(real)), np.r_[3000:3030, 9000:9008])
    report = check_quality(real.rows(rows))
    assert report.gaps["hole"].count == 1
    assert report.gaps["hole"].minutes == 30
    assert report.gaps["tickless"].count == 7
    assert report.coverage == pytest.approx(check_quality(real).coverage - 38 / len(real), abs=1e-5)
    assert any("hole" in warning for warning in report.warnings)


def test_holidays_and_daily_breaks_are_told_apart(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_M1_2018-2019_cross.parquet", GBP_JPY, 4.0)
    report = check_quality(bars)
    assert report.gaps["weekend"].count == 102
    assert report.gaps["holiday"].count == 3
    oanda = check_quality(read_bars(fx_dir / "USDJPY_M1_2024-01_oanda.parquet", instrument("USD_JPY"), 4.0))
    assert oanda.gaps["daily_break"].count == 15
    assert oanda.gaps["daily_break"].minutes == pytest.approx(15 * 5, abs=3)


def test_the_spread_is_reported_by_the_hour_of_new_york(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_H1_2016-2021_oanda_mba.parquet", GBP_JPY, 4.0)
    report = check_quality(bars)
    assert np.argmax(report.spread_by_hour_pips) == 17
    assert report.spread_by_hour_pips[18] == pytest.approx(9, abs=0.5)
    assert report.spread_by_hour_pips[5] == pytest.approx(2.7, abs=0.4)
    assert not report.accepted
    assert "bars are 60 minutes apart, not one" in report.reasons


def test_the_summary_is_plain_json(quoted: Bars) -> None:
    summary = json.loads(json.dumps(check_quality(quoted).summary(), allow_nan=False))
    assert summary["verdict"] == "accept"
    assert summary["first"] == "2014-05-01T00:00:00Z"
    assert summary["gaps"]["hole"]["count"] == 1


def test_no_bars_are_no_report(real: Bars) -> None:
    with pytest.raises(DataError, match="no bars"):
        check_quality(real.rows(slice(0, 0)))
