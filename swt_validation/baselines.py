"""Simple rules on the same bars, costs and entry mask: what any agent has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.position import BARS as POSITION_BARS
from swt_core.position import (
    BUY,
    CLOSE,
    CLOSED,
    CLOSED_BARS,
    CLOSED_MAX_DRAWDOWN,
    CLOSED_PEAK,
    CLOSED_TROUGH,
    ENTRY_POINTS,
    EQUITY,
    HOLD,
    MAX_DRAWDOWN,
    PEAK,
    POSITION_FIELDS,
    REALISED,
    SELL,
    SIDE,
    STEP_FIELDS,
    TROUGH,
    advance_one_nb,
)
from swt_environments.market import Market
from swt_environments.reference import SignalRule
from swt_validation.evaluation import EpisodeMode, Evaluation, TradeColumns

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_WINDOW: Final = 60
_MOMENTUM_ENTRY: Final = 1.0
_REVERSION_ENTRY: Final = 2.0
# Columns of a recorded trade.
_TRADE_FIELDS: Final = 10


def _rolling(values: Float64, window: int) -> tuple[Float64, Float64]:
    """Mean and standard deviation (ddof 0) of the last ``window`` values; nan while there are fewer."""
    mean, deviation = np.full(len(values), np.nan), np.full(len(values), np.nan)
    if len(values) >= window:
        centred = values - values[0]
        first = np.cumsum(np.concatenate(([0.0], centred)))
        second = np.cumsum(np.concatenate(([0.0], centred**2)))
        average = (first[window:] - first[:-window]) / window
        square = (second[window:] - second[:-window]) / window
        mean[window - 1 :] = average + values[0]
        deviation[window - 1 :] = np.sqrt(np.maximum(square - average**2, 0.0))
    return mean, deviation


def buy_and_hold(market: Market) -> SignalRule:
    """Long whenever the rules permit, closed only where they require it."""
    never = np.zeros(len(market.bars), np.bool_)
    return SignalRule(enter_long=~never, enter_short=never, exit_long=never, exit_short=never)


def momentum(market: Market) -> SignalRule:
    """Follow a 60-bar move of more than one of its standard deviations; leave when it turns."""
    close = market.bars.close_hp / market.bars.instrument.half_points_per_pip
    move = np.full(len(close), np.nan)
    move[_WINDOW:] = close[_WINDOW:] - close[:-_WINDOW]
    _, deviation = _rolling(np.diff(close, prepend=close[:1]), _WINDOW)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.nan_to_num(move / (deviation * _WINDOW**0.5), posinf=0.0, neginf=0.0)
    return SignalRule(
        enter_long=score > _MOMENTUM_ENTRY,
        enter_short=score < -_MOMENTUM_ENTRY,
        exit_long=score <= 0,
        exit_short=score >= 0,
    )


def mean_reversion(market: Market) -> SignalRule:
    """Fade closes more than two standard deviations from their 60-bar mean; leave at the mean."""
    close = market.bars.close_hp / market.bars.instrument.half_points_per_pip
    mean, deviation = _rolling(close, _WINDOW)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.nan_to_num((close - mean) / deviation, posinf=0.0, neginf=0.0)
    return SignalRule(
        enter_long=score < -_REVERSION_ENTRY,
        enter_short=score > _REVERSION_ENTRY,
        exit_long=score >= 0,
        exit_short=score <= 0,
    )


@nb.njit(cache=True)
def _play_nb(
    first_rows: Int64,
    last_rows: Int64,
    enter_long: Bool,
    enter_short: Bool,
    exit_long: Bool,
    exit_short: Bool,
    may_enter: Bool,
    flat_required: Bool,
    fill_bid: Int64,
    fill_ask: Int64,
    bid_close: Int64,
    ask_close: Int64,
    carry_pips: Float64,
    points_per_pip: float,
    equity: Float64,
    trades: Float64,
) -> int:
    """Play a rule over episodes; returns the number of trades written to ``trades``.

    ``equity`` is ``[Σ decisions]``, the episode's profit after each decision's bar.
    """
    position = np.zeros(POSITION_FIELDS)
    step = np.zeros(STEP_FIELDS)
    count = 0
    place = 0
    for episode in range(len(first_rows)):
        position[:] = 0.0
        realised = 0.0
        entry_row = 0
        for row in range(first_rows[episode], last_rows[episode] + 1):
            side = position[SIDE]
            entered_at = position[ENTRY_POINTS]
            action = HOLD
            if side == 0.0:
                if may_enter[row] and (enter_long[row] or enter_short[row]):
                    action = BUY if enter_long[row] else SELL
                    entry_row = row + 1
            elif flat_required[row] or (exit_long[row] if side > 0.0 else exit_short[row]):
                action = CLOSE
            fill = row + 1
            advance_one_nb(
                position,
                action,
                float(fill_bid[fill]),
                float(fill_ask[fill]),
                float(bid_close[fill]),
                float(ask_close[fill]),
                carry_pips[fill, 0] if side > 0.0 else carry_pips[fill, 1],
                points_per_pip,
                step,
            )
            forced = row == last_rows[episode] and position[SIDE] != 0.0
            if step[CLOSED] > 0.0 or forced:
                trades[count, 0] = episode
                trades[count, 1] = position[SIDE] if forced else side
                trades[count, 2] = entry_row
                trades[count, 3] = fill
                trades[count, 4] = position[ENTRY_POINTS] if forced else entered_at
                trades[count, 5] = position[EQUITY] if forced else step[REALISED]
                trades[count, 6] = -position[TROUGH] if forced else -step[CLOSED_TROUGH]
                trades[count, 7] = position[PEAK] if forced else step[CLOSED_PEAK]
                trades[count, 8] = position[MAX_DRAWDOWN] if forced else step[CLOSED_MAX_DRAWDOWN]
                trades[count, 9] = position[POSITION_BARS] if forced else step[CLOSED_BARS]
                realised += trades[count, 5]
                count += 1
                if forced:
                    position[:] = 0.0
            equity[place] = realised + position[EQUITY]
            place += 1
    return count


def episode_bars(market: Market, first_rows: Int64, last_rows: Int64) -> tuple[Int64, Int64]:
    """Times of the bars in which decisions take effect, and the episode of each, concatenated."""
    lengths = last_rows - first_rows + 1
    offsets = np.repeat(first_rows + 1 - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
    rows = np.arange(lengths.sum()) + offsets
    return market.bars.time_s[rows], np.repeat(np.arange(len(first_rows)), lengths)


def play_rule(
    market: Market, rule: SignalRule, first_rows: Int64, last_rows: Int64, mode: EpisodeMode
) -> Evaluation:
    """Run a rule over episodes through the one position kernel.

    Args:
        market: bars, rules and costs.
        first_rows, last_rows: ``[E]`` first and last decision row of each episode.
        mode: what the episodes are.
    """
    first_rows, last_rows = np.asarray(first_rows, np.int64), np.asarray(last_rows, np.int64)
    total = int((last_rows - first_rows + 1).sum())
    equity = np.zeros(total)
    recorded = np.zeros((total // 2 + len(first_rows) + 1, _TRADE_FIELDS))
    bars = market.bars
    count = _play_nb(
        first_rows,
        last_rows,
        rule.enter_long,
        rule.enter_short,
        rule.exit_long,
        rule.exit_short,
        market.may_enter,
        market.flat_required,
        market.fill_bid,
        market.fill_ask,
        bars.bid_close,
        bars.ask_close,
        market.carry_pips,
        market.points_per_pip,
        equity,
        recorded,
    )
    recorded = recorded[:count]
    time_s, episode = episode_bars(market, first_rows, last_rows)
    integers = recorded[:, [0, 1, 2, 3, 4, 9]].astype(np.int64)
    entry_row, exit_row = integers[:, 2], integers[:, 3]
    forced = exit_row - entry_row < integers[:, 5]
    trades = TradeColumns(
        episode=integers[:, 0],
        side=integers[:, 1],
        entry_time_s=bars.time_s[entry_row],
        exit_time_s=bars.time_s[exit_row],
        entry_points=integers[:, 4],
        exit_points=np.rint(integers[:, 4] + integers[:, 1] * recorded[:, 5] * market.points_per_pip).astype(
            np.int64
        ),
        bars=integers[:, 5],
        pnl_pips=recorded[:, 5],
        mae_pips=recorded[:, 6],
        mfe_pips=recorded[:, 7],
        max_drawdown_pips=recorded[:, 8],
        spread_pips=bars.spread_open[entry_row] / market.points_per_pip,
        slippage_pips=np.full(count, 2 * market.slippage_points / market.points_per_pip),
        forced=forced,
    )
    return Evaluation(mode, bars.instrument, trades, time_s, episode, equity)


RULES: Final[Mapping[str, Callable[[Market], SignalRule]]] = {
    "buy and hold": buy_and_hold,
    "momentum": momentum,
    "mean reversion": mean_reversion,
}
