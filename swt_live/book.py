"""The position the trader believes in: the kernel's row, fed with the broker's fills and closed bars.

The row after an entry is a pure function of the fill and of the bars that closed after it: `enter_nb` at
the fill with the opposite price at the fill, then for each bar carry, mark at its executable close, one
bar more: exactly what the environment does for a fill at the open. A corrected bar therefore recomputes
the row, and so does a restart.

Financing follows the trading days of fills and bars: what is held over 17:00 New York pays for the days
that passed, also when it is closed at the next open; an entry filled after 17:00 pays nothing for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from swt_core.calendar import MINUTE_S, trading_day
from swt_core.config import TradingConfig
from swt_core.instruments import Instrument
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
    enter_nb,
    mark_nb,
)
from swt_core.records import TradeResult

Float64 = NDArray[np.float64]


class Holding(BaseModel):
    """An open position as the journal keeps it; prices in points, units signed."""

    model_config = ConfigDict(frozen=True)

    units: int
    entry_points: float
    entry_opposite_points: float
    entry_time_s: float
    slippage_pips: float = 0.0
    origin: str = ""
    fills: int = 1  # how many made it; 0: adopted, nobody saw its fills


class BookState(BaseModel):
    """What survives a crash; the row follows from it and the journaled bars."""

    model_config = ConfigDict(frozen=True)

    holding: Holding | None = None


@dataclass(frozen=True)
class Mark:
    """A closed bar as far as a position is concerned: its executable closes."""

    time_s: int
    bid_close: int
    ask_close: int

    @cached_property
    def day(self) -> int:
        """The trading day of the bar."""
        return int(trading_day(self.time_s))


@dataclass(frozen=True)
class ClosedTrade:
    """A trade, or the part of it, that a fill closed."""

    result: TradeResult
    units: int
    fills: int = 1  # of which the position was made: with several, the average entry is not the broker's


class PositionBook:
    """The position, its row, and the marks since its entry."""

    def __init__(self, instrument: Instrument, trading: TradingConfig) -> None:
        self._points_per_pip = float(instrument.points_per_pip)
        self._carry = (trading.financing_long_pips_per_day, trading.financing_short_pips_per_day)
        self._holding: Holding | None = None
        self._marks: list[Mark] = []
        self._financed_day = 0  # the trading day up to which the row has paid financing
        self.row: Float64 = np.zeros(POSITION_FIELDS)

    @property
    def holding(self) -> Holding | None:
        return self._holding

    @property
    def units(self) -> int:
        """Signed units held; 0 when flat."""
        return 0 if self._holding is None else self._holding.units

    @property
    def side(self) -> int:
        return (self.units > 0) - (self.units < 0)

    @property
    def equity_pips(self) -> float:
        """Open profit per unit at the last mark, pips."""
        return float(self.row[EQUITY])

    @property
    def exit_points(self) -> int:
        """The executable exit price at the last mark, else at the entry; 0 when flat."""
        if self._holding is None:
            return 0
        if not self._marks:
            return round(self._holding.entry_opposite_points)
        return self._marks[-1].bid_close if self.side > 0 else self._marks[-1].ask_close

    def state(self) -> BookState:
        return BookState(holding=self._holding)

    def restore(self, state: BookState, marks: list[Mark]) -> None:
        """Take up a journaled position and the bars that have closed since its entry."""
        self._holding = state.holding
        self._marks = []
        self._rebuild()
        for mark in marks:
            self.mark(mark)

    def mark(self, mark: Mark) -> None:
        """A bar has closed. One that closed before the entry does not concern the position."""
        holding = self._holding
        if holding is None or mark.time_s + MINUTE_S <= holding.entry_time_s:
            return
        if not self._marks or mark.time_s > self._marks[-1].time_s:
            self._marks.append(mark)
            self._apply(mark)
        elif all(known.time_s != mark.time_s for known in self._marks):
            self._marks = sorted([*self._marks, mark], key=lambda known: known.time_s)
            self._rebuild()

    def correct(self, time_s: int, bid_close: int, ask_close: int) -> None:
        """The close of a bar was not what it seemed: the row is computed anew."""
        for i, known in enumerate(self._marks):
            if known.time_s == time_s and (known.bid_close, known.ask_close) != (bid_close, ask_close):
                self._marks[i] = replace(known, bid_close=bid_close, ask_close=ask_close)
                self._rebuild()

    def apply_fill(
        self,
        units: int,
        price_points: int,
        opposite_points: int,
        time_s: float,
        *,
        slippage_pips: float = 0.0,
        origin: str = "",
        forced: bool = False,
    ) -> list[ClosedTrade]:
        """Book a fill of signed ``units`` at ``price_points``; returns what it closed.

        ``opposite_points``: the other side of the quote at the fill. Fills of the same direction add up at
        their average price; one larger than the position closes it and opens the rest.
        """
        holding = self._holding
        if holding is None or (units > 0) == (holding.units > 0):
            self._open(units, price_points, opposite_points, time_s, slippage_pips, origin)
            return []
        closing = min(abs(units), abs(holding.units))
        closed = self._close_part(closing, price_points, time_s, slippage_pips, forced)
        rest = holding.units + units
        if rest == 0:
            self._clear()
        elif (rest > 0) == (holding.units > 0):
            self._holding = holding.model_copy(update={"units": rest})
        else:
            self._clear()
            self._open(rest, price_points, opposite_points, time_s, slippage_pips, origin)
        return [closed]

    def write_off(self, units: int, price_points: int, time_s: float) -> ClosedTrade | None:
        """Close what a position of signed ``units`` at the broker no longer holds, at a price guessed.

        None when nothing is gone. What is left, or has come, is `adopt`'s.
        """
        held = self.units
        kept = min(abs(units), abs(held)) if units * held > 0 else 0
        gone = abs(held) - kept
        if gone == 0:
            return None
        closed = self.apply_fill(-gone if held > 0 else gone, price_points, price_points, time_s, forced=True)
        return closed[0]

    def adopt(
        self, units: int, average_points: int, opposite_points: int, time_s: float, origin: str
    ) -> None:
        """Take the broker's position as it is, because the broker is right."""
        if units == 0:
            self._clear()
        elif self._holding is not None and (units > 0) == (self.units > 0):
            fills = self._holding.fills if units == self.units else 0
            self._holding = self._holding.model_copy(update={"units": units, "fills": fills})
        else:
            self._clear()
            self._open(units, average_points, opposite_points, time_s, 0.0, origin, fills=0)

    def _open(
        self,
        units: int,
        price: int,
        opposite: int,
        time_s: float,
        slippage_pips: float,
        origin: str,
        *,
        fills: int = 1,
    ) -> None:
        before = self._holding
        entry, total = float(price), units
        if before is not None:
            total = before.units + units
            entry = round((before.entry_points * before.units + price * units) / total)
            opposite, time_s = round(before.entry_opposite_points), before.entry_time_s
            slippage_pips, origin = before.slippage_pips, before.origin
            fills = before.fills + 1 if before.fills else 0
        self._holding = Holding(
            units=total,
            entry_points=entry,
            entry_opposite_points=opposite,
            entry_time_s=time_s,
            slippage_pips=slippage_pips,
            origin=origin,
            fills=fills,
        )
        self._rebuild()

    def _close_part(
        self, units: int, price: int, time_s: float, slippage_pips: float, forced: bool
    ) -> ClosedTrade:
        holding = self._holding
        assert holding is not None
        row = self.row.copy()
        row[CARRY] += self._financing_pips(int(trading_day(time_s)))
        mark_nb(row, float(price), self._points_per_pip)
        entry_spread = abs(holding.entry_points - holding.entry_opposite_points)
        result = TradeResult(
            side=int(row[SIDE]),
            entry_time_s=int(holding.entry_time_s),
            exit_time_s=int(time_s),
            entry_points=int(row[ENTRY_POINTS]),
            exit_points=price,
            bars=int(row[BARS]),
            pnl_pips=float(row[EQUITY]),
            mae_pips=float(-row[TROUGH]),
            mfe_pips=float(row[PEAK]),
            max_drawdown_pips=float(row[MAX_DRAWDOWN]),
            accumulated_drawdown_pips=float(row[ACCUMULATED_DRAWDOWN]),
            spread_pips=entry_spread / self._points_per_pip,
            slippage_pips=holding.slippage_pips + slippage_pips,
            forced=forced,
        )
        return ClosedTrade(result, units if holding.units > 0 else -units, holding.fills)

    def _clear(self) -> None:
        self._holding = None
        self._marks = []
        self.row = np.zeros(POSITION_FIELDS)

    def _rebuild(self) -> None:
        self.row = np.zeros(POSITION_FIELDS)
        if self._holding is None:
            return
        enter_nb(
            self.row,
            float(self.side),
            self._holding.entry_points,
            self._holding.entry_opposite_points,
            self._points_per_pip,
        )
        self._financed_day = int(trading_day(self._holding.entry_time_s))
        for mark in self._marks:
            self._apply(mark)

    def _financing_pips(self, day: int) -> float:
        """What the rollovers up to ``day`` still cost."""
        return max(0, day - self._financed_day) * self._carry[0 if self.side > 0 else 1]

    def _apply(self, mark: Mark) -> None:
        self.row[CARRY] += self._financing_pips(mark.day)
        self._financed_day = max(self._financed_day, mark.day)
        mark_nb(self.row, float(mark.bid_close if self.side > 0 else mark.ask_close), self._points_per_pip)
        self.row[BARS] += 1.0
