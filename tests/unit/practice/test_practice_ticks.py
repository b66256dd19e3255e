from __future__ import annotations

import numpy as np

from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_live.practice.market import ReplayMarket
from swt_live.practice.ticks import TickTiming, bar_ticks


def test_bars_built_from_ticks_have_the_recorded_open_and_close_and_mid_range(bars: Bars) -> None:
    timing = TickTiming()
    for row in range(2000):
        ticks = bar_ticks(bars, row, timing)
        assert (ticks[0].bid, ticks[0].ask) == (bars.bid_open[row], bars.ask_open[row])
        assert (ticks[-1].bid, ticks[-1].ask) == (bars.bid_close[row], bars.ask_close[row])
        mids = [tick.bid + tick.ask for tick in ticks]
        assert max(mids) == bars.high_hp[row]
        assert min(mids) == bars.low_hp[row]


def test_ticks_stay_in_their_minute_and_below_four_a_second(bars: Bars) -> None:
    for row in range(500):
        times = np.array([tick.time_s for tick in bar_ticks(bars, row, TickTiming())])
        assert times[0] > bars.time_s[row]
        assert times[-1] < bars.time_s[row] + 60
        assert np.all(np.diff(times) >= 0.25)


def test_a_flat_bar_is_one_tick() -> None:
    pair = instrument("GBP_JPY")
    one = np.array([200_000], np.int64)
    flat = Bars(pair, np.array([60], np.int64), *(one * 2 for _ in range(4)), one * 4, one * 4, one)
    assert len(bar_ticks(flat, 0, TickTiming())) == 1


def test_the_market_knows_only_bars_it_has_replayed(bars: Bars, open_row: int) -> None:
    market = ReplayMarket(bars, float(bars.time_s[open_row]), TickTiming())
    assert market.whole_rows == open_row
    market.pop_tick()
    assert market.whole_rows <= open_row + 1
    while market.next_tick_s is not None and market.next_tick_s < bars.time_s[open_row + 1]:
        market.pop_tick()
    assert market.whole_rows == open_row + 1


def test_a_market_whose_recording_has_ended_is_halted(bars: Bars) -> None:
    market = ReplayMarket(bars.rows(slice(0, 3)), float(bars.time_s[0]), TickTiming())
    while not market.ended:
        market.pop_tick()
    assert market.halted
    assert market.next_tick_s is None
