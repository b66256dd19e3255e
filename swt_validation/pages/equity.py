"""Equity with its resampled band, and the underwater curve."""

from __future__ import annotations

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from swt_validation.pages.style import BLUE, GREEN, INK, LIGHT_BLUE, MUTED, RED, PageData, new_page, table
from swt_validation.wording import pips

Float64 = NDArray[np.float64]
_DRAWN_POINTS = 4000
_BAND_CURVES = 1000


def equity_page(data: PageData) -> Figure:
    """Marked equity bar by bar, the deepest drawdowns, and what reordering the days could have given."""
    report = data.report
    figure = new_page(
        data,
        "Equity",
        f"marked bar by bar at the executable price, one unit, after all costs   ·   "
        f"exposure {report.trades.exposure:.0%}   ·   {report.daily.days} trading days",
    )
    time, level = _equity(data)
    top = figure.add_axes((0.07, 0.475, 0.885, 0.37))
    top.plot(time, level, color=BLUE, lw=1.1)
    top.fill_between(time, 0, level, color=BLUE, alpha=0.07, lw=0)
    top.axhline(0, color=MUTED, lw=0.8)
    top.set_ylabel("pips")
    top.set_title("Cumulative profit")
    dates(top)
    fall = level - np.maximum.accumulate(np.maximum(level, 0.0))
    low = figure.add_axes((0.07, 0.285, 0.885, 0.13), sharex=top)
    low.fill_between(time, fall, 0, color=RED, alpha=0.35, lw=0)
    low.plot(time, fall, color=RED, lw=0.7)
    low.set_ylabel("pips")
    low.set_title(f"Underwater: deepest {pips(-report.daily.max_drawdown_pips, 0)} pips")
    dates(low)
    _band(figure.add_axes((0.07, 0.085, 0.40, 0.125)), data)
    rows = [
        [
            f"{number}",
            pips(-fall.depth_pips, 0),
            fall.peak_day or "start",
            fall.trough_day,
            fall.recovery_day or "not yet",
        ]
        for number, fall in enumerate(report.drawdowns, 1)
    ]
    axes = figure.add_axes((0.52, 0.085, 0.435, 0.13))
    table(
        axes,
        ["Daily drawdowns", "pips", "peak", "trough", "recovered"],
        rows,
        [1.4, 1, 1.2, 1.2, 1.2],
        row_height=1 / 6,
        size=7.5,
    )
    return figure


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


def _band(axes: Axes, data: PageData) -> None:
    """Best, worst, median and 95 % band of the days drawn anew with replacement, in pips."""
    days = np.array(data.report.day_pips)
    rng = np.random.default_rng(data.seed)
    curves = np.cumsum(days[rng.integers(0, len(days), (_BAND_CURVES, len(days)))], axis=1)
    low, median, high = np.percentile(curves, [2.5, 50, 97.5], axis=0)
    place = np.arange(1, len(days) + 1)
    axes.fill_between(place, low, high, color=LIGHT_BLUE, alpha=0.45, lw=0, label="95 % band")
    axes.plot(place, median, color=BLUE, lw=1.2, label="median")
    axes.plot(place, curves[curves[:, -1].argmax()], color=GREEN, lw=0.8, label="best")
    axes.plot(place, curves[curves[:, -1].argmin()], color=RED, lw=0.8, label="worst")
    axes.plot(place, np.cumsum(days), color=INK, lw=1.2, ls=":", label="observed")
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_title(f"{_BAND_CURVES:,} resampled histories (pips by trading day)")
    axes.legend(loc="upper left", ncols=5, fontsize=6.5, handlelength=1.2, columnspacing=0.8)
    axes.margins(x=0.01)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.22 * (top - bottom))
