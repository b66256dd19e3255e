"""Every published format becomes the bars it stands for; a broken file says which line, and gives none."""

from __future__ import annotations

import json
import lzma
import shutil
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pytest

from swt_core.clock import ManualClock
from swt_core.errors import DataError
from swt_core.instruments import Instrument, instrument
from swt_data.bars import Bars
from swt_data.files import read_bars, write_bars
from swt_data.importing.importer import Imported, import_files, read_series
from swt_data.importing.zones import parse_zone
from swt_data.synthetic import synthetic_bars

GBP_JPY, EUR_USD, USD_JPY, GBP_USD = (
    instrument(name) for name in ("GBP_JPY", "EUR_USD", "USD_JPY", "GBP_USD")
)
CLOCK = ManualClock(1.0)


@pytest.fixture(scope="session")
def formats(fx_dir: Path) -> Path:
    return fx_dir / "formats"


def imported(
    *paths: Path, pair: Instrument = GBP_JPY, timezone: str | None = None, **columns: str
) -> Imported:
    zone = None if timezone is None else parse_zone(timezone)
    return import_files(paths, pair, 4.0, CLOCK, zone, columns)


def assert_same_bars(got: Bars, expected: Bars) -> None:
    """The same numbers where both have bars, and no bar that the expected span lacks."""
    expected = expected.between(int(got.time_s[0]), int(got.time_s[-1]) + 1)
    np.testing.assert_array_equal(got.time_s, expected.time_s)
    for name in ("open_hp", "high_hp", "low_hp", "close_hp"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


# --- real samples against independently converted bars of the same source ---


@pytest.mark.parametrize("name", ["GBPJPY1_head.csv", "GBPJPY1_weekend_2016-06-17_to_20.csv"])
def test_metatrader_4_is_settled_as_broker_time(fx_dir: Path, formats: Path, name: str) -> None:
    result = imported(formats / "mt4_csv" / name)
    assert result.sources[0].timezone == "America/New_York+7h"
    assert_same_bars(result.bars, read_bars(fx_dir / "GBPJPY_M1_2016.parquet", GBP_JPY, 4.0))


def test_dukascopy_csv_of_epoch_milliseconds(fx_dir: Path, formats: Path) -> None:
    result = imported(formats / "dukascopy_node_csv" / "gbpjpy-m1-2025_head.csv")
    assert_same_bars(result.bars, read_bars(fx_dir / "GBPJPY_M1_2025-days.parquet", GBP_JPY, 4.0))


def test_five_second_bars_become_minutes(fx_dir: Path, formats: Path) -> None:
    result = imported(formats / "oanda_s5_csv" / "USD_JPY_S5_2024_head.csv", pair=USD_JPY)
    whole = result.bars.rows(slice(0, len(result.bars) - 1))  # the head ends within a minute
    assert_same_bars(whole, read_bars(fx_dir / "USDJPY_M1_2024-01_oanda.parquet", USD_JPY, 4.0))
    assert result.bars.volume[0] == 2


def test_lean_quotes_need_a_zone_and_keep_both_sides(fx_dir: Path, formats: Path) -> None:
    path = formats / "lean_quote_zip" / "oanda_minute_eurusd" / "20180403_quote.zip"
    with pytest.raises(DataError, match="equally well"):
        imported(path, pair=EUR_USD)
    result = imported(path, pair=EUR_USD, timezone="UTC")
    expected = read_bars(fx_dir / "EURUSD_M1_2014-2018_oanda_ba.parquet", EUR_USD, 4.0)
    assert result.bars.spread_recorded
    assert_same_bars(result.bars, expected)
    other = imported(
        formats / "lean_quote_zip" / "fxcm_minute_eurusd" / "20180403_quote.zip",
        pair=EUR_USD,
        timezone="UTC-5",
    ).bars
    common, a, b = np.intersect1d(other.time_s, expected.time_s, return_indices=True)
    assert len(common) > 500
    # Two brokers, one market: their closes agree within a pip once the zones are right.
    difference = np.abs(other.close_hp[a] - expected.close_hp[b]) / EUR_USD.half_points_per_pip
    assert np.median(difference) < 0.5


def test_dukascopy_binary_ticks_and_candles(fx_dir: Path, formats: Path) -> None:
    folder = formats / "dukascopy_bi5"
    hours = [folder / "GBPJPY/2012/11/03" / f"{hour}h_ticks.bi5" for hour in ("00", "08", "12")]
    result = imported(*hours)
    assert result.bars.spread_recorded
    with duckdb.connect() as connection:
        ticks = connection.execute(
            "SELECT epoch_ms(time) // 60000 * 60 AS minute, first(bid ORDER BY time), "
            "last(ask ORDER BY time), count(*) "
            f"FROM '{fx_dir}/GBPJPY_ticks_2012-12-03_dukascopy.parquet' GROUP BY minute ORDER BY minute"
        ).fetchnumpy()
    rows = np.isin(ticks["minute"], result.bars.time_s)
    assert rows.sum() == len(result.bars) == 180
    minute, bid, ask, count = (np.asarray(column)[rows] for column in ticks.values())
    np.testing.assert_array_equal(result.bars.time_s, minute)
    np.testing.assert_array_equal(result.bars.bid_open, np.rint(bid * 1000))
    np.testing.assert_array_equal(result.bars.ask_close, np.rint(ask * 1000))
    np.testing.assert_array_equal(result.bars.volume, count)
    day = folder / "EURUSD/2019/01/04"
    sides = imported(day / "BID_candles_min_1.bi5", day / "ASK_candles_min_1.bi5", pair=EUR_USD).bars
    from_ticks = imported(day / "10h_ticks.bi5", pair=EUR_USD).bars
    candles = sides.between(int(from_ticks.time_s[0]), int(from_ticks.time_s[-1]) + 60)
    np.testing.assert_array_equal(candles.bid_close, from_ticks.bid_close)
    np.testing.assert_array_equal(candles.ask_open, from_ticks.ask_open)


def test_a_bid_and_an_ask_file_become_quotes(formats: Path) -> None:
    folder = formats / "fxcm_csv"
    result = imported(
        folder / "usdjpy-m1-ask-2013_head.csv", folder / "usdjpy-m1-bid-2013_head.csv", pair=USD_JPY
    )
    bars = result.bars
    assert bars.spread_recorded
    assert (bars.bid_open[0], bars.ask_open[0]) == (91_715, 91_717)
    assert (bars.bid_close[0], bars.ask_close[0]) == (91_653, 91_655)


def test_dukascopy_json_adds_up_its_differences(formats: Path) -> None:
    bars = imported(formats / "dukascopy_node_json" / "eur-usd-m1-bid-2026-7-10.json", pair=EUR_USD).bars
    assert len(bars) == 1258
    assert bars.open_hp[:3].tolist() == [2 * 114_331, 2 * 114_323, 2 * 114_332]
    assert np.all(bars.high_hp >= np.maximum(bars.open_hp, bars.close_hp))
    assert np.all(bars.low_hp <= np.minimum(bars.open_hp, bars.close_hp))


def test_oanda_candles_and_stream(formats: Path) -> None:
    folder = formats / "oanda_candles_json"
    pair = Instrument("AUD_JPY", -2, 3)
    bars = imported(folder / "GetInstrumentCandles200Response.json", pair=pair).bars
    assert (len(bars), bars.bid_open[0], bars.ask_close[2]) == (3, 95_287, 95_378)
    # Incomplete candles are left out, bid and ask of separate replies joined, the finest bars taken.
    latest = imported(folder / "GetAccountCandlesLatest200Response.json", pair=USD_JPY).bars
    assert (len(latest), latest.bid_close[0], latest.ask_close[0]) == (1, 141_496, 141_510)
    with pytest.raises(DataError, match="not of GBP_JPY"):
        imported(folder / "GetInstrumentCandles200Response.json")
    stream = imported(formats / "oanda_stream_lines" / "oanda_streams_sample.json", pair=GBP_USD).bars
    assert (len(stream), stream.bid_open[0], stream.ask_open[0]) == (1, 137_556, 137_569)


@pytest.mark.parametrize(
    ("path", "pair", "bars", "close"),
    [
        ("histdata_ascii_m1/DAT_ASCII_EURUSD_M1_202306_head.csv", EUR_USD, 300, 106_853),
        ("histdata_ascii_tick/DAT_ASCII_EURUSD_T_201202.csv", EUR_USD, 1, 130_657),
        ("histdata_metatrader/DAT_MT_NSXUSD_M1_202301_head.csv", EUR_USD, 300, 1_102_211_900),
        ("histdata_ninjatrader/DAT_NT_EURUSD_M1_201502_head.csv", EUR_USD, 400, 113_084),
        ("mt4_csv/EURUSD1_head.csv", EUR_USD, 300, 107_017),
        ("mt5_terminal_csv/EURUSD_M1_head.csv", EUR_USD, 300, 115_832),
        ("truefx_csv/usdjpy-ticks_head.csv", USD_JPY, 12, 86_692),
        ("barchart_like_csv/GBPUSD_M1_desc_head.csv", GBP_USD, 69, 129_329),
        ("dukascopy_jforex_csv/CADJPY_tick_head.csv", Instrument("CAD_JPY", -2, 3), 9, 80_895),
    ],
)
def test_the_other_samples_are_read_under_a_given_zone(
    formats: Path, path: str, pair: Instrument, bars: int, close: int
) -> None:
    got = imported(formats / path, pair=pair, timezone="UTC").bars
    assert len(got) == bars
    assert np.all(np.diff(got.time_s) > 0)
    assert got.close_hp[0] // 2 == pytest.approx(close, abs=20)


@pytest.mark.parametrize(
    "path",
    [
        "dukascopy_jforex_csv/GBPJPY_H1_head.csv",
        "dukascopy_jforex_csv/EURUSD_5 Mins_Bid_2025.10.01_head.csv",
        "mt5_python_api_csv/GBPJPY_D1_head.csv",
        "yfinance_csv/gbpjpy_m15_head.csv",
        "oanda_candles_json/candles_mid_S5.json",
    ],
)
def test_coarse_bars_are_recognised_and_refused(formats: Path, path: str) -> None:
    pair = GBP_USD if path.endswith("json") else EUR_USD if "EURUSD" in path else GBP_JPY
    assert len(read_series(formats / path, pair).price) > 5
    with pytest.raises(DataError, match="minutes apart or more"):
        imported(formats / path, pair=pair)


# --- HistData, whose word is not to be trusted ---


def test_histdata_2019_is_london_less_five_and_agrees_with_another_broker(
    fx_dir: Path, formats: Path
) -> None:
    result = imported(formats / "histdata_ascii_m1" / "HISTDATA_COM_ASCII_USDJPY_M12019.zip", pair=USD_JPY)
    assert result.sources[0].timezone == "Europe/London-5h"
    assert np.all(np.diff(result.bars.time_s) > 0)
    hourly = read_bars(fx_dir / "USDJPY_H1_2016-2021_oanda_mba.parquet", USD_JPY, 4.0)
    last_of_hour = np.flatnonzero(np.diff(result.bars.time_s // 3600, append=0))
    hour_s = result.bars.time_s[last_of_hour] // 3600 * 3600
    _, ours, theirs = np.intersect1d(hour_s, hourly.time_s, return_indices=True)
    pips = (result.bars.close_hp[last_of_hour][ours] - hourly.close_hp[theirs]) / USD_JPY.half_points_per_pip
    months = hourly.time_s[theirs].astype("datetime64[s]").astype("datetime64[M]")
    assert len(pips) > 6000
    # An hour off, the closes would differ by six pips and more in the months it concerns.
    assert max(np.mean(np.abs(pips[months == month])) for month in np.unique(months)) < 1.0


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("DAT_ASCII_USDJPY_M1_2019_2019-03-29_to_04-01.csv", "2019-03-29T20:00"),
        ("DAT_ASCII_USDJPY_M1_2019_2019-10-25_to_28.csv", "2019-10-25T19:50"),
    ],
)
def test_histdata_weekends_of_a_clock_change(formats: Path, name: str, first: str) -> None:
    result = imported(formats / "histdata_ascii_m1" / name, pair=USD_JPY)
    assert result.sources[0].timezone == "Europe/London-5h"
    assert result.bars.time_s[0] == np.datetime64(first, "s").astype(np.int64)
    sunday = result.bars.time_s[np.flatnonzero(np.diff(result.bars.time_s) > 40 * 3600)[0] + 1]
    assert sunday % 86_400 == 21 * 3600  # 17:00 in New York's summer


def histdata_lines(bars: Bars, shift_s: int) -> list[str]:
    stamps = (bars.time_s + shift_s).astype("datetime64[s]").astype(object)
    scale = 2 * 10**bars.instrument.display_precision
    columns = (bars.open_hp, bars.high_hp, bars.low_hp, bars.close_hp)
    rows = zip(stamps, *(column / scale for column in columns), strict=True)
    return [f"{stamp:%Y%m%d %H%M%S};{o:.6f};{h:.6f};{low:.6f};{c:.6f};0" for stamp, o, h, low, c in rows]


@pytest.fixture(scope="module")
def two_weeks() -> Bars:
    return synthetic_bars("martingale", 10, 1, GBP_JPY)


def test_a_file_that_cannot_tell_is_settled_with_its_companions(tmp_path: Path, two_weeks: Bars) -> None:
    lines = histdata_lines(two_weeks, -5 * 3600)
    for day in range(10):
        (tmp_path / f"{day}.csv").write_text("\n".join(lines[1435 * day : 1435 * (day + 1)]))
    days = sorted(tmp_path.glob("*.csv"))
    with pytest.raises(DataError, match="equally well"):
        imported(days[2])
    result = imported(*days)
    assert result.bars.time_s.tolist() == two_weeks.time_s.tolist()
    assert result.bars.close_hp.tolist() == two_weeks.close_hp.tolist()
    assert "settled together" in result.sources[2].timezone_evidence


def test_an_empty_hour_filled_with_flat_bars_is_no_market(tmp_path: Path, two_weeks: Bars) -> None:
    rows = [
        f"{1000 * int(t)},{o / 2000},{h / 2000},{low / 2000},{c / 2000},1.5"
        for t, o, h, low, c in zip(
            two_weeks.time_s,
            two_weeks.open_hp,
            two_weeks.high_hp,
            two_weeks.low_hp,
            two_weeks.close_hp,
            strict=True,
        )
    ]
    weekend = int(two_weeks.time_s[7174]) + 60
    price = two_weeks.close_hp[7174] / 2000
    filled = [f"{1000 * (weekend + 60 * i)},{price},{price},{price},{price},0" for i in range(500)]
    path = tmp_path / "filled.csv"
    path.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows[:7175] + filled + rows[7175:]))
    assert imported(path).bars.time_s.tolist() == two_weeks.time_s.tolist()


