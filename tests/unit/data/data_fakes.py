"""A broker that answers from recorded bars."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from swt_broker.records import Candle, CandlePrices
from swt_data.bars import Bars


class Broker:
    """Candles of recorded bars up to ``now_row``, which is still growing unless ``newest_complete``."""

    def __init__(self, bars: Bars, now_row: int | None = None, newest_complete: bool = True) -> None:
        self.bars = bars
        self.now_row = len(bars) - 1 if now_row is None else now_row
        self.newest_complete = newest_complete
        self.requests: list[tuple[float, float]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.in_flight = self.most_in_flight = 0

    async def candles(
        self,
        instrument: str,
        *,
        granularity: str = "M1",
        count: int | None = None,
        from_s: float | None = None,
        to_s: float | None = None,
        price: str = "BA",
        include_first: bool = True,
    ) -> tuple[Candle, ...]:
        assert (instrument, granularity, price) == ("GBP_JPY", "M1", "MBA")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self.before_answer()
            if count is not None:
                return (self._candle(self.now_row),)
            assert from_s is not None
            assert to_s is not None
            self.requests.append((from_s, to_s))
            low, high = np.searchsorted(self.bars.time_s, [from_s, to_s])
            return tuple(self._candle(row) for row in range(int(low), min(int(high), self.now_row + 1)))
        finally:
            self.in_flight -= 1

    def _candle(self, row: int) -> Candle:
        bars = self.bars

        def prices(*points: int) -> CandlePrices:
            return CandlePrices(*(Decimal(int(p)) / 1000 for p in points))

        bid = (bars.bid_open[row], bars.bid_open[row] + 1, bars.bid_open[row] - 1, bars.bid_close[row])
        ask = (bars.ask_open[row], bars.ask_open[row] + 1, bars.ask_open[row] - 1, bars.ask_close[row])
        mid = (bars.open_hp[row] // 2, bars.high_hp[row] // 2, bars.low_hp[row] // 2, bars.close_hp[row] // 2)
        return Candle(
            instrument="GBP_JPY",
            granularity="M1",
            time_s=int(bars.time_s[row]),
            time=str(bars.time_s[row]),
            complete=row < self.now_row or self.newest_complete,
            volume=int(bars.volume[row]),
            mid=prices(*mid),
            bid=prices(*bid),
            ask=prices(*ask),
            raw={},
        )
