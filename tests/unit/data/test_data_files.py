"""Bars read from files are what was written, and a bad file says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.files import read_bars, write_bars
from swt_data.synthetic import synthetic_bars

GBP_JPY = instrument("GBP_JPY")
EUR_USD = instrument("EUR_USD")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("market", ["regimes", "realistic"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, market: str) -> None:
    bars = synthetic_bars(market, 3, 1, GBP_JPY)
    write_bars(bars, tmp_path / f"bars{suffix}")
    back = read_bars(tmp_path / f"bars{suffix}", GBP_JPY, 4.0)
    assert back.sha256 == bars.sha256
    assert back.spread_recorded == bars.spread_recorded
    np.testing.assert_array_equal(back.volume, bars.volume)
    assert [path.name for path in tmp_path.iterdir()] == [f"bars{suffix}"]


def test_recorded_bid_and_ask_make_exact_half_point_mids(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "EURUSD_M1_2014-2018_oanda_ba.parquet", EUR_USD, 4.0)
    assert bars.spread_recorded
    assert (bars.bid_open[0], bars.ask_open[0]) == (138_676, 138_686)
    assert bars.open_hp[0] == 138_676 + 138_686
    np.testing.assert_array_equal(bars.bid_close + bars.ask_close, bars.close_hp)
    np.testing.assert_array_equal(bars.ask_close - bars.bid_close, bars.spread_close)
    assert bars.spread_close_pips.mean() == pytest.approx(1.2, abs=0.01)


def test_published_mids_give_highs_and_lows_around_the_body(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_H1_2016-2021_oanda_mba.parquet", GBP_JPY, 4.0)
    assert np.all(bars.high_hp >= np.maximum(bars.open_hp, bars.close_hp))
    assert np.all(bars.low_hp <= np.minimum(bars.open_hp, bars.close_hp))


def test_mid_columns_take_the_assumed_spread(fx_dir: Path) -> None:
    bars = read_bars(fx_dir / "GBPJPY_M1_2016.parquet", GBP_JPY, 2.5)
    assert not bars.spread_recorded
    # 2.5 pips are 25 points; the nearest even number keeps bid and ask whole.
    assert set(bars.spread_open) == {GBP_JPY.spread_points(2.5)}
    assert set(bars.spread_open) <= {24, 26}
    assert bars.ask_open[0] - bars.bid_open[0] == bars.spread_open[0]
    assert bars.volume[0] == 115


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_times_are_utc_with_or_without_an_offset(tmp_path: Path) -> None:
    rows = "180.001,180.002,180.000,180.001\n"
    plain = write(tmp_path / "a.csv", f"time,open,high,low,close\n2024-01-02 00:00:00,{rows}")
    offset = write(tmp_path / "b.csv", f"time,open,high,low,close\n2024-01-02 01:00:00+01:00,{rows}")
    epoch = write(tmp_path / "c.csv", f"time_s,open,high,low,close\n1704153600,{rows}")
    for path in (plain, offset, epoch):
        assert read_bars(path, GBP_JPY, 4.0).time_s[0] == 1_704_153_600


def test_rows_are_sorted_and_duplicates_kept_for_the_quality_check(tmp_path: Path) -> None:
    row = "180.001,180.002,180.000,180.001"
    path = write(
        tmp_path / "a.csv",
        "time,open,high,low,close\n"
        + "".join(f"2024-01-02 00:0{minute}:00,{row}\n" for minute in (2, 0, 1, 1)),
    )
    bars = read_bars(path, GBP_JPY, 4.0)
    assert (np.diff(bars.time_s) // 60).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,open,high,low\n2024-01-02 00:00:00,1,1,1\n", "no price columns"),
        ("when,open,high,low,close\n2024-01-02 00:00:00,1,1,1,1\n", "no column 'time'"),
        ("time,open,high,low,close\nyesterday,1,1,1,1\n", "not timestamps"),
        ("time,open,high,low,close\n2024-01-02 00:00:00,1,1,0,1\n", "row 1 has low = 0.0"),
        ("time,open,high,low,close\n2024-01-02 00:00:00,1,,1,1\n", "row 1 has high = nan"),
        ("time,open,high,low,close\n2024-01-02 00:00:05,1,1,1,1\n", "not a whole minute"),
        ("time,open,high,low,close\n", "no bars|cannot be read|not timestamps"),
        ("time,open,high,low,close\n2024-01-02 00:00:00,a,b,c,d\n", "cannot be read"),
    ],
)
def test_a_bad_csv_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_bars(write(tmp_path / "bad.csv", text), GBP_JPY, 4.0)
    assert "bad.csv" in caught.value.message
    assert caught.value.remedy


def test_absent_foreign_and_truncated_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_bars(tmp_path / "absent.parquet", GBP_JPY, 4.0)
    with pytest.raises(DataError, match=r"neither \.parquet nor \.csv"):
        read_bars(write(tmp_path / "bars.json", "{}"), GBP_JPY, 4.0)
    bars = synthetic_bars("martingale", 1, 1, GBP_JPY)
    write_bars(bars, tmp_path / "whole.parquet")
    torn = tmp_path / "torn.parquet"
    torn.write_bytes((tmp_path / "whole.parquet").read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        read_bars(torn, GBP_JPY, 4.0)


def test_a_path_with_a_quote_is_only_a_path(tmp_path: Path) -> None:
    bars = synthetic_bars("martingale", 1, 1, GBP_JPY)
    path = tmp_path / "o'clock" / "bars.parquet"
    write_bars(bars, path)
    assert read_bars(path, GBP_JPY, 4.0).sha256 == bars.sha256