# --- columns of one's own ---


def test_a_column_map_names_what_a_header_does_not_tell(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("When;First;Top;Bottom;Final\n2024-01-02T00:00:00Z;180.1;180.3;180.0;180.2\n")
    with pytest.raises(DataError, match="line 1 is no known header"):
        imported(path)
    bars = imported(path, time="When", open="First", high="Top", low="Bottom", close="Final").bars
    assert (bars.open_hp[0], bars.high_hp[0], bars.low_hp[0], bars.close_hp[0]) == (
        360_200,
        360_600,
        360_000,
        360_400,
    )
    with pytest.raises(DataError, match="fits no column"):
        imported(path, close="Last")


# --- broken files ---

GOOD = "20240102 170000;180.1;180.3;180.0;180.2;0"


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        (f"{GOOD}\n20240102 170100;180.1;180.3;x;180.2;0\n", "line 2", "x"),
        (f"{GOOD}\n20240102 170100;180.1;180.3;-1;180.2;0\n", "line 2", "-1"),
        (f"{GOOD}\n2024/01/02;180.1;180.3;180.0;180.2;0\n", "line 2", "2024/01/02"),
        (f"{GOOD}\n20240102 170100;180.1;180.3\n", "line 2", "180.3"),
        (f"{GOOD}\n{GOOD[:-8]}.9;0\n", "line 2", ""),
        ("hello\nworld\n", "line 1", "hello"),
        ("", "line 1", ""),
    ],
)
def test_a_broken_table_names_the_line_and_what_was_there(
    tmp_path: Path, text: str, where: str, found: str
) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        imported(path, timezone="UTC")
    assert "broken.csv" in caught.value.message
    assert where in caught.value.message
    assert found in caught.value.message


