"""Resampled futures: growth and drawdown distributions, stress scenarios, luck."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from swt_validation.pages.style import AMBER, BLUE, INK, LIGHT_BLUE, MUTED, RED, PageData, new_page, table
from swt_validation.performance import DAYS_PER_YEAR
from swt_validation.safe_f import DRAWDOWN_TOLERANCE, HORIZON_DAYS, curves_at
from swt_validation.scenarios import BoxPlot
from swt_validation.wording import pips, ratio, share

Float64 = NDArray[np.float64]
_DRAWN_CURVES = 10_000


def risk_page(data: PageData) -> Figure:
    """Two years ahead, many times over."""
    report = data.report
    bandy = report.bandy.conservative
    figure = new_page(
        data,
        "Risk and growth",
        f"{HORIZON_DAYS} trading days drawn {report.bandy.runs:,} times from the observed ones; "
        f"safe-f is the largest leverage that keeps the 95th percentile of drawdown within "
        f"{DRAWDOWN_TOLERANCE:.0%}",
    )
    curves = curves_at(
        np.array(report.day_returns), bandy.safe_f, runs=_DRAWN_CURVES, block=bandy.block, seed=data.seed
    )
    growth_log = curves.final_log_wealth / (HORIZON_DAYS / DAYS_PER_YEAR)
    _growth(figure.add_axes((0.07, 0.59, 0.40, 0.25)), growth_log, bandy.car25)
    _drawdown(figure.add_axes((0.555, 0.59, 0.40, 0.25)), curves.max_drawdown, bandy.drawdown95)
    left = figure.add_axes((0.155, 0.285, 0.315, 0.22))
    right = figure.add_axes((0.64, 0.285, 0.315, 0.22))
    names = [scenario.name.replace("_", " ") for scenario in report.scenarios]
    _boxes(left, names, [s.annual_growth for s in report.scenarios], logarithmic=True)
    left.set_title(f"Stress scenarios: growth a year at {report.size.fraction:.2f}×", x=-0.25)
    _boxes(right, names, [s.max_drawdown for s in report.scenarios], logarithmic=False)
    right.set_title("Stress scenarios: maximum drawdown", x=-0.25)
    _tables(figure, data)
    return figure


def _log_growth_label(value: float, _: object = None) -> str:
    return share(float(np.expm1(np.clip(value, -50, 600))), 0)


def _finite(values: Float64) -> Float64:
    return values[np.isfinite(values)]


def _growth(axes: Axes, log_growth: Float64, car25: float) -> None:
    finite = _finite(log_growth)
    axes.set_title("Compound annual growth at safe-f")
    if not len(finite) or np.ptp(finite) < 1e-12:
        _nothing(axes)
        return
    axes.hist(finite, bins=60, color=LIGHT_BLUE, lw=0)
    quartile = float(np.log1p(car25)) if car25 > -1 else float(finite.min())
    axes.axvline(quartile, color=BLUE, lw=1.6)
    axes.text(
        quartile,
        axes.get_ylim()[1] * 0.97,
        f"CAR25 {share(car25)} ",
        color=BLUE,
        ha="right",
        va="top",
        weight="bold",
    )
    axes.axvline(0, color=MUTED, lw=0.8)
    axes.xaxis.set_major_formatter(FuncFormatter(_log_growth_label))
    axes.set_yticks([])


def _drawdown(axes: Axes, values: Float64, tail: float) -> None:
    axes.set_title("Maximum drawdown at safe-f")
    if np.ptp(values) < 1e-12:
        _nothing(axes)
        return
    axes.hist(values, bins=60, color="#e8b4b0", lw=0)
    axes.axvline(tail, color=RED, lw=1.6)
    axes.text(
        tail,
        axes.get_ylim()[1] * 0.97,
        f" 95th percentile {share(tail)}",
        color=RED,
        va="top",
        weight="bold",
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.set_yticks([])
    axes.margins(x=0.25)


def _nothing(axes: Axes) -> None:
    axes.text(
        0.5, 0.5, "nothing was at stake", ha="center", va="center", color=MUTED, transform=axes.transAxes
    )
    axes.set_xticks([])
    axes.set_yticks([])


def _boxes(axes: Axes, names: list[str], boxes: list[BoxPlot], *, logarithmic: bool) -> None:
    if not boxes:
        _nothing(axes)
        return

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
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))


def _tables(figure: Figure, data: PageData) -> None:
    report = data.report
    rows = []
    for name, result in (
        ("independent days", report.bandy.iid),
        (f"blocks of {report.bandy.block.block} days", report.bandy.block),
    ):
        rows.append(
            [
                name,
                f"{result.safe_f:.2f}",
                result.outcome.value,
                share(result.car25),
                share(result.car50),
                f"{share(result.car_low)} … {share(result.car_high)}",
                share(result.drawdown95),
            ]
        )
    axes = figure.add_axes((0.045, 0.13, 0.60, 0.09))
    table(
        axes,
        ["Bandy", "safe-f", "limited by", "CAR25", "CAR50", "95 % of futures", "drawdown 95"],
        rows,
        [1.6, 0.8, 1.1, 0.9, 0.9, 1.9, 1.1],
    )
    figure.text(
        0.045,
        0.095,
        f"Kelly {ratio(report.bandy.kelly, 3)}, a quarter of it {ratio(report.bandy.quarter_kelly, 3)} (from "
        f"trades: p − (1 − p)·L/W).\nSize really traded: {report.size.fraction:.2f}× equity "
        f"({report.size.source}), observed drawdown {share(report.size.observed_drawdown)}.",
        fontsize=7.5,
        color=MUTED,
    )
    luck = figure.add_axes((0.69, 0.105, 0.265, 0.10))
    luck.set_title("Random entries at the same costs (pips)", fontsize=8.5)
    if len(data.random_pips):
        luck.hist(data.random_pips, bins=50, color="#c5cfdb", lw=0)
        luck.axvline(report.trades.total_pips, color=BLUE, lw=1.8)
        luck.set_yticks([])
        luck.text(
            0.99,
            0.9,
            f"agent {pips(report.trades.total_pips, 0)}\np = {report.significance.p_value:.3f}",
            transform=luck.transAxes,
            ha="right",
            va="top",
            fontsize=7.5,
            color=BLUE,
        )
        luck.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        _nothing(luck)
