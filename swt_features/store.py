"""Market features precomputed into one HDF5 file, and the reader that refuses a stale one.

The file holds a single contiguous float32 dataset ``market`` ``[bars − 255, M]`` (row 0 belongs to bar
255) and, as attributes, the feature version and the hash of the bars. Contiguous means that a reader
maps it into memory: a session is one copy, and threads and processes share nothing that could lock.
Computing is nearly as fast as reading, so a store is a convenience: without one the same rows are
computed by the same processor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from numpy.typing import NDArray

from swt_core.errors import DataError
from swt_core.state import write_bytes
from swt_data.bars import Bars
from swt_features.processor import LOOKBACK, FeatureProcessor

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

DATASET: Final = "market"
FORMAT: Final = 1
BLOCK_ROWS: Final = 4096
# Blocks between two marks of progress: what a killed build loses at most.
_BLOCKS_PER_MARK: Final = 16


@dataclass(frozen=True)
class StoreInfo:
    """What a store says about itself."""

    feature_version: str
    bars_sha256: str
    instrument: str
    profile: str
    rows: int
    market_size: int


def build_store(
    path: Path,
    processor: FeatureProcessor,
    bars: Bars,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> StoreInfo:
    """Compute the market features of every bar that has a whole window, and store them at ``path``.

    Written to ``path.partial`` and renamed when complete. A killed build is taken up where it stood, if
    it was for the same bars and feature version.

    Args:
        threads: threads that compute (kernels release the interpreter's lock).
        progress: called with rows done and rows in all.

    Raises:
        DataError: there are fewer than 256 bars.
    """
    total = len(bars) - LOOKBACK + 1
    if total < 1:
        raise DataError(f"features need at least {LOOKBACK} bars, there are {len(bars)}")
    info = StoreInfo(
        processor.version,
        bars.sha256,
        bars.instrument.name,
        processor.config.profile,
        total,
        processor.market_size,
    )
    partial, mark = path.with_name(path.name + ".partial"), path.with_name(path.name + ".progress")
    path.parent.mkdir(parents=True, exist_ok=True)
    done = _resume(partial, mark, info)
    if done == 0:
        _create(partial, info)
    offset = _data_offset(partial)
    row_bytes = 4 * info.market_size

    def compute(begin: int) -> None:
        rows = np.arange(begin, min(begin + BLOCK_ROWS, total), dtype=np.int64)
        block = np.ascontiguousarray(processor.market_rows(bars, rows + LOOKBACK - 1), "<f4").tobytes()
        if os.pwrite(descriptor, block, offset + begin * row_bytes) != len(block):
            raise DataError(f"{partial}: could not be written in full", remedy="free disk space")

    step = BLOCK_ROWS * _BLOCKS_PER_MARK
    descriptor = os.open(partial, os.O_RDWR)
    try:
        with ThreadPoolExecutor(max_workers=threads) as executor:
            while done < total:
                end = min(done + step, total)
                list(executor.map(compute, range(done, end, BLOCK_ROWS)))
                os.fdatasync(descriptor)
                write_bytes(mark, str(end).encode())
                done = end
                if progress is not None:
                    progress(done, total)
    finally:
        os.close(descriptor)
    os.replace(partial, path)
    mark.unlink(missing_ok=True)
    return info


class FeatureStore:
    """A complete store that belongs to these bars and this processor.

    Threads may share one; a process inherits it by fork, or is sent it: what travels is the path, and the
    file is mapped again there.

    Raises:
        DataError: the file is unreadable, or was built from other bars or by another feature version.
    """

    def __init__(self, path: Path, processor: FeatureProcessor, bars: Bars) -> None:
        self.info = read_info(path)
        for what, stored, wanted in (
            ("feature version", self.info.feature_version, processor.version),
            ("bars", self.info.bars_sha256, bars.sha256),
        ):
            if stored != wanted:
                raise DataError(
                    f"{path}: was built for {what} {stored}, but {wanted} is in use",
                    remedy="build it again with `swt features build`, or remove it",
                )
        self.path = path.resolve()
        self._market = _mapped(self.path, self.info)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "info": self.info}

    def __setstate__(self, state: dict[str, object]) -> None:
        path, info = state["path"], state["info"]
        assert isinstance(path, Path)
        assert isinstance(info, StoreInfo)
        if read_info(path) != info:
            raise DataError(f"{path}: was replaced by another store", remedy="start again")
        self.path, self.info = path, info
        self._market = _mapped(path, info)

    def market_rows(self, rows: Int64) -> Float32:
        """The market part at bar ``rows``, ``[k, M]``; a copy."""
        at = np.asarray(rows, np.int64) - (LOOKBACK - 1)
        if len(at) and (int(at.min()) < 0 or int(at.max()) >= len(self._market)):
            raise DataError(
                f"the feature store holds rows {LOOKBACK - 1} … {len(self._market) + LOOKBACK - 2}"
            )
        if len(at) and np.array_equal(at, np.arange(at[0], at[0] + len(at))):
            return np.array(self._market[at[0] : at[0] + len(at)])
        return np.array(self._market[at])


class MarketFeatures:
    """Market rows of some bars: from the store where there is one, else computed; the same bits."""

    def __init__(self, processor: FeatureProcessor, bars: Bars, store_path: Path | None = None) -> None:
        self._processor = processor
        self._bars = bars
        present = store_path is not None and store_path.exists()
        self.store = FeatureStore(store_path, processor, bars) if store_path and present else None

    def market_rows(self, rows: Int64) -> Float32:
        """The market part at ``rows``, ``[k, M]``."""
        if self.store is not None:
            return self.store.market_rows(rows)
        return self._processor.market_rows(self._bars, rows)


def read_info(path: Path) -> StoreInfo:
    """What a store says about itself.

    Raises:
        DataError: the file is absent or is not a feature store.
    """
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            rows, size = file[DATASET].shape
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: not a readable feature store ({error})") from error
    try:
        if int(attributes["format"]) != FORMAT:
            raise DataError(f"{path}: store format {attributes['format']}, this version reads {FORMAT}")
        return StoreInfo(
            str(attributes["feature_version"]),
            str(attributes["bars_sha256"]),
            str(attributes["instrument"]),
            str(attributes["profile"]),
            int(rows),
            int(size),
        )
    except KeyError as error:
        raise DataError(f"{path}: the attribute {error} is missing") from error


@dataclass(frozen=True)
class LegacyFeatures:
    """A store of the earlier system, marked as what it is.

    Attributes:
        market: ``[n, 128]``, each stored value eight times.
        stored_values: how many values a row the file really holds.
    """

    market: Float32
    stored_values: int


def read_legacy_store(path: Path) -> LegacyFeatures:
    """A 16-value store of the earlier system, expanded to 128 columns.

    Such a file holds the mean and standard deviation of eight paths (`wst_features` ``[n, 16]``); they
    are repeated eight times, as that system did. No processor accepts them as its own features: they
    hold an eighth of the information and carry no hash of their bars.

    Raises:
        DataError: the file does not have that form.
    """
    try:
        with h5py.File(path, "r") as file:
            values = np.asarray(file["wst_features"], np.float32)
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: no dataset `wst_features` to expand ({error})") from error
    if values.ndim != 2 or values.shape[1] != 16:
        raise DataError(f"{path}: `wst_features` has shape {values.shape}, expected (n, 16)")
    return LegacyFeatures(np.tile(values, (1, 8)), values.shape[1])


def _create(partial: Path, info: StoreInfo) -> None:
    """A file of its final size, so that computing only ever overwrites bytes."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    layout.set_obj_track_times(False)  # the same features are the same file
    with h5py.File(partial, "w") as file:
        space = h5py.h5s.create_simple((info.rows, info.market_size))
        h5py.h5d.create(file.id, DATASET.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=layout)
        file.attrs.update(
            format=FORMAT,
            feature_version=info.feature_version,
            bars_sha256=info.bars_sha256,
            instrument=info.instrument,
            profile=info.profile,
            first_bar=LOOKBACK - 1,
        )


def _mapped(path: Path, info: StoreInfo) -> Float32:
    return np.memmap(path, np.dtype("<f4"), "r", _data_offset(path), (info.rows, info.market_size))


def _data_offset(path: Path) -> int:
    """Where the dataset's bytes start in the file."""
    with h5py.File(path, "r") as file:
        offset = file[DATASET].id.get_offset()
    if offset is None:
        raise DataError(f"{path}: the dataset `{DATASET}` is not contiguous")
    return int(offset)


def _resume(partial: Path, mark: Path, info: StoreInfo) -> int:
    """Rows already done by an earlier build of the same thing."""
    try:
        if read_info(partial) != info:
            return 0
        done = int(mark.read_text())
    except (DataError, OSError, ValueError):
        return 0
    return done if 0 <= done <= info.rows and (done % BLOCK_ROWS == 0 or done == info.rows) else 0
