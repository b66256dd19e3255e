"""Rule-based traders: the known answers of the synthetic markets and the baselines of a verdict.

Each is a set of signals per bar that reads no later bar; `SignalRule.actions` turns them into legal
actions, one step to leave and one to enter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import BUY, CLOSE, HOLD, SELL, SIDE
from swt_data.bars import Bars
from swt_environments.simulation import BatchSimulation

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class SignalRule:
    """Signals at each bar, all ``[n]``: when to enter and when to leave."""

    enter_long: Bool
    enter_short: Bool
    exit_long: Bool
    exit_short: Bool

    def actions(self, simulation: BatchSimulation) -> Int64:
        """``[B]`` the rule's action in each episode now, legal in every case."""
        rows, side, masks = simulation.rows, simulation.positions[:, SIDE], simulation.masks()
        wanted = np.full(len(rows), HOLD, np.int64)
        wanted[(side == 0) & self.enter_short[rows]] = SELL
        wanted[(side == 0) & self.enter_long[rows]] = BUY
        wanted[((side > 0) & self.exit_long[rows]) | ((side < 0) & self.exit_short[rows])] = CLOSE
        legal = masks[np.arange(len(rows)), wanted]
        fallback = np.where(masks[:, HOLD], HOLD, CLOSE)
        return np.where(legal, wanted, fallback)


@nb.njit(cache=True)
def _regime_probability_nb(changes_pips: Float64, drift: float, sigma: float, switch: float) -> Float64:
    probability = np.empty(len(changes_pips))
    up = 0.5
    for t in range(len(changes_pips)):
        prior = up * (1.0 - switch) + (1.0 - up) * switch
        odds = np.exp(2.0 * drift * changes_pips[t] / (sigma * sigma))
        up = prior * odds / (prior * odds + 1.0 - prior)
        probability[t] = up
    return probability


def regime_filter(
    bars: Bars, *, drift_pips: float, sigma_pips: float, switch_probability: float, threshold: float = 0.7
) -> SignalRule:
    """The Bayes filter of a two-regime market: enter beyond ``threshold``, leave when it passes it the
    other way.

    It knows the market's parameters, which no agent does; reading only past bars, it is the honest
    yardstick of the `regimes` markets.
    """
    changes = np.diff(bars.close_hp, prepend=bars.close_hp[:1]) / bars.instrument.half_points_per_pip
    up = _regime_probability_nb(changes, drift_pips, sigma_pips, switch_probability)
    long, short = up > threshold, up < 1.0 - threshold
    return SignalRule(enter_long=long, enter_short=short, exit_long=short, exit_short=long)


def fade_rule(bars: Bars, *, window_bars: int, enter_pips: float, exit_pips: float) -> SignalRule:
    """Trades against the distance from a moving average; the yardstick of the `reversion` market.

    Enters beyond ``enter_pips`` from the mean of the last ``window_bars`` closes, leaves once the distance
    has fallen to ``exit_pips`` (negative: beyond the mean).
    """
    closes = bars.close_hp / bars.instrument.half_points_per_pip
    total = np.concatenate([[0.0], np.cumsum(closes - closes[0])])
    ends = np.arange(1, len(closes) + 1)
    starts = np.maximum(ends - window_bars, 0)
    distance = closes - closes[0] - (total[ends] - total[starts]) / (ends - starts)
    return SignalRule(
        enter_long=distance < -enter_pips,
        enter_short=distance > enter_pips,
        exit_long=distance > -exit_pips,
        exit_short=distance < exit_pips,
    )


def momentum_rule(bars: Bars, *, lookback_bars: int, threshold_pips: float) -> SignalRule:
    """Goes with the last ``lookback_bars`` bars' move beyond a threshold, leaves when it reverses."""
    closes = bars.close_hp / bars.instrument.half_points_per_pip
    move = closes - np.concatenate([np.full(lookback_bars, closes[0]), closes[:-lookback_bars]])
    return SignalRule(
        enter_long=move > threshold_pips,
        enter_short=move < -threshold_pips,
        exit_long=move < 0.0,
        exit_short=move > 0.0,
    )
