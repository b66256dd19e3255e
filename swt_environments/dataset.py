"""From configuration to a market one can trade in: bars, quality, sessions, splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swt_core.config import DataConfig, SWTConfig
from swt_core.instruments import Instrument, instrument
from swt_data.bars import Bars
from swt_data.files import read_bars
from swt_data.quality import QualityReport, check_quality
from swt_data.sessions import SessionIndex, Splits, build_session_index, split_at, split_index
from swt_data.spreads import constant_spread, hourly_spread
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_features.processor import FeatureProcessor
from swt_features.store import MarketFeatures


@dataclass(frozen=True)
class Dataset:
    """Everything that training and validation read of the market."""

    bars: Bars
    source: str
    synthetic: bool
    quality: QualityReport
    index: SessionIndex
    splits: Splits
    market: Market


def load_bars(data: DataConfig, last_bar_s: int | None = None) -> tuple[Bars, str, bool]:
    """The configured bars, the name of their source and whether they are synthetic.

    Args:
        last_bar_s: leave out what begins after it; None: all bars there are.

    Raises:
        DataError: the file or store cannot be read.
        ConfigError: the instrument or its spreads are unknown.
    """
    pair = instrument(data.instrument)
    if data.bars_file is None:
        bars = synthetic_bars(data.market, data.market_days, data.market_seed, pair, data.spread_pips)
        source, synthetic = f"synthetic:{data.market}:{data.market_days}d:seed{data.market_seed}", True
    else:
        path = Path(data.bars_file)
        read = _read_store if path.is_dir() else read_bars
        bars, source, synthetic = read(path, pair, data.spread_pips), path.name, False
    if last_bar_s is not None:  # before spreads are made of them
        bars = bars.rows(slice(0, int(np.searchsorted(bars.time_s, last_bar_s, side="right"))))
    if data.spread_source == "constant":
        bars = constant_spread(bars, data.spread_pips)
    elif data.spread_source == "hourly":
        bars = hourly_spread(bars)
    return bars, source, synthetic


def _read_store(path: Path, pair: Instrument, spread_pips: float) -> Bars:
    """Bars of a store: ``path`` is its directory, or that of the pair in it."""
    inside = path.name == pair.name and (path / "current.json").exists()
    return BarStore(path.parent if inside else path, pair).read(spread_pips)


def index_and_split(
    data: DataConfig, bars: Bars, boundaries_s: tuple[int, int] | None = None
) -> tuple[QualityReport, SessionIndex, Splits]:
    """Check, index and split bars; ``boundaries_s`` as in `load_dataset`.

    Raises:
        DataError: the quality report refuses them, or a split is empty.
    """
    quality = check_quality(bars)
    quality.require_accepted()
    index = build_session_index(
        bars, quality, data.session_bars, maximum_gap_minutes=data.maximum_gap_minutes
    )
    if boundaries_s is None:
        splits = split_index(index, bars, data.train_share, data.validation_share, data.purge_bars)
    else:
        splits = split_at(index, bars, boundaries_s, data.purge_bars)
    return quality, index, splits


def load_dataset(
    config: SWTConfig, boundaries_s: tuple[int, int] | None = None, last_bar_s: int | None = None
) -> Dataset:
    """Load, check, index and split the configured bars.

    Args:
        boundaries_s: where validation and test begin, frozen by an earlier start of the same run; by
            default the configured shares decide.
        last_bar_s: the last bar that start saw: a store may have grown since, and the run's bars do not.

    Raises:
        DataError: the bars cannot be read, or the quality report refuses them, or a split is empty, or the
            feature store belongs to other bars or another feature version.
    """
    data = config.data
    bars, source, synthetic = load_bars(data, last_bar_s)
    quality, index, splits = index_and_split(data, bars, boundaries_s)
    processor = FeatureProcessor(config.features, bars.instrument)
    stored = None if data.features_file is None else Path(data.features_file)
    features = MarketFeatures(processor, bars, stored)
    market = Market(bars, processor, config.trading, features)
    return Dataset(bars, source, synthetic, quality, index, splits, market)