def test_broken_binaries_archives_and_documents_are_refused(tmp_path: Path, formats: Path) -> None:
    source = formats / "dukascopy_bi5/GBPJPY/2012/11/03/00h_ticks.bi5"
    misplaced = tmp_path / "00h_ticks.bi5"
    shutil.copyfile(source, misplaced)
    with pytest.raises(DataError, match="tells the date"):
        imported(misplaced)
    torn = tmp_path / "2012/11/03/00h_ticks.bi5"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(source.read_bytes()[:500])
    with pytest.raises(DataError, match="LZMA"):
        imported(torn)
    torn.write_bytes(lzma.compress(b"12345", format=lzma.FORMAT_ALONE))
    with pytest.raises(DataError, match="records of 20 bytes"):
        imported(torn)
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.csv", GOOD)
        file.writestr("b.csv", GOOD)
    with pytest.raises(DataError, match="one CSV file"):
        imported(archive)
    archive.write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="whole zip"):
        imported(archive)
    with pytest.raises(DataError, match="OANDA candles or Dukascopy bars"):
        imported(formats / "dukascopy_node_json" / "instrument-EUR-USD.json", pair=EUR_USD)
    document = tmp_path / "candles.json"
    candle = {
        "time": "2024-01-02T00:00:00.000000000Z",
        "complete": True,
        "mid": {"o": "1", "h": "1", "l": "1"},
    }
    document.write_text(json.dumps({"instrument": "EUR_USD", "granularity": "M1", "candles": [candle]}))
    with pytest.raises(DataError, match="o, h, l and c"):
        imported(document, pair=EUR_USD)
    with pytest.raises(DataError, match="no such file"):
        imported(tmp_path / "absent.csv")


