"""Trades on the price: the best, the worst and a typical episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from swt_core.clock import utc_datetime
from swt_validation.evaluation import TradeColumns
from swt_validation.page_data import PageData
from swt_validation.pages.equity import dates
from swt_validation.pages.style import GREEN, RED, new_page
from swt_validation.wording import pips

PRICE: Final = "#8a99ad"
_WINDOW_BARS: Final = 1440
# A whole week with more trades than this is a thicket: its busiest day is shown.
_LEGIBLE_TRADES: Final = 30
_DRAWN_POINTS: Final = 1200


@dataclass(frozen=True)
class Shown:
    """One stretch of bars with trades on it.

    Attributes:
        title: which episode, what it earned, and which part of it is drawn.
        first, last: rows of the bars.
        trades: the episode's trades.
    """

    title: str
    first: int
    last: int
    trades: TradeColumns


def price_page(data: PageData) -> Figure:
    """Best, typical and worst episode."""
    figure = new_page(
        data,
        "Trades on the price",
        "▲ bought, ▼ sold, ● closed   ·   green won, red lost   ·   mid price, UTC",
    )
    for place, shown in enumerate(chosen_episodes(data)):
        axes = figure.add_axes((0.07, 0.645 - 0.275 * place, 0.885, 0.195))
        price_chart(axes, data, shown)
        axes.set_title(shown.title)
    return figure


def chosen_episodes(data: PageData) -> list[Shown]:
    """Best, typical (median of those that traded) and worst episode; one is shown once."""
    evaluation = data.run.evaluation
    profit, trades = evaluation.episode_pips, evaluation.trades
    what = "week" if data.report.mode == "weeks" else "session"
    traded = np.unique(trades.episode)
    if not len(traded):
        return [_shown(data, 0, f"The first {what}: the agent never traded")]
    order = traded[np.argsort(profit[traded], kind="stable")]
    places: dict[int, str] = {}
    for name, episode in (("Best", order[-1]), ("Typical", order[len(order) // 2]), ("Worst", order[0])):
        places.setdefault(int(episode), name)
    shown = []
    for episode, name in places.items():
        count = int((trades.episode == episode).sum())
        text = f"{name} {what}: {pips(float(profit[episode]))} pips from {count} trade{'s'[: count != 1]}"
        shown.append(_shown(data, episode, text))
    return shown


def _shown(data: PageData, episode: int, title: str) -> Shown:
    trades = data.run.evaluation.trades
    mine = trades.select(trades.episode == episode)
    first, last = int(data.run.first_rows[episode]), int(data.run.last_rows[episode]) + 1
    time_s = data.market.bars.time_s
    day = f"{utc_datetime(int(time_s[first])):%Y-%m-%d}"
    if len(mine) > _LEGIBLE_TRADES and last - first > _WINDOW_BARS:
        first, last = _busiest(mine, time_s, first, last)
        return Shown(f"{title}; from {day}, its busiest 24 hours", first, last, mine)
    return Shown(f"{title}; from {day}", first, last, mine)


def price_chart(axes: Axes, data: PageData, shown: Shown) -> None:
    """Mid price with the trades of one stretch on it."""
    bars, mine = data.market.bars, shown.trades
    scale = 10**bars.instrument.display_precision
    rows = _thinned(bars.close_hp, shown.first, shown.last)
    mid = bars.close_hp[rows] / 2 / scale
    axes.plot(bars.time_s[rows].astype("datetime64[s]"), mid, color=PRICE, lw=0.8)
    start, end = bars.time_s[shown.first], bars.time_s[shown.last]
    _trade_marks(axes, mine.select((mine.exit_time_s >= start) & (mine.entry_time_s <= end)), scale)
    low, high = float(mid.min()), float(mid.max())
    room = max(0.08 * (high - low), 0.5 * bars.instrument.pip_size)
    axes.set_ylim(low - room, high + room)
    edge = int(end - start) // 150
    axes.set_xlim(np.datetime64(int(start) - edge, "s"), np.datetime64(int(end) + edge, "s"))  # type: ignore[arg-type]
    dates(axes)
    axes.margins(x=0)


def _trade_marks(axes: Axes, trades: TradeColumns, scale: int) -> None:
    """Entries, exits and lines between them, in order of time; all at once, since each artist takes time."""
    colours = np.where(trades.pnl_pips > 0, GREEN, RED)
    opened, closed = (
        mdates.date2num(times.astype("datetime64[s]"))  # type: ignore[no-untyped-call]
        for times in (trades.entry_time_s, trades.exit_time_s)
    )
    bought, sold = trades.entry_points / scale, trades.exit_points / scale
    ends = np.stack((np.column_stack((opened, bought)), np.column_stack((closed, sold))), axis=1)
    lines = LineCollection(
        list(ends), colors=colours.tolist(), linewidths=1.3, capstyle="projecting", zorder=2
    )
    axes.add_collection(lines, autolim=False)
    every = np.ones(len(trades), np.bool_)
    for at, price, which, marker, points in (
        (closed, sold, every, "o", 3.5),
        (opened, bought, trades.side > 0, "^", 6.0),
        (opened, bought, trades.side < 0, "v", 6.0),
    ):
        axes.scatter(
            at[which],
            price[which],
            marker=marker,
            c=colours[which].tolist(),
            s=points**2,
            lw=1.0,
            zorder=2,
        )


def _thinned(close: NDArray[np.int64], first: int, last: int) -> NDArray[np.int64]:
    """Rows to draw: all, or the lowest and highest close of each short stretch."""
    stride = max(1, (last + 1 - first) // (_DRAWN_POINTS // 2))
    rows = np.arange(first, last + 1)
    if stride == 1:
        return rows
    blocks = rows[: len(rows) // stride * stride].reshape(-1, stride)
    places = np.arange(len(blocks))
    low, high = close[blocks].argmin(axis=1), close[blocks].argmax(axis=1)
    return np.unique(np.concatenate((blocks[places, low], blocks[places, high], rows[[0, -1]])))


def _busiest(trades: TradeColumns, time_s: NDArray[np.int64], first: int, last: int) -> tuple[int, int]:
    """Rows of the stretch of one day with the most entries."""
    rows = np.searchsorted(time_s, trades.entry_time_s)
    starts = np.arange(first, last - _WINDOW_BARS + 1, _WINDOW_BARS // 4)
    counts = [np.count_nonzero((rows >= start) & (rows < start + _WINDOW_BARS)) for start in starts]
    start = int(starts[int(np.argmax(counts))])
    return start, start + _WINDOW_BARS
