"""The replayed market: where in the recording we are, the quote that holds, and whether it trades."""

from __future__ import annotations

from collections import deque

import numpy as np

from swt_core.calendar import is_open
from swt_data.bars import Bars
from swt_live.practice.ticks import Tick, TickTiming, bar_ticks


class ReplayMarket:
    """Replays ``bars`` tick by tick from ``start_s``; bars that closed before are history.

    Args:
        halt_gap_s: while the calendar is closed, the market counts as halted when the next tick is more
            than this away. 0: closed is halted. 600 lets an order of the daily break wait for the next
            open, as the environment does.
        completion_delay_s: a candle turns complete at the first tick after it, or this long after its end.

    Attributes:
        now_s: market time. tick: the last quote; row_ticks: the ticks of the current bar so far.
    """

    def __init__(
        self,
        bars: Bars,
        start_s: float,
        timing: TickTiming,
        *,
        halt_gap_s: float = 0.0,
        completion_delay_s: float = 45.0,
    ) -> None:
        if not len(bars):
            raise ValueError("a market needs at least one bar")
        self.bars = bars
        self.now_s = start_s
        self.timing = timing
        self.halt_gap_s = halt_gap_s
        self.completion_delay_s = completion_delay_s
        self.forced_halt_until_s = float("-inf")
        first = int(np.searchsorted(bars.time_s, start_s))
        self._next_row = first
        self.row_ticks: list[Tick] = bar_ticks(bars, first - 1, timing) if first else []
        self.tick: Tick | None = self.row_ticks[-1] if first else None
        self._pending: deque[Tick] = deque()
        self._refill()

    @property
    def ended(self) -> bool:
        """Whether the recording has no further tick."""
        return not self._pending

    @property
    def next_tick_s(self) -> float | None:
        """When the next tick comes; None after the last."""
        return self._pending[0].time_s if self._pending else None

    @property
    def halted(self) -> bool:
        """Whether orders are refused now."""
        if self.tick is None or self.now_s < self.forced_halt_until_s:
            return True
        if self.ended:
            return True
        next_s = self.next_tick_s
        assert next_s is not None
        return not bool(is_open(int(self.now_s))) and next_s - self.now_s > self.halt_gap_s

    def pop_tick(self) -> Tick:
        """Move on to the next tick: time, quote and the bar under construction."""
        tick = self._pending.popleft()
        if self.row_ticks and self.row_ticks[-1].row == tick.row:
            self.row_ticks.append(tick)
        else:
            self.row_ticks = [tick]
        self.tick = tick
        self.now_s = max(self.now_s, tick.time_s)
        if not self._pending:
            self._refill()
        return tick

    def move_to(self, time_s: float) -> None:
        """Let time pass without a tick."""
        self.now_s = max(self.now_s, time_s)

    @property
    def whole_rows(self) -> int:
        """Bars of which every tick has come: rows below this are final."""
        if not self.row_ticks:
            return 0
        row = self.row_ticks[0].row
        growing = self._pending and self._pending[0].row == row
        return row if growing else row + 1

    def is_complete(self, row: int) -> bool:
        """What the candle of a whole row says about itself: complete comes late, as the broker's does."""
        last_row = self.row_ticks[0].row if self.row_ticks else -1
        end_s = float(self.bars.time_s[row]) + 60.0
        return row < last_row or self.now_s >= end_s + self.completion_delay_s

    def _refill(self) -> None:
        if self._next_row < len(self.bars):
            self._pending.extend(bar_ticks(self.bars, self._next_row, self.timing))
            self._next_row += 1
