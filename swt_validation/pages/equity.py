"""Equity with its resampled band, and the underwater curve."""

from __future__ import annotations

from typing import Final

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from swt_validation.page_data import PageData
from swt_validation.pages.style import (
    BLUE,
    GREEN,
    INK,
    LIGHT_BLUE,
    MUTED,
    RED,
    draw,
    new_page,
    remark,
    thousands,
)
from swt_validation.tables import drawdown_table

Float64 = NDArray[np.float64]
_DRAWN_POINTS: Final = 2400
BAND_CURVES: Final = 1000


def equity_page(data: PageData) -> Figure:
    """Marked equity bar by bar, the deepest drawdowns, and what reordering the days could have given."""
    report = data.report
    figure = new_page(
        data,
        "Equity",
        f"marked bar by bar at the executable price, one unit, after all costs   ·   "
        f"in the market {report.trades.exposure:.0%} of the time   ·   {report.daily.days} trading days",
    )
    top = figure.add_axes((0.07, 0.60, 0.885, 0.245))
    equity_chart(top, data)
    top.set_title("Cumulative profit (pips)")
    low = figure.add_axes((0.07, 0.44, 0.885, 0.10), sharex=top)
    underwater_chart(low, data)
    low.set_title(f"Underwater: pips below the highest point so far, deepest {deepest_pips(data)}")
    band = figure.add_axes((0.07, 0.085, 0.44, 0.275))
    band_chart(band, data)
    band.set_title(f"The same days in {BAND_CURVES:,} other orders (pips by trading day)")
    axes = figure.add_axes((0.555, 0.085, 0.40, 0.275))
    falls = drawdown_table(report)
    if falls is None:
        remark(axes, "daily equity never fell")
    else:
        draw(axes, falls, row_height=1 / 7)
    return figure


def equity_chart(axes: Axes, data: PageData) -> None:
    """Cumulative profit by bar, pips."""
    time, level = _equity(data)
    axes.plot(time, level, color=BLUE, lw=1.1)
    axes.fill_between(time, 0, level, color=BLUE, alpha=0.07, lw=0)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.yaxis.set_major_formatter(thousands)
    dates(axes)


def underwater_chart(axes: Axes, data: PageData) -> None:
    """Fall below the running peak, pips."""
    time, level = _equity(data)
    fall = level - np.maximum.accumulate(np.maximum(level, 0.0))
    axes.fill_between(time, fall, 0, color=RED, alpha=0.35, lw=0)
    axes.plot(time, fall, color=RED, lw=0.7)
    if not fall.any():
        axes.set_ylim(-1, 0.05)
    axes.yaxis.set_major_formatter(thousands)
    dates(axes)


def deepest_pips(data: PageData) -> str:
    """The largest fall of marked equity as text."""
    return f"{data.report.daily.max_drawdown_pips:,.0f} pips"


def dates(axes: Axes) -> None:
    """Readable dates below a time axis."""
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


def _equity(data: PageData) -> tuple[NDArray[np.datetime64], Float64]:
    """Equity over all episodes in a row, thinned for drawing but with each stretch's low and high kept."""
    evaluation = data.run.evaluation
    order = np.argsort(evaluation.bar_time_s, kind="stable")
    level = np.cumsum(evaluation.change_pips[order])
    time_s = evaluation.bar_time_s[order]
    stride = max(1, len(level) // (_DRAWN_POINTS // 2))
    if stride > 1:
        whole = len(level) // stride * stride
        blocks = level[:whole].reshape(-1, stride)
        base = np.arange(len(blocks)) * stride
        keep = np.unique(
            np.concatenate((base + blocks.argmin(1), base + blocks.argmax(1), [0, len(level) - 1]))
        )
        level, time_s = level[keep], time_s[keep]
    return time_s.astype("datetime64[s]"), level


def band_chart(axes: Axes, data: PageData) -> None:
    """Best, worst, median and 95 % band of the days drawn anew with replacement, in pips."""
    days = np.array(data.report.day_pips)
    rng = np.random.default_rng(data.seed)
    curves = np.cumsum(days[rng.integers(0, len(days), (BAND_CURVES, len(days)))], axis=1)
    low, median, high = np.percentile(curves, [2.5, 50, 97.5], axis=0)
    place = np.arange(1, len(days) + 1)
    axes.fill_between(place, low, high, color=LIGHT_BLUE, alpha=0.45, lw=0, label="95 % band")
    axes.plot(place, median, color=BLUE, lw=1.2, label="median")
    axes.plot(place, curves[curves[:, -1].argmax()], color=GREEN, lw=0.8, label="best")
    axes.plot(place, curves[curves[:, -1].argmin()], color=RED, lw=0.8, label="worst")
    axes.plot(place, np.cumsum(days), color=INK, lw=1.2, ls=":", label="observed")
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.legend(loc="upper left", ncols=3, fontsize=7, handlelength=1.4, columnspacing=1.0)
    axes.margins(x=0.01)
    axes.yaxis.set_major_formatter(thousands)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.25 * (top - bottom))
