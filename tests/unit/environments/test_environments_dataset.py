"""A dataset reads precomputed features where a store is named, and never those of other bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swt_core.config import SWTConfig
from swt_core.errors import DataError
from swt_environments.dataset import load_dataset
from swt_features.store import build_store

ROWS = np.arange(5000, 5360)


def config(**data: object) -> SWTConfig:
    return SWTConfig.model_validate({"data": {"market_days": 30, **data}})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "features.h5"
    dataset = load_dataset(config())
    build_store(path, dataset.market.processor, dataset.bars)
    return path


def test_stored_features_are_read_and_are_the_computed_ones(store: Path) -> None:
    computed = load_dataset(config()).market
    stored = load_dataset(config(features_file=str(store))).market
    assert np.array_equal(stored.market_rows(ROWS), computed.market_rows(ROWS))

    def refuse(*_: object) -> None:
        raise AssertionError("computed although there is a store")

    stored.processor.market_rows = refuse  # type: ignore[method-assign, assignment]
    assert np.array_equal(stored.market_rows(ROWS), computed.market_rows(ROWS))


def test_a_store_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    market = load_dataset(config(features_file=str(tmp_path / "absent.h5"))).market
    assert np.array_equal(market.market_rows(ROWS), load_dataset(config()).market.market_rows(ROWS))


def test_a_store_of_other_bars_is_refused_naming_both(store: Path) -> None:
    with pytest.raises(DataError, match="was built for bars"):
        load_dataset(config(features_file=str(store), market_seed=2))
