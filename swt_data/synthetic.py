"""Synthetic markets: four with a known best answer, one that looks like the real thing.

| market       | bar's change of the mid, pips                                     | a good agent      |
|--------------|-------------------------------------------------------------------|-------------------|
| `martingale` | N(0, 3)                                                           | stays flat        |
| `regimes`    | drift ±1 + N(0, 3); the drift turns with probability 1/60 a bar   | follows the drift |
| `faint`      | ±0.5, σ 3, 1/120                                                  | the same          |
| `fainter`    | ±0.3, σ 3, 1/180                                                  | the same          |
| `reversion`  | anchor + y, y ← 0.95 y + N(0, 3), anchor a random walk of σ 0.3   | fades extremes    |
| `realistic`  | seasons of the day, clustered volatility, fat tails, weekend gaps | unknown           |

In all but `realistic` each bar opens at the close before it, across breaks and weekends too: the
calendar spaces the bars, the price process does not notice. Mids are whole points and spreads an even
number of points, so bid and ask are whole points.

Hidden states and shocks come from separate streams of one seed, so a test can ask for the hidden state
(`hidden_state`) of the market that `synthetic_bars` makes from the same arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numba as nb
import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.errors import ConfigError
from swt_core.instruments import Instrument
from swt_data.bars import Bars, Int64, bars_from_mids

Float64 = NDArray[np.float64]
Market = Literal["realistic", "martingale", "regimes", "faint", "fainter", "reversion"]
MARKETS: tuple[str, ...] = get_args(Market)

# Sunday 2015-01-04 17:00 New York: the first week of every synthetic market opens here.
START_S = 1_420_408_800
SIGMA_PIPS = 3.0
_START_PRICE = {-2: 180.0, -4: 1.25}


@dataclass(frozen=True)
class RegimeParameters:
    """A drift of ``±drift_pips`` a bar that turns with probability ``turn_probability`` before each bar."""

    drift_pips: float
    sigma_pips: float
    turn_probability: float


REGIMES: dict[str, RegimeParameters] = {
    "regimes": RegimeParameters(1.0, SIGMA_PIPS, 1 / 60),
    "faint": RegimeParameters(0.5, SIGMA_PIPS, 1 / 120),
    "fainter": RegimeParameters(0.3, SIGMA_PIPS, 1 / 180),
}
REVERSION_DECAY = 0.95
REVERSION_ANCHOR_SIGMA_PIPS = 0.3


@dataclass(frozen=True)
class _Streams:
    """Independent generators of one seed, one for each thing that is drawn."""

    state: Generator
    shocks: Generator
    extremes: Generator
    spread: Generator
    volume: Generator


def synthetic_bars(
    market: str, days: int, seed: int, instrument: Instrument, spread_pips: float = 4.0
) -> Bars:
    """A market of ``days`` trading days (1435 one-minute bars each), reproducible from ``seed``.

    Args:
        market: one of `MARKETS`.
        spread_pips: constant round-trip spread, rounded to an even number of points. `realistic` is
            recorded with its own spread by the hour and ignores it.

    Raises:
        ConfigError: for an unknown market or fewer than one day.
    """
    _known(market)
    time_s = trading_minutes(days)
    streams = _streams(seed)
    if market == "realistic":
        # The one market with texture lives in its own file; imported late, as it builds on this one.
        from swt_data.realistic import realistic_bars

        return realistic_bars(time_s, instrument, streams.state, streams.shocks, streams.extremes)
    changes = _changes_pips(market, len(time_s), streams)
    path = np.concatenate(([0.0], np.cumsum(changes)))
    path_points = to_positive_points(path, instrument)
    mids = ohlc_points(
        path_points[:-1],
        path_points[1:],
        np.full(len(time_s), SIGMA_PIPS * instrument.points_per_pip),
        streams.extremes,
    )
    volume = 1 + streams.volume.poisson(40.0, len(time_s))
    return bars_from_mids(instrument, time_s, 2 * mids, instrument.spread_points(spread_pips), volume)


def hidden_state(market: str, days: int, seed: int) -> Float64:
    """What no agent is shown, ``[n]``, of the market that the same arguments make.

    For the regime markets the drift of each bar (close minus open) in pips; for `reversion` the
    distance y of each close from the anchor, in pips; zeros where nothing is hidden.
    """
    _known(market)
    n = len(trading_minutes(days))
    streams = _streams(seed)
    if market in REGIMES:
        return _drifts_pips(REGIMES[market], n, streams.state)
    if market == "reversion":
        return _reversion_distance_pips(n, streams.shocks)[1:]
    return np.zeros(n)


def trading_minutes(days: int) -> Int64:
    """UTC seconds of every open minute of the first ``days`` trading days from `START_S`."""
    if days < 1:
        raise ConfigError(f"a market of {days} days has no bars", remedy="ask for at least one day")
    calendar_days = days * 7 // 5 + days // 100 + 10
    minutes = START_S + calendar.MINUTE_S * np.arange(calendar_days * 1440, dtype=np.int64)
    minutes = minutes[calendar.is_open(minutes)]
    day = calendar.trading_day(minutes)
    first_of_day = np.flatnonzero(np.diff(day, prepend=-1))
    return minutes[: first_of_day[days]] if len(first_of_day) > days else minutes


def to_positive_points(path_pips: Float64, instrument: Instrument) -> Int64:
    """A path of pips from 0 as whole points at a plausible level.

    The path keeps its differences: where the usual start would let it come near zero, the whole of it
    is lifted, so a trend market of many years stays positive without bending the process.
    """
    start = _START_PRICE.get(instrument.pip_location, 100.0) / instrument.pip_size
    level = max(start, start / 4 - float(path_pips.min()))
    points: Int64 = np.rint((path_pips + level) * instrument.points_per_pip).astype(np.int64)
    return points


def ohlc_points(opens: Int64, closes: Int64, sigma_points: Float64, rng: Generator) -> Int64:
    """``[n, 4]`` open, high, low, close; high and low are extremes of Brownian bridges.

    For a bridge from o to c of variance σ², ``P(max > m) = exp(−2 (m − o)(m − c) / σ²)``, which inverts
    to ``m = (o + c + √((c − o)² − 2 σ² ln U)) / 2``; the minimum is its mirror image.
    """
    middle = (opens + closes) / 2
    body = (closes - opens).astype(np.float64)
    reach = [
        np.sqrt(body**2 + 2 * sigma_points**2 * rng.standard_exponential(len(opens))) / 2 for _ in range(2)
    ]
    # Rounding outward never falls inside the body: opens and closes are whole.
    high = np.maximum(np.rint(middle + reach[0]).astype(np.int64), np.maximum(opens, closes))
    low = np.minimum(np.rint(middle - reach[1]).astype(np.int64), np.minimum(opens, closes))
    return np.stack([opens, high, low, closes], axis=1)


def _known(market: str) -> None:
    if market not in MARKETS:
        raise ConfigError(f"unknown market {market!r}", remedy=f"use one of {', '.join(MARKETS)}")


def _streams(seed: int) -> _Streams:
    return _Streams(*(np.random.default_rng(child) for child in SeedSequence(seed).spawn(5)))


def _changes_pips(market: str, n: int, streams: _Streams) -> Float64:
    """Each bar's change of the mid, ``[n]``, pips."""
    if market == "martingale":
        return streams.shocks.normal(0.0, SIGMA_PIPS, n)
    if market == "reversion":
        anchor = streams.state.normal(0.0, REVERSION_ANCHOR_SIGMA_PIPS, n)
        return anchor + np.diff(_reversion_distance_pips(n, streams.shocks))
    regime = REGIMES[market]
    return _drifts_pips(regime, n, streams.state) + streams.shocks.normal(0.0, regime.sigma_pips, n)


def _drifts_pips(regime: RegimeParameters, n: int, rng: Generator) -> Float64:
    """The drift of each bar: a two-state Markov chain from its stationary distribution."""
    turned = rng.random(n) < regime.turn_probability
    turned[0] = rng.random() < 0.5
    drifts: Float64 = np.where(np.cumsum(turned) % 2 == 0, regime.drift_pips, -regime.drift_pips)
    return drifts


def _reversion_distance_pips(n: int, rng: Generator) -> Float64:
    """``[n + 1]`` distance y from the anchor, before the first bar and at each close."""
    shocks = rng.normal(0.0, SIGMA_PIPS, n + 1)
    shocks[0] /= np.sqrt(1 - REVERSION_DECAY**2)
    return first_order_nb(shocks, REVERSION_DECAY)


@nb.njit(cache=True)
def first_order_nb(shocks: Float64, decay: float) -> Float64:
    """``y_t = decay · y_{t−1} + shock_t``, from ``y_0 = shock_0``."""
    y = np.empty_like(shocks)
    y[0] = shocks[0]
    for t in range(1, len(shocks)):
        y[t] = decay * y[t - 1] + shocks[t]
    return y
