from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from swt_core.errors import Rejected
from swt_data.bars import Bars
from swt_live.practice.candles import bucket_starts


async def test_candles_repeat_the_recorded_opens_and_closes(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    async with open_desk() as desk:
        candles = await desk.client.candles("GBP_JPY", count=300, price="BAM")
    rows = slice(open_row - 300, open_row)
    assert [c.time_s for c in candles] == bars.time_s[rows].tolist()
    point = Decimal("0.001")
    assert [c.bid.open for c in candles] == [p * point for p in bars.bid_open[rows].tolist()]
    assert [c.ask.close for c in candles] == [p * point for p in bars.ask_close[rows].tolist()]
    assert all(c.mid is not None and c.mid.low <= c.mid.open <= c.mid.high for c in candles)


async def test_the_newest_candle_turns_complete_only_with_the_next_tick(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk() as desk:
        (before,) = await desk.client.candles("GBP_JPY", count=1)
        assert before.time_s == bars.time_s[open_row - 1]
        assert not before.complete
        await desk.advance(start_s + 2.0)
        old, growing = await desk.client.candles("GBP_JPY", count=2)
        assert old.complete
        assert not growing.complete
        assert growing.bid.open == growing.bid.close == Decimal(int(bars.bid_open[open_row])) / 1000


async def test_candles_from_a_time_exclude_the_first_when_asked(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    from_s = float(bars.time_s[open_row - 5])
    async with open_desk() as desk:
        whole = await desk.client.candles("GBP_JPY", from_s=from_s)
        rest = await desk.client.candles("GBP_JPY", from_s=from_s, include_first=False)
    assert [c.time_s for c in whole] == bars.time_s[open_row - 5 : open_row].tolist()
    assert [c.time_s for c in rest] == [c.time_s for c in whole[1:]]


async def test_more_than_5000_candles_are_refused_in_the_brokers_words(open_desk: Any) -> None:
    async with open_desk() as desk:
        with pytest.raises(Rejected, match="Maximum value for 'count' exceeded") as caught:
            await desk.client.candles("GBP_JPY", from_s=0.0, to_s=5001 * 60.0)
        assert caught.value.status == 400
        with pytest.raises(Rejected):
            await desk.client.candles("GBP_JPY", count=5001)


async def test_hourly_candles_gather_their_minutes(open_desk: Any, bars: Bars, open_row: int) -> None:
    async with open_desk() as desk:
        candles = await desk.client.candles("GBP_JPY", granularity="H1", count=5, price="B")
    for candle in candles[:-1]:
        inside = (bars.time_s >= candle.time_s) & (bars.time_s < candle.time_s + 3600)
        assert candle.bid.open == Decimal(int(bars.bid_open[inside][0])) / 1000
        assert candle.bid.close == Decimal(int(bars.bid_close[inside][-1])) / 1000


def test_daily_candles_begin_at_17_new_york_in_winter_and_summer() -> None:
    winter, summer = 1_705_500_000, 1_721_000_000
    starts = bucket_starts(np.array([winter, summer]), "D")
    assert [(int(s) // 3600) % 24 for s in starts] == [22, 21]
