"""Resampled futures: growth and drawdown distributions, stress scenarios, luck."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from swt_validation.page_data import PageData
from swt_validation.pages.style import (
    AMBER,
    BLUE,
    INK,
    LIGHT_BLUE,
    MUTED,
    RED,
    draw,
    new_page,
    percent,
    thousands,
)
from swt_validation.performance import DAYS_PER_YEAR
from swt_validation.report import Report
from swt_validation.safe_f import DRAWDOWN_TOLERANCE, HORIZON_DAYS
from swt_validation.scenarios import BoxPlot
from swt_validation.tables import SCENARIO_NAMES, bandy_table
from swt_validation.wording import pips, ratio, share

Float64 = NDArray[np.float64]
_IDLE = "nothing was at stake"


def risk_page(data: PageData) -> Figure:
    """Two years ahead, many times over."""
    report = data.report
    figure = new_page(
        data,
        "Risk and growth",
        f"{HORIZON_DAYS} trading days drawn {report.bandy.runs:,} times from the observed ones   ·   "
        f"safe-f: the largest leverage that keeps the 95th percentile of drawdown within "
        f"{DRAWDOWN_TOLERANCE:.0%}",
    )
    axes = figure.add_axes((0.07, 0.59, 0.40, 0.25))
    growth_chart(axes, data)
    axes.set_title("Compound annual growth at safe-f")
    axes = figure.add_axes((0.555, 0.59, 0.40, 0.25))
    drawdown_chart(axes, data)
    axes.set_title("Maximum drawdown at safe-f")
    left = figure.add_axes((0.205, 0.285, 0.29, 0.22))
    right = figure.add_axes((0.555, 0.285, 0.40, 0.22))
    scenario_growth_chart(left, data)
    left.set_title(f"Stress scenarios: growth a year at {report.size.fraction:.2f}× equity", x=-0.45)
    scenario_drawdown_chart(right, data, names=False)
    right.set_title("Stress scenarios: maximum drawdown")
    _tables(figure, data)
    return figure


def _log_growth_label(value: float, _: object = None) -> str:
    growth = float(np.expm1(np.clip(value, -50, 600)))
    return share(growth, 0).replace(" million", " m").replace(" billion", " bn").replace(" trillion", " tn")


def _finite(values: Float64) -> Float64:
    return values[np.isfinite(values)]


def growth_chart(axes: Axes, data: PageData) -> None:
    """Compound annual growth at safe-f, with CAR25."""
    car25 = data.report.bandy.conservative.car25
    finite = _finite(data.curves.final_log_wealth / (HORIZON_DAYS / DAYS_PER_YEAR))
    if not len(finite) or np.ptp(finite) < 1e-12:
        _nothing(axes)
        return
    axes.hist(finite, bins=60, color=LIGHT_BLUE, lw=0)
    axes.set_ylim(top=1.15 * axes.get_ylim()[1])
    quartile = float(np.log1p(car25)) if car25 > -1 else float(finite.min())
    axes.axvline(quartile, color=BLUE, lw=1.6)
    axes.axvline(0, color=MUTED, lw=0.8)
    low, high = axes.get_xlim()
    axes.text(
        quartile,
        axes.get_ylim()[1] * 0.97,
        f" CAR25 {share(car25)} ",
        color=BLUE,
        ha="right" if quartile > (low + high) / 2 else "left",
        va="top",
        weight="bold",
    )
    axes.xaxis.set_major_formatter(FuncFormatter(_log_growth_label))
    axes.set_yticks([])


def drawdown_chart(axes: Axes, data: PageData) -> None:
    """Maximum drawdown at safe-f, with its 95th percentile."""
    values, tail = data.curves.max_drawdown, data.report.bandy.conservative.drawdown95
    if np.ptp(values) < 1e-12:
        _nothing(axes, "no resampled future lost anything" if data.report.trades.trades else _IDLE)
        return
    axes.hist(values, bins=60, color="#e8b4b0", lw=0)
    axes.set_ylim(top=1.15 * axes.get_ylim()[1])
    axes.axvline(tail, color=RED, lw=1.6)
    limit = 1.35 * max(float(values.max()), tail)
    axes.text(
        tail,
        axes.get_ylim()[1] * 0.97,
        f" 95th percentile {share(tail)} ",
        color=RED,
        ha="right" if tail > 0.6 * limit else "left",
        va="top",
        weight="bold",
    )
    axes.xaxis.set_major_formatter(percent)
    axes.set_yticks([])
    axes.set_xlim(0, limit)


def _nothing(axes: Axes, why: str = _IDLE) -> None:
    axes.text(0.5, 0.5, why, ha="center", va="center", color=MUTED, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def scenario_growth_chart(axes: Axes, data: PageData) -> None:
    """Growth a year of every stress scenario at the traded size, as boxes."""
    _boxes(axes, data, [s.annual_growth for s in data.report.scenarios], logarithmic=True)


def scenario_drawdown_chart(axes: Axes, data: PageData, *, names: bool = True) -> None:
    """Maximum drawdown of every stress scenario at the traded size, as boxes."""
    _boxes(axes, data, [s.max_drawdown for s in data.report.scenarios], logarithmic=False)
    if not names:
        axes.tick_params(labelleft=False)


def _boxes(axes: Axes, data: PageData, boxes: list[BoxPlot], *, logarithmic: bool) -> None:
    if not boxes:
        _nothing(axes)
        return
    names = [SCENARIO_NAMES.get(scenario.name, scenario.name) for scenario in data.report.scenarios]

    def place(value: float) -> float:
        return float(np.log1p(max(value, -0.999999))) if logarithmic else value

    stats = [
        {
            "whislo": place(box.low),
            "q1": place(box.quartile1),
            "med": place(box.median),
            "q3": place(box.quartile3),
            "whishi": place(box.high),
            "fliers": [],
        }
        for box in boxes
    ]
    axes.bxp(
        stats,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        widths=0.55,
        boxprops={"facecolor": LIGHT_BLUE, "edgecolor": BLUE, "lw": 0.8},
        medianprops={"color": INK, "lw": 1.5},
        whiskerprops={"color": BLUE, "lw": 0.8},
        capprops={"color": BLUE, "lw": 0.8},
    )
    axes.set_yticks(range(1, len(names) + 1), names)
    axes.invert_yaxis()
    if logarithmic:
        axes.axvline(0, color=AMBER, lw=1)
        axes.xaxis.set_major_formatter(FuncFormatter(_log_growth_label))
    else:
        axes.axvline(0.25, color=AMBER, lw=1)
        axes.xaxis.set_major_formatter(percent)
        axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4 if logarithmic else 6))


def _tables(figure: Figure, data: PageData) -> None:
    report = data.report
    draw(figure.add_axes((0.045, 0.13, 0.62, 0.09)), bandy_table(report), size=7.4)
    figure.text(0.045, 0.095, sizing_sentences(report, "\n"), fontsize=7.5, color=MUTED)
    luck = figure.add_axes((0.69, 0.105, 0.265, 0.10))
    luck.set_title("Random entries at the same costs (pips)", fontsize=8.5)
    luck_chart(luck, data)


def sizing_sentences(report: Report, between: str = " ") -> str:
    """Kelly and the size really traded."""
    source = "as configured" if report.size.source == "configured" else "safe-f, as none is configured"
    return (
        f"Kelly {ratio(report.bandy.kelly, 3)}, a quarter of it {ratio(report.bandy.quarter_kelly, 3)} "
        f"(from trades: p − (1 − p)·L/W).{between}Size really traded: {report.size.fraction:.2f}× equity "
        f"({source}), with an observed drawdown of {share(report.size.observed_drawdown)}."
    )


def luck_chart(axes: Axes, data: PageData) -> None:
    """Totals of random entries and the agent's own, pips."""
    if not len(data.random_pips):
        _nothing(axes)
        return
    total = data.report.trades.total_pips
    axes.hist(data.random_pips, bins=50, color="#c5cfdb", lw=0)
    axes.axvline(total, color=BLUE, lw=1.8)
    axes.set_yticks([])
    axes.margins(x=0.08)
    axes.set_ylim(top=1.45 * axes.get_ylim()[1])
    low, high = axes.get_xlim()
    left_half = total < (low + high) / 2
    axes.annotate(
        f"agent {pips(total, 0)}, p = {ratio(data.report.significance.p_value, 3)}",
        (total, axes.get_ylim()[1]),
        xytext=(4 if left_half else -4, -2),
        textcoords="offset points",
        ha="left" if left_half else "right",
        va="top",
        fontsize=7.5,
        color=BLUE,
    )
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(thousands)
