"""Typed records that cross package boundaries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from swt_core.position import (
    ACCUMULATED_DRAWDOWN,
    BARS,
    CARRY,
    ENTRY_POINTS,
    EQUITY,
    MAX_DRAWDOWN,
    PEAK,
    POSITION_FIELDS,
    SIDE,
    TROUGH,
)


@dataclass(frozen=True)
class PositionState:
    """One position, named; `to_row` and `from_row` go to and from the kernel's row."""

    side: int = 0
    entry_points: int = 0
    bars_since_entry: int = 0
    equity_pips: float = 0.0
    peak_pips: float = 0.0
    trough_pips: float = 0.0
    max_drawdown_pips: float = 0.0
    accumulated_drawdown_pips: float = 0.0
    carry_pips: float = 0.0

    @classmethod
    def from_row(cls, row: NDArray[np.float64]) -> PositionState:
        return cls(
            side=int(row[SIDE]),
            entry_points=int(row[ENTRY_POINTS]),
            bars_since_entry=int(row[BARS]),
            equity_pips=float(row[EQUITY]),
            peak_pips=float(row[PEAK]),
            trough_pips=float(row[TROUGH]),
            max_drawdown_pips=float(row[MAX_DRAWDOWN]),
            accumulated_drawdown_pips=float(row[ACCUMULATED_DRAWDOWN]),
            carry_pips=float(row[CARRY]),
        )

    def to_row(self) -> NDArray[np.float64]:
        row = np.zeros(POSITION_FIELDS)
        row[SIDE] = self.side
        row[ENTRY_POINTS] = self.entry_points
        row[BARS] = self.bars_since_entry
        row[EQUITY] = self.equity_pips
        row[PEAK] = self.peak_pips
        row[TROUGH] = self.trough_pips
        row[MAX_DRAWDOWN] = self.max_drawdown_pips
        row[ACCUMULATED_DRAWDOWN] = self.accumulated_drawdown_pips
        row[CARRY] = self.carry_pips
        return row


@dataclass(frozen=True)
class MarketState:
    """What is known of the market at a decision: the last closed bar and its executable prices."""

    bar_time_s: int
    bid_close_points: int
    ask_close_points: int
    spread_pips: float
    may_enter: bool
    must_be_flat: bool


@dataclass(frozen=True)
class TradingDecision:
    """One decision of the inference engine, with what search saw."""

    action: int
    confidence: float
    root_value: float
    visit_counts: tuple[int, ...]
    prior: tuple[float, ...]
    q_values: tuple[float, ...]
    searched_action: int
    model_hash: str
    latency_ms: float = 0.0
    max_depth: int = 0
    diagnostics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TradeResult:
    """One closed trade after all costs. Statistics are computed from these, never from rewards."""

    side: int
    entry_time_s: int
    exit_time_s: int
    entry_points: int
    exit_points: int
    bars: int
    pnl_pips: float
    mae_pips: float
    mfe_pips: float
    max_drawdown_pips: float
    accumulated_drawdown_pips: float
    spread_pips: float = 0.0
    slippage_pips: float = 0.0
    forced: bool = False
