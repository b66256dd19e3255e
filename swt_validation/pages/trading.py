"""The trades: distributions, and the price of the best, worst and a typical episode with trades on it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from swt_core.clock import utc_datetime
from swt_validation.evaluation import TradeColumns
from swt_validation.pages.equity import dates
from swt_validation.pages.style import GREEN, INK, MUTED, RED, PageData, new_page, table
from swt_validation.wording import pips

_WINDOW_BARS = 1440
_LISTED = 34


def distribution_page(data: PageData) -> Figure:
    """How single trades turn out."""
    trades = data.run.evaluation.trades
    figure = new_page(
        data,
        "Trades",
        f"{len(trades)} closed, {data.report.trades.longs} long   ·   marks at executable prices",
    )
    profit = trades.pnl_pips
    _histogram(figure.add_axes((0.07, 0.55, 0.40, 0.28)), profit, "Profit of a trade (pips)")
    axes = figure.add_axes((0.555, 0.55, 0.40, 0.28))
    axes.set_title("Worst mark against result (pips)")
    axes.scatter(-trades.mae_pips, profit, s=9, c=np.where(profit > 0, GREEN, RED), alpha=0.45, lw=0)
    axes.set_xlabel("worst mark while open (MAE)")
    axes.set_ylabel("result")
    axes = figure.add_axes((0.07, 0.12, 0.40, 0.30))
    axes.set_title("Duration against result")
    axes.scatter(trades.bars, profit, s=9, c=np.where(profit > 0, GREEN, RED), alpha=0.45, lw=0)
    if len(trades):
        axes.set_xscale("log")
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xlabel("bars")
    axes.set_ylabel("pips")
    axes = figure.add_axes((0.555, 0.12, 0.40, 0.30))
    axes.set_title("Best mark against result (pips): what was left on the table")
    axes.scatter(trades.mfe_pips, profit, s=9, c=np.where(profit > 0, GREEN, RED), alpha=0.45, lw=0)
    top = float(trades.mfe_pips.max(initial=1.0))
    axes.plot([0, top], [0, top], color=MUTED, lw=0.8, ls="--")
    axes.set_xlabel("best mark while open (MFE)")
    axes.set_ylabel("result")
    return figure


def _histogram(axes: Axes, profit: NDArray[np.float64], title: str) -> None:
    axes.set_title(title)
    if not len(profit):
        axes.text(0.5, 0.5, "no trades", ha="center", color=MUTED, transform=axes.transAxes)
        return
    low, high = np.percentile(profit, [0.5, 99.5])
    edges = np.linspace(min(low, -1.0), max(high, 1.0), 61)
    clipped = np.clip(profit, edges[0], edges[-1])
    _, _, patches = axes.hist(clipped, bins=edges.tolist(), lw=0)
    for patch, edge in zip(list(patches), edges, strict=False):  # type: ignore[arg-type]
        patch.set_facecolor(GREEN if edge >= 0 else RED)
        patch.set_alpha(0.7)
    axes.axvline(float(profit.mean()), color=INK, lw=1.4)
    axes.text(
        float(profit.mean()),
        axes.get_ylim()[1],
        f" mean {pips(float(profit.mean()), 2)}",
        va="top",
        fontsize=8,
    )


def price_page(data: PageData) -> Figure:
    """Trades on the price: best, worst and median episode, the most active day of each."""
    figure = new_page(
        data,
        "Trades on the price",
        "▲ bought, ▼ sold, line to the exit, green won, red lost   ·   the busiest day of each",
    )
    profit = data.run.evaluation.episode_pips
    order = np.argsort(profit, kind="stable")
    chosen = {"Best": order[-1], "Typical": order[len(order) // 2], "Worst": order[0]}
    for place, (name, episode) in enumerate(chosen.items()):
        axes = figure.add_axes((0.07, 0.645 - 0.275 * place, 0.885, 0.195))
        _price(axes, data, int(episode))
        what = "week" if data.report.mode == "weeks" else "session"
        axes.set_title(f"{name} {what}: {pips(float(profit[episode]))} pips")
    return figure


def _price(axes: Axes, data: PageData, episode: int) -> None:
    bars, trades = data.market.bars, data.run.evaluation.trades
    mine = trades.select(trades.episode == episode)
    first, last = int(data.run.first_rows[episode]), int(data.run.last_rows[episode]) + 1
    first, last = _busiest(mine, bars.time_s, first, last)
    rows = slice(first, last + 1)
    mid = bars.close_hp[rows] / 2 / 10**bars.instrument.display_precision
    axes.plot(bars.time_s[rows].astype("datetime64[s]"), mid, color="#8a99ad", lw=0.7)
    scale = 10**bars.instrument.display_precision
    start, end = bars.time_s[first], bars.time_s[last]
    for i in np.flatnonzero((mine.exit_time_s >= start) & (mine.entry_time_s <= end)):
        colour = GREEN if mine.pnl_pips[i] > 0 else RED
        times = np.array([mine.entry_time_s[i], mine.exit_time_s[i]]).astype("datetime64[s]")
        axes.plot(times, np.array([mine.entry_points[i], mine.exit_points[i]]) / scale, color=colour, lw=1.3)
        axes.plot(
            times[:1],
            [mine.entry_points[i] / scale],
            marker="^" if mine.side[i] > 0 else "v",
            color=colour,
            ms=5.5,
        )
    axes.set_xlim(np.datetime64(int(start), "s"), np.datetime64(int(end), "s"))  # type: ignore[arg-type]
    dates(axes)


def _busiest(trades: TradeColumns, time_s: NDArray[np.int64], first: int, last: int) -> tuple[int, int]:
    """Rows of the stretch of one day with the most entries (the first day, without trades)."""
    if last - first <= _WINDOW_BARS:
        return first, last
    rows = np.searchsorted(time_s, trades.entry_time_s)
    starts = np.arange(first, last - _WINDOW_BARS + 1, _WINDOW_BARS // 4)
    counts = [np.count_nonzero((rows >= start) & (rows < start + _WINDOW_BARS)) for start in starts]
    start = int(starts[int(np.argmax(counts))])
    return start, start + _WINDOW_BARS


def trade_table_page(data: PageData) -> Figure:
    """The trades that mattered most: the largest wins and losses, in order of time."""
    trades = data.run.evaluation.trades
    count = len(trades)
    largest = np.sort(np.argsort(-np.abs(trades.pnl_pips), kind="stable")[:_LISTED])
    listed = largest[np.argsort(trades.entry_time_s[largest], kind="stable")]
    title = (
        "All trades" if count <= _LISTED else f"The {_LISTED} trades that moved the result most, of {count}"
    )
    figure = new_page(data, "Trade table", title + "   ·   the complete list is in trades.csv")
    scale = 10**data.market.bars.instrument.display_precision
    digits = data.market.bars.instrument.display_precision
    rows = [
        [
            f"{utc_datetime(int(trades.entry_time_s[i])):%Y-%m-%d %H:%M}",
            f"{utc_datetime(int(trades.exit_time_s[i])):%m-%d %H:%M}",
            "long" if trades.side[i] > 0 else "short",
            f"{trades.entry_points[i] / scale:.{digits}f}",
            f"{trades.exit_points[i] / scale:.{digits}f}",
            f"{trades.bars[i]:,}",
            pips(float(trades.pnl_pips[i])),
            f"{-trades.mae_pips[i]:.1f}",
            f"{trades.mfe_pips[i]:.1f}",
            f"{trades.spread_pips[i]:.1f}",
            "forced" if trades.forced[i] else "agent",
        ]
        for i in listed
    ]
    axes = figure.add_axes((0.045, 0.06, 0.91, 0.815))
    header = [
        "Entry (UTC)",
        "exit",
        "side",
        "at",
        "left at",
        "bars",
        "pips",
        "worst",
        "best",
        "spread",
        "closed by",
    ]
    table(
        axes,
        header,
        rows,
        [1.8, 1.3, 0.8, 1.1, 1.1, 0.8, 1, 0.8, 0.8, 0.8, 1],
        row_height=1 / (_LISTED + 1),
        size=7.2,
    )
    return figure
