"""The master database: what a rebuild would give, one day at a time, under a reader that keeps its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from swt_core.calendar import trading_day
from swt_core.clock import ManualClock
from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.manifest import Provenance
from swt_data.synthetic import synthetic_bars
from swt_features import master as master_module
from swt_features.master import Built, build_master, open_master, read_manifest
from swt_features.master_rows import MasterRows, master_version
from swt_features.oracle import kymatio_features

FEATURES = FeaturesConfig()
CLOCK = ManualClock(7.0)
SOURCE = Provenance(source="a file", format="CSV", sha256="ab", bars=3, first_s=1, last_s=2, added_s=3.0)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return synthetic_bars("realistic", 12, 5, instrument("GBP_JPY"))


def build(directory: Path, bars: Bars, features: FeaturesConfig = FEATURES) -> Built:
    return build_master(directory / "master", bars, features, [SOURCE], CLOCK)


def content(directory: Path) -> dict[str, list[tuple[object, ...]]]:
    with open_master(directory / "master") as connection:
        return {
            table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall()
            for table in ("bars", "days", "provenance", "sources")
        }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, bars: Bars) -> Path:
    directory = tmp_path_factory.mktemp("built")
    build(directory, bars)
    return directory


def day_edges(bars: Bars) -> list[int]:
    return [int(row) for row in np.flatnonzero(np.diff(trading_day(bars.time_s))) + 1]


def test_columns_run_from_base_over_lags_to_wavelets(built: Path) -> None:
    with open_master(built / "master") as connection:
        names = [row[0] for row in connection.execute("DESCRIBE master").fetchall()]
    lags, wst = [f"c_{k}" for k in range(1, 256)], [f"wst_{i}" for i in range(67)]
    assert names[-322:] == lags + wst
    base = names[:-322]
    assert {"time", "open", "bid_close", "hour_sin", "hour_cos", "week_sin", "week_cos", "defects"} <= {*base}


def test_lags_are_the_closes_before_and_wavelets_kymatios_averages(built: Path, bars: Bars) -> None:
    with open_master(built / "master") as connection:
        table = connection.execute("FROM master WHERE time_s >= ? ORDER BY time_s", [int(bars.time_s[2000])])
        columns = table.fetchnumpy()
    close = bars.close_hp / 2000
    rows = np.arange(2000, len(bars))
    for k in (1, 2, 100, 255):
        np.testing.assert_array_equal(columns[f"c_{k}"], close[rows - k])
    sample = rows[::97]
    expected = kymatio_features("J6Q4", bars.close_hp, sample, 1 / 600)
    expected = np.concatenate([expected[:, :4].mean(axis=1, keepdims=True), expected[:, 4:]], axis=1)
    stored = np.stack([columns[f"wst_{i}"] for i in range(67)], axis=1)[::97]
    error = np.linalg.norm(stored - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 5e-6


def test_rows_without_a_whole_window_have_no_wavelet_values(built: Path) -> None:
    with open_master(built / "master") as connection:
        counts = connection.execute(
            "SELECT count(*) - count(wst_0), count(*) - count(wst_66), count(*) FILTER (NOT window_valid), "
            "count(*) - count(c_255) FROM master"
        ).fetchone()
    assert counts == (255, 255, 255, 255)


def test_a_span_looks_at_its_own_history_and_gives_the_same_rows(built: Path, bars: Bars) -> None:
    with open_master(built / "master") as connection:
        low, high = "2015-01-08 10:00:00", "2015-01-08 12:00:00"
        span = connection.execute(f"FROM master_between('{low}', '{high}')").fetchall()
        view = connection.execute(
            f"FROM master WHERE time >= '{low}' AND time < '{high}' ORDER BY time"
        ).fetchall()
        first = connection.execute("SELECT c_1 FROM master_between('2015-01-01', '2016-01-01')").fetchone()
    assert span == view
    assert len(span) > 100
    assert first == (None,)


def test_appending_a_day_touches_that_day_only_and_equals_a_rebuild(
    tmp_path: Path, bars: Bars, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = day_edges(bars)[-1]
    build(tmp_path, bars.rows(slice(0, edge)))
    touched: list[slice] = []
    block = MasterRows.block

    def watched(self: MasterRows, rows: slice) -> object:
        touched.append(rows)
        return block(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(MasterRows, "block", watched)
        result = build(tmp_path, bars)
    assert touched == [slice(edge, len(bars))]
    assert (result.days_written, result.days_removed) == (1, 0)
    assert content(tmp_path) == content(built)


def test_any_sequence_of_changes_equals_a_rebuild(tmp_path: Path, bars: Bars) -> None:
    edges = day_edges(bars)
    build(tmp_path, bars.rows(slice(0, edges[5] + 100)))
    # A hole is filled, a price revised, the beginning cut off, the end appended.
    close = bars.close_hp.copy()
    close[edges[3] + 50] += 2
    high = np.maximum(bars.high_hp, close)
    revised = replace(bars, close_hp=close, high_hp=high)
    rows = np.r_[np.arange(edges[0], edges[4] + 200), np.arange(edges[4] + 400, len(bars))]
    for series in (revised.rows(rows), revised, bars.rows(slice(edges[1], len(bars)))):
        build(tmp_path / "one", series)
        build(tmp_path, series)
        assert content(tmp_path) == content(tmp_path / "one")


def test_a_revised_close_reaches_the_windows_that_see_it(tmp_path: Path, bars: Bars) -> None:
    build(tmp_path, bars)
    edges = day_edges(bars)
    close = bars.close_hp.copy()
    close[edges[3] - 1] += 2
    result = build(tmp_path, replace(bars, close_hp=close, high_hp=np.maximum(bars.high_hp, close)))
    assert result.days_written == 2


def test_nothing_new_writes_nothing(tmp_path: Path, bars: Bars) -> None:
    first = build(tmp_path, bars)
    before = first.path.stat().st_mtime_ns
    again = build(tmp_path, bars)
    assert (again.days_written, again.path) == (0, first.path)
    assert first.path.stat().st_mtime_ns == before


def test_another_definition_of_the_features_rebuilds_everything(tmp_path: Path, bars: Bars) -> None:
    build(tmp_path, bars)
    other = FeaturesConfig(scaling="window_std")
    result = build(tmp_path, bars, other)
    assert result.days_written == len(day_edges(bars)) + 1
    assert result.feature_version == master_version(other) != master_version(FEATURES)


def test_a_reader_keeps_its_snapshot_while_the_next_is_built(tmp_path: Path, bars: Bars) -> None:
    half = bars.rows(slice(0, 8000))
    build(tmp_path, half)
    with open_master(tmp_path / "master") as reader:
        build(tmp_path, bars)
        assert reader.execute("SELECT count(*) FROM bars").fetchone() == (8000,)
    with duckdb.connect(tmp_path / "master.duckdb", read_only=True) as newest:
        assert newest.execute("SELECT count(*) FROM bars").fetchone() == (len(bars),)
    manifest = read_manifest(tmp_path / "master")
    assert manifest is not None
    files = {path.name for path in (tmp_path / "master").glob("*.duckdb")}
    assert files == {manifest.file, manifest.previous_file}


def test_a_killed_build_leaves_the_former_snapshot_and_no_trace(
    tmp_path: Path, bars: Bars, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, bars.rows(slice(0, 8000)))
    former = content(tmp_path)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    for where in ("insert_statement", "_write_provenance", "_publish"):
        with monkeypatch.context() as patch:
            patch.setattr(master_module, where, kill)
            with pytest.raises(KeyboardInterrupt):
                build(tmp_path, bars)
        assert content(tmp_path) == former
    build(tmp_path, bars)
    assert content(tmp_path) == content(built)


def test_refused_bars_and_an_empty_directory_are_said_so(tmp_path: Path, bars: Bars) -> None:
    with pytest.raises(DataError, match="no master database"):
        open_master(tmp_path / "master")
    wild = replace(bars, high_hp=bars.high_hp + 4000)
    with pytest.raises(DataError, match="refused"):
        build(tmp_path, wild)


def test_provenance_names_source_hash_and_feature_version(built: Path, bars: Bars) -> None:
    with open_master(built / "master") as connection:
        facts = dict(connection.execute("FROM provenance").fetchall())
        sources = connection.execute("SELECT source, sha256, bars FROM sources").fetchall()
    assert facts["bars_sha256"] == bars.sha256
    assert facts["feature_version"] == master_version(FEATURES)
    assert sources == [("a file", "ab", 3)]
