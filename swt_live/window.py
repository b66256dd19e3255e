"""The live window of bars: journal, queue and position see each closed bar once, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swt_core.calendar import DAY_S, MINUTE_S
from swt_core.instruments import Instrument
from swt_data.bars import Bars
from swt_data.queue import Bar, BarQueue
from swt_live.book import BookState, Mark, PositionBook
from swt_live.journal import Journal
from swt_live.journal_records import BarRecord

# How far back candles are asked for when the journal knows nothing: a weekend and two days.
BACKFILL_S = 4 * DAY_S


@dataclass
class Corrections:
    """How often candles said otherwise than the stream."""

    compared: int = 0
    bars_differ: int = 0
    closes_differ: int = 0
    missing: int = 0


class LiveWindow:
    """Bars as they close, and as they are corrected."""

    def __init__(
        self,
        instrument: Instrument,
        journal: Journal,
        book: PositionBook,
        *,
        lookback: int,
        stale_after_s: float,
    ) -> None:
        self._instrument = instrument
        self._journal = journal
        self._book = book
        self._lookback = lookback
        self._queue = BarQueue(instrument, lookback, stale_after_s)
        self._recent: dict[int, BarRecord] = {}
        self._last_s = 0
        self.corrections = Corrections()

    @property
    def last_bar_s(self) -> int:
        """Open of the newest bar; 0 when there is none."""
        return self._last_s

    def restore(self, state: BookState | None, now_s: float) -> int:
        """Take up journaled bars and position; returns from when on bars are wanted."""
        start_s = int(now_s - BACKFILL_S) // MINUTE_S * MINUTE_S
        holding = None if state is None else state.holding
        entry_s = None if holding is None else int(holding.entry_time_s) // MINUTE_S * MINUTE_S
        known = self._journal.bars(start_s if entry_s is None else min(start_s, entry_s - DAY_S))
        for bar in known:
            self._push(bar)
        if state is not None:
            self._book.restore(state, [bar_mark(bar) for bar in known])
        if known:
            return known[-1].time_s + MINUTE_S
        return start_s if entry_s is None else min(start_s, entry_s)

    def append(self, bars: Iterable[BarRecord]) -> None:
        """Bars that have closed, oldest first; older than the newest known are ignored."""
        with self._journal.transaction():
            for bar in bars:
                if bar.time_s <= self._last_s:
                    continue
                self._journal.record_bar(bar)
                self._push(bar)
                self._book.mark(bar_mark(bar))

    def compare(self, candle: BarRecord) -> bool:
        """Let a candle correct a bar, or add one the stream did not bring; True when a close changed."""
        known = self._recent.get(candle.time_s)
        if known is None and not next(iter(self._recent), candle.time_s) < candle.time_s < self._last_s:
            return False
        self.corrections.compared += 1
        if known is not None and _prices(known) == _prices(candle):
            return False
        self._queue.correct(queue_bar(candle))
        with self._journal.transaction():
            self._journal.record_bar(candle)
            self._recent[candle.time_s] = candle
            if known is None:
                self.corrections.missing += 1
                self._recent = dict(sorted(self._recent.items()))
                self._book.mark(bar_mark(candle))
                return True
            self.corrections.bars_differ += 1
            closes_differ = executable_closes(known) != executable_closes(candle)
            self.corrections.closes_differ += closes_differ
            self._book.correct(candle.time_s, *executable_closes(candle))
        return closes_differ

    def not_ready(self, now_s: float) -> str | None:
        """Why no decision may rest on the window; None when one may."""
        readiness = self._queue.ready(now_s)
        return None if readiness else readiness.reason

    def bars(self) -> Bars:
        """The window, oldest first."""
        return self._queue.as_bars()

    def mean_spread_pips(self, count: int) -> float | None:
        """Mean closing spread of the last ``count`` bars, pips; None before the first."""
        spreads = [bar.spread_close for bar in list(self._recent.values())[-count:]]
        return sum(spreads) / len(spreads) / self._instrument.points_per_pip if spreads else None

    def _push(self, bar: BarRecord) -> None:
        self._queue.append(queue_bar(bar))
        self._last_s = bar.time_s
        self._recent[bar.time_s] = bar
        while len(self._recent) > self._lookback:
            del self._recent[next(iter(self._recent))]


def queue_bar(bar: BarRecord) -> Bar:
    """A journaled bar as the queue's."""
    return Bar(
        bar.time_s,
        bar.open_hp,
        bar.high_hp,
        bar.low_hp,
        bar.close_hp,
        bar.spread_open,
        bar.spread_close,
        bar.volume,
    )


def executable_closes(bar: BarRecord) -> tuple[int, int]:
    """Bid and ask at the bar's close, points."""
    return (bar.close_hp - bar.spread_close) // 2, (bar.close_hp + bar.spread_close) // 2


def bar_mark(bar: BarRecord) -> Mark:
    """The bar as far as a position is concerned."""
    return Mark(bar.time_s, *executable_closes(bar))


def _prices(bar: BarRecord) -> tuple[int, ...]:
    return (bar.open_hp, bar.high_hp, bar.low_hp, bar.close_hp, bar.spread_open, bar.spread_close)
