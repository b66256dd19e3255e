"""The broker's candles as bars: opens and closes from bid and ask, highs and lows from the mids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from swt_broker.records import Candle, CandlePrices
from swt_core import calendar
from swt_core.clock import iso_utc
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_data.bars import Bars


def candle_bars(candles: Sequence[Candle], instrument: Instrument) -> Bars:
    """Complete one-minute candles, oldest first, as bars with recorded spreads.

    Raises:
        DataError: a candle is incomplete, of another granularity, lacks mid, bid or ask, is not later than
            the one before, or has more decimals than the instrument displays.
    """
    for candle in candles:
        if not candle.complete or candle.granularity != "M1":
            raise DataError(f"the candle of {candle.time} is not a complete one-minute candle")
    time_s = np.array([candle.time_s for candle in candles], np.int64)
    if np.any(np.diff(time_s) <= 0) or np.any(time_s % calendar.MINUTE_S):
        raise DataError("the broker's candles are not whole minutes in order of time")
    mid, bid, ask = (
        _points([getattr(candle, side) for candle in candles], time_s, instrument)
        for side in ("mid", "bid", "ask")
    )
    open_hp, close_hp = bid[:, 0] + ask[:, 0], bid[:, 3] + ask[:, 3]
    # A published mid is rounded to the displayed precision: up to one point off the exact mean.
    high_hp = np.maximum(2 * mid[:, 1], np.maximum(open_hp, close_hp))
    low_hp = np.minimum(2 * mid[:, 2], np.minimum(open_hp, close_hp))
    return Bars(
        instrument=instrument,
        time_s=time_s,
        open_hp=open_hp,
        high_hp=high_hp,
        low_hp=low_hp,
        close_hp=close_hp,
        spread_open=ask[:, 0] - bid[:, 0],
        spread_close=ask[:, 3] - bid[:, 3],
        volume=np.array([candle.volume for candle in candles], np.int64),
        spread_recorded=True,
    )


def _points(
    sides: Sequence[CandlePrices | None], time_s: NDArray[np.int64], instrument: Instrument
) -> NDArray[np.int64]:
    """``[n, 4]`` open, high, low, close of one side in points."""
    rows = [(side.open, side.high, side.low, side.close) for side in sides if side is not None]
    if len(rows) < len(sides):
        raise DataError("a candle without mid, bid or ask", remedy="the broker was asked for all three")
    scaled = np.array(rows, np.float64).reshape(-1, 4) * 10**instrument.display_precision
    points: NDArray[np.int64] = np.rint(scaled).astype(np.int64)
    odd = np.flatnonzero(np.any(np.abs(scaled - points) > 1e-3, axis=1))
    if len(odd):
        raise DataError(
            f"the candle of {iso_utc(int(time_s[odd[0]]))} has more than {instrument.display_precision} "
            f"decimals: {instrument.name} is counted in other points at the broker",
            remedy="update the instrument's metadata",
        )
    return points