def test_contradictions_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text(f"{GOOD}\n")
    other.write_text(GOOD.replace("180.2", "180.25") + "\n")
    with pytest.raises(DataError, match="1 minutes differ between the files"):
        imported(one, other, timezone="UTC")
    one.write_text(f"{GOOD}\n{GOOD.replace('180.2', '180.25')}\n")
    with pytest.raises(DataError, match=r"line 2: a second, different bar"):
        imported(one, timezone="UTC")
    one.write_text(f"{GOOD}\n{GOOD}\n")
    assert len(imported(one, timezone="UTC").bars) == 1


def test_progress_runs_from_nothing_to_all_also_within_one_file(tmp_path: Path, two_weeks: Bars) -> None:
    pieces = [two_weeks.rows(slice(0, 4000)), two_weeks.rows(slice(4000, 7000))]
    files = [tmp_path / f"piece{i}.csv" for i in range(2)]
    for bars, path in zip(pieces, files, strict=True):
        write_bars(bars, path)
    for paths in (files[:1], files):
        seen: list[tuple[str, float]] = []
        import_files(paths, GBP_JPY, 4.0, CLOCK, progress=lambda *at, seen=seen: seen.append(at))
        shares = [share for _, share in seen]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        assert len({share for what, share in seen if "piece0" in what}) >= 4
