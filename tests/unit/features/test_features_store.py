"""The feature store: the same bits as computing, resumable, and never for other bars."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from features_fakes import bars_of, random_walk

from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_features import store
from swt_features.processor import FeatureProcessor
from swt_features.store import FeatureStore, MarketFeatures, build_store, read_info, read_legacy_store

PROCESSOR = FeatureProcessor(FeaturesConfig(), instrument("GBP_JPY"))
BARS = bars_of(random_walk(1200))
ROWS = np.arange(255, 1200)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BLOCK_ROWS", 100)
    monkeypatch.setattr(store, "_BLOCKS_PER_MARK", 2)


def test_stored_rows_are_the_computed_ones(tmp_path: Path, small_blocks: None) -> None:
    path = tmp_path / "wst" / "features.h5"
    seen: list[tuple[int, int]] = []
    info = build_store(path, PROCESSOR, BARS, threads=2, progress=lambda *at: seen.append(at))
    assert info == read_info(path)
    assert seen[-1] == (945, 945)
    assert sorted(item.name for item in path.parent.iterdir()) == ["features.h5"]
    stored = FeatureStore(path, PROCESSOR, BARS)
    computed = PROCESSOR.market_rows(BARS, ROWS)
    assert np.array_equal(stored.market_rows(ROWS), computed)
    some = np.array([900, 255, 1199, 255])
    assert np.array_equal(stored.market_rows(some), computed[some - 255])


def test_any_hdf5_reader_finds_the_values(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    build_store(path, PROCESSOR, BARS)
    with h5py.File(path, "r") as file:
        assert np.array_equal(file["market"][:10], PROCESSOR.market_rows(BARS, ROWS[:10]))
        assert file.attrs["feature_version"] == PROCESSOR.version
        assert file.attrs["bars_sha256"] == BARS.sha256


def test_the_same_features_are_the_same_file_at_any_time(tmp_path: Path) -> None:
    """A file that notes when it was made would be another one a second later."""
    path = tmp_path / "features.h5"
    build_store(path, PROCESSOR, BARS)
    with h5py.File(path, "r") as file:
        made = h5py.h5o.get_info(file[store.DATASET].id)
    assert (made.mtime, made.ctime) == (0, 0)


def test_a_killed_build_goes_on_where_it_stood(tmp_path: Path, small_blocks: None) -> None:
    path = tmp_path / "features.h5"

    class Killed(Exception):
        pass

    def kill_in_the_middle(done: int, total: int) -> None:
        if done >= 400:
            raise Killed

    with pytest.raises(Killed):
        build_store(path, PROCESSOR, BARS, progress=kill_in_the_middle)
    assert not path.exists()
    seen: list[int] = []
    build_store(path, PROCESSOR, BARS, progress=lambda done, total: seen.append(done))
    assert seen[0] == 600
    stored = FeatureStore(path, PROCESSOR, BARS)
    assert np.array_equal(stored.market_rows(ROWS), PROCESSOR.market_rows(BARS, ROWS))


def test_a_build_killed_for_other_bars_starts_afresh(tmp_path: Path, small_blocks: None) -> None:
    path = tmp_path / "features.h5"

    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(path, PROCESSOR, bars_of(random_walk(1200, seed=8)), progress=kill)
    build_store(path, PROCESSOR, BARS)
    stored = FeatureStore(path, PROCESSOR, BARS)
    assert np.array_equal(stored.market_rows(ROWS), PROCESSOR.market_rows(BARS, ROWS))


def test_a_store_of_other_bars_or_another_version_is_refused_naming_both(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    build_store(path, PROCESSOR, BARS)
    other_bars = bars_of(random_walk(1200, seed=8))
    with pytest.raises(DataError) as refusal:
        FeatureStore(path, PROCESSOR, other_bars)
    assert BARS.sha256 in str(refusal.value)
    assert other_bars.sha256 in str(refusal.value)
    other = FeatureProcessor(FeaturesConfig(anchor_scale_pips=20.0), instrument("GBP_JPY"))
    with pytest.raises(DataError) as refusal:
        FeatureStore(path, other, BARS)
    assert PROCESSOR.version in str(refusal.value)
    assert other.version in str(refusal.value)


def test_without_a_store_rows_are_computed(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    computed = MarketFeatures(PROCESSOR, BARS, path)
    assert computed.store is None
    build_store(path, PROCESSOR, BARS)
    stored = MarketFeatures(PROCESSOR, BARS, path)
    assert stored.store is not None
    assert np.array_equal(stored.market_rows(ROWS), computed.market_rows(ROWS))


def test_a_broken_file_is_an_error_not_a_fallback(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(DataError, match="not a readable feature store"):
        MarketFeatures(PROCESSOR, BARS, path)


def test_many_threads_may_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    build_store(path, PROCESSOR, BARS)
    stored = FeatureStore(path, PROCESSOR, BARS)
    computed = PROCESSOR.market_rows(BARS, ROWS)
    with ThreadPoolExecutor(4) as threads:
        for begin, rows in enumerate(
            threads.map(lambda b: stored.market_rows(ROWS[b : b + 360]), range(200))
        ):
            assert np.array_equal(rows, computed[begin : begin + 360])


def read_sessions(stored: FeatureStore, begin: int) -> bytes:
    return b"".join(stored.market_rows(ROWS[at : at + 360]).tobytes() for at in range(begin, begin + 50))


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_many_processes_may_read_at_once_and_are_sent_a_path_not_the_data(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "features.h5"
    build_store(path, PROCESSOR, BARS)
    stored = FeatureStore(path, PROCESSOR, BARS)
    assert len(pickle.dumps(stored)) < 2000
    with ProcessPoolExecutor(2, multiprocessing.get_context(kind)) as processes:
        for begin, rows in enumerate(processes.map(read_sessions, [stored] * 4, range(4))):
            assert rows == read_sessions(stored, begin)
    build_store(path, PROCESSOR, bars_of(random_walk(1200, seed=8)))
    with pytest.raises(DataError, match="replaced by another store"):
        pickle.loads(pickle.dumps(stored))


def test_rows_outside_the_store_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    build_store(path, PROCESSOR, BARS)
    stored = FeatureStore(path, PROCESSOR, BARS)
    for row in (254, 1200):
        with pytest.raises(DataError, match="holds rows 255 … 1199"):
            stored.market_rows(np.array([row]))


def test_too_few_bars_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 256 bars"):
        build_store(tmp_path / "features.h5", PROCESSOR, bars_of(random_walk(255)))


def test_a_sixteen_value_store_expands_to_128_columns_and_is_marked_as_such(tmp_path: Path) -> None:
    path = tmp_path / "legacy.h5"
    values = np.arange(32, dtype=np.float32).reshape(2, 16)
    with h5py.File(path, "w") as file:
        file["wst_features"] = values
    legacy = read_legacy_store(path)
    assert legacy.stored_values == 16
    expanded = legacy.market
    assert expanded.shape == (2, 128)
    assert np.array_equal(expanded.reshape(2, 8, 16), np.repeat(values[:, None], 8, axis=1))
    with pytest.raises(DataError, match="not a readable feature store"):
        FeatureStore(path, PROCESSOR, BARS)
