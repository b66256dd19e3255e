"""Bars whose future says nothing: a market on which any profit is look-ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from swt_data.bars import Bars


def shuffled_bars(bars: Bars, rng: Generator) -> Bars:
    """The same minutes, spreads and shapes of bars, but in random order and mirrored at random.

    Whole bars move: their body and wicks stay together, so ranges and tails are those of the market.
    Each opens at the close before it. Order and sign are independent of everything that came before, so
    the series is a martingale: no rule on the past earns anything before costs, in expectation.
    """
    order = rng.permutation(len(bars))
    sign = rng.choice(np.array([-1, 1]), len(bars))
    body, up, down = ((column - bars.open_hp)[order] for column in (bars.close_hp, bars.high_hp, bars.low_hp))
    body, up, down = sign * body, np.where(sign > 0, up, -down), np.where(sign > 0, down, -up)
    # Mids of either parity exist; bid and ask are whole points only where mid and spread agree in it.
    body -= np.sign(body) * (body % 2)
    closes = np.cumsum(body)
    opens = closes - body
    low = int((opens + np.minimum(down, 0)).min())
    level = bars.open_hp[0] + max(0, -(low + int(bars.open_hp[0])) + int(bars.open_hp[0]) // 4)
    level -= (level - int(bars.spread_open[0])) % 2
    opens, closes = opens + level, closes + level
    return replace(
        bars,
        open_hp=opens,
        high_hp=np.maximum(opens + up, np.maximum(opens, closes)),
        low_hp=np.minimum(opens + down, np.minimum(opens, closes)),
        close_hp=closes,
        spread_open=bars.spread_open + (bars.spread_open - opens) % 2,
        spread_close=bars.spread_close + (bars.spread_close - closes) % 2,
    )
