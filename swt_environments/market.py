"""A market one can trade in: bars, what the agent sees of them, and what the rules permit."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import trading_day
from swt_core.config import TradingConfig
from swt_core.trading_rules import EntryRules, entry_allowed, must_be_flat
from swt_data.bars import Bars
from swt_features.processor import FeatureProcessor
from swt_features.store import MarketFeatures

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


def entry_rules(trading: TradingConfig) -> EntryRules:
    """The entry rules that a configuration states."""
    return EntryRules(
        max_entry_spread_pips=trading.max_entry_spread_pips,
        no_entry_minutes_before_week_close=trading.no_entry_minutes_before_week_close,
        flat_minutes_before_week_close=trading.flat_minutes_before_week_close,
    )


class Market:
    """Bars with features, rules and costs; read-only, shared by every simulation on it.

    Args:
        features: where the market part of an observation comes from; None: computed when needed.
    """

    def __init__(
        self,
        bars: Bars,
        processor: FeatureProcessor,
        trading: TradingConfig,
        features: MarketFeatures | None = None,
    ) -> None:
        self._features = features or MarketFeatures(processor, bars)
        self.bars = bars
        self.processor = processor
        self.trading = trading
        self.points_per_pip = float(bars.instrument.points_per_pip)
        self.slippage_points = round(trading.slippage_pips * bars.instrument.points_per_pip)

    @cached_property
    def may_enter(self) -> Bool:
        """``[n]`` whether a decision at the close of each bar may open a position."""
        return entry_allowed(self.bars.time_s, self.bars.spread_close_pips, entry_rules(self.trading))

    @cached_property
    def flat_required(self) -> Bool:
        """``[n]`` whether an open position has to be closed at each bar."""
        return must_be_flat(self.bars.time_s, entry_rules(self.trading))

    @cached_property
    def carry_pips(self) -> Float64:
        """``[n, 2]`` financing booked when a long or short position is held into each bar, pips."""
        days = np.diff(trading_day(self.bars.time_s), prepend=trading_day(self.bars.time_s[:1]))
        rates = [self.trading.financing_long_pips_per_day, self.trading.financing_short_pips_per_day]
        return days[:, None] * np.array(rates)

    @cached_property
    def fill_bid(self) -> Int64:
        """``[n]`` where a sale fills at each bar's open, points, slippage included."""
        return self.bars.bid_open - self.slippage_points

    @cached_property
    def fill_ask(self) -> Int64:
        """``[n]`` where a purchase fills at each bar's open, points, slippage included."""
        return self.bars.ask_open + self.slippage_points

    def market_rows(self, rows: Int64) -> Float32:
        """``[k, M]`` the market part of the observation at each row."""
        return self._features.market_rows(rows)
