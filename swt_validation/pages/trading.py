"""The trades: distributions and a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from swt_core.clock import utc_datetime
from swt_validation.evaluation import TradeColumns
from swt_validation.page_data import PageData
from swt_validation.pages.style import GREEN, INK, MUTED, RED, new_page, remark, table
from swt_validation.wording import pips

_LISTED: Final = 34
_VECTOR_DOTS: Final = 300
_BOXES: Final = (
    (0.07, 0.55, 0.40, 0.28),
    (0.555, 0.55, 0.40, 0.28),
    (0.07, 0.12, 0.40, 0.30),
    (0.555, 0.12, 0.40, 0.30),
)


def distribution_page(data: PageData) -> Figure:
    """How single trades turn out."""
    trades = data.run.evaluation.trades
    figure = new_page(
        data,
        "Trades",
        f"{len(trades):,} closed, {data.report.trades.longs:,} long   ·   marks at executable prices",
    )
    for (name, chart), box in zip(TRADE_CHARTS.items(), _BOXES, strict=True):
        axes = figure.add_axes(box)
        if len(trades):
            chart(axes, trades)
        else:
            remark(axes, "no trades")
        axes.set_title(name)
    return figure


def profit_chart(axes: Axes, trades: TradeColumns) -> None:
    """Histogram of the trades' profit, pips."""
    profit = trades.pnl_pips
    low, high = np.percentile(profit, [0.5, 99.5])
    low, high = min(low, -1.0), max(high, 1.0)
    # One edge at zero, so that no bar mixes wins and losses.
    width = (high - low) / int(np.clip(4 * len(profit) ** 0.5, 12, 60))
    edges = np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
    _, _, patches = axes.hist(np.clip(profit, edges[0], edges[-1]), bins=edges.tolist(), lw=0)
    for patch, edge in zip(list(patches), edges, strict=False):  # type: ignore[arg-type]
        patch.set_facecolor(GREEN if edge >= 0 else RED)
        patch.set_alpha(0.7)
    mean = float(profit.mean())
    axes.axvline(mean, color=INK, lw=1.4)
    axes.set_ylim(top=1.12 * axes.get_ylim()[1])
    axes.text(
        mean,
        axes.get_ylim()[1],
        f" mean {pips(mean, 2)} ",
        va="top",
        ha="left" if mean < (edges[0] + edges[-1]) / 2 else "right",
        fontsize=8,
    )
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("profit of a trade, pips")
    axes.set_ylabel("trades")


def _dots(axes: Axes, where: NDArray[np.float64], trades: TradeColumns) -> None:
    profit = trades.pnl_pips
    area = float(np.clip(2500 / len(trades), 8, 40))
    for shown, colour in ((profit > 0, GREEN), (profit <= 0, RED)):
        # Marks of a line are drawn ten times as fast as a scatter's.
        axes.plot(
            where[shown],
            profit[shown],
            marker="o",
            ls="none",
            ms=area**0.5,
            mew=0,
            color=colour,
            alpha=0.5,
            # Thousands of vector dots only make the file large.
            rasterized=len(trades) > _VECTOR_DOTS,
        )
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_ylabel("result, pips")


def adverse_chart(axes: Axes, trades: TradeColumns) -> None:
    """Worst mark against the result."""
    _dots(axes, -trades.mae_pips, trades)
    axes.set_xlabel("worst mark while open (MAE), pips")


def duration_chart(axes: Axes, trades: TradeColumns) -> None:
    """Duration against the result."""
    _dots(axes, np.maximum(trades.bars, 1).astype(np.float64), trades)
    axes.set_xscale("log")
    low, high = float(max(trades.bars.min(), 1)), float(max(trades.bars.max(), 2))
    marks = {1: "1 min", 5: "5 min", 15: "15 min", 60: "1 h", 240: "4 h", 1440: "1 day", 5760: "4 days"}
    shown = {at: name for at, name in marks.items() if 0.7 * low <= at <= 1.4 * high}
    axes.set_xticks(list(shown), list(shown.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0.6 * low, 1.6 * high)
    axes.set_xlabel("time in the market")


def favourable_chart(axes: Axes, trades: TradeColumns) -> None:
    """Best mark against the result: what lies below the line was left on the table."""
    _dots(axes, trades.mfe_pips, trades)
    top = float(trades.mfe_pips.max(initial=1.0))
    axes.plot([0, top], [0, top], color=MUTED, lw=0.8, ls="--")
    axes.set_xlabel("best mark while open (MFE), pips")


TRADE_CHARTS: Final[dict[str, Callable[[Axes, TradeColumns], None]]] = {
    "What a trade brings": profit_chart,
    "How far it went wrong first": adverse_chart,
    "How long it stays": duration_chart,
    "How much of its best moment it keeps": favourable_chart,
}


def trade_table_page(data: PageData) -> Figure:
    """The trades that mattered most: the largest wins and losses, in order of time."""
    trades = data.run.evaluation.trades
    count = len(trades)
    largest = np.sort(np.argsort(-np.abs(trades.pnl_pips), kind="stable")[:_LISTED])
    listed = largest[np.argsort(trades.entry_time_s[largest], kind="stable")]
    title = f"All {count} trades"
    if count > _LISTED:
        title = f"The {_LISTED} trades that moved the result most, of {count:,}"
    figure = new_page(data, "Trade table", f"{title}   ·   the complete list is in trades.csv")
    if not count:
        remark(figure.add_axes((0.045, 0.06, 0.91, 0.815)), "the agent never traded")
        return figure
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
            "the end" if trades.forced[i] else "agent",
        ]
        for i in listed
    ]
    axes = figure.add_axes((0.045, 0.06, 0.91, 0.815))
    header = [
        "Entry (UTC)",
        "exit (UTC)",
        "side",
        "entry at",
        "exit at",
        "minutes",
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
