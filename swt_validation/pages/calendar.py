"""When the profit is made: calendar heat map, hours, weekdays, volatility, events."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from swt_validation.analysis import day_text
from swt_validation.pages.style import GREEN, MUTED, RED, PageData, new_page, table
from swt_validation.trades import Bucket
from swt_validation.wording import pips, share

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")


def calendar_page(data: PageData) -> Figure:
    """Profit by day, and by what the clock and the market were doing."""
    figure = new_page(
        data,
        "When it earns",
        "trading days run from 17:00 to 17:00 New York, named by their closing date",
    )
    _heat_map(figure, figure.add_axes((0.07, 0.59, 0.835, 0.24)), data)
    parts = data.report.breakdown
    _bars(figure.add_axes((0.07, 0.33, 0.52, 0.18)), parts.hours, "By New York hour of entry (pips)")
    _bars(figure.add_axes((0.65, 0.33, 0.305, 0.18)), parts.weekdays, "By trading day (pips)")
    _bars(
        figure.add_axes((0.07, 0.085, 0.25, 0.165)),
        parts.volatility,
        "By volatility at entry (thirds of the trades, pips)",
    )
    axes = figure.add_axes((0.38, 0.065, 0.575, 0.185))
    if parts.events:
        rows = [
            [
                event.name,
                str(event.trades),
                pips(event.total_pips),
                pips(event.expectancy_pips),
                share(event.win_rate),
            ]
            for event in parts.events
        ]
        table(
            axes,
            ["Events in the range", "trades", "pips", "a trade", "win rate"],
            rows,
            [3, 1, 1, 1, 1],
            row_height=min(0.15, 1 / (len(rows) + 1)),
        )
    else:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "the evaluated range covers none of the named events", ha="center", color=MUTED)
    return figure


def _heat_map(figure: Figure, axes: Axes, data: PageData) -> None:
    days = np.array(data.report.day_numbers)
    values = np.array(data.report.day_pips)
    # The epoch's day 0 was a Thursday: Monday is 4 days later.
    monday = days - (days + 3) % 7
    weeks = np.arange(monday.min(), monday.max() + 1, 7)
    grid = np.full((5, len(weeks)), np.nan)
    weekday = (days + 3) % 7
    inside = weekday < 5
    grid[weekday[inside], ((monday - monday.min()) // 7)[inside]] = values[inside]
    limit = max(float(np.nanpercentile(np.abs(grid), 95)), 1e-9)
    mesh = axes.pcolormesh(
        np.arange(len(weeks) + 1),
        np.arange(6),
        grid,
        cmap="RdYlGn",
        norm=TwoSlopeNorm(0, -limit, limit),
        edgecolors="white",
        lw=1.2,
    )
    axes.set_yticks(np.arange(5) + 0.5, _WEEKDAYS)
    axes.invert_yaxis()
    step = max(1, -(-len(weeks) // 8))
    axes.set_xticks(np.arange(0, len(weeks), step) + 0.5, [day_text(w) for w in weeks[::step]], fontsize=7.5)
    axes.grid(visible=False)
    axes.set_title("Profit of each trading day")
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.925, 0.59, 0.012, 0.24)), extend="both")
    bar.outline.set_visible(False)
    bar.set_label("pips", fontsize=8)


def _bars(axes: Axes, buckets: list[Bucket], title: str) -> None:
    axes.set_title(title, fontsize=9)
    values = [bucket.total_pips for bucket in buckets]
    places = np.arange(len(buckets))
    axes.bar(places, values, color=[GREEN if value >= 0 else RED for value in values], width=0.72, alpha=0.85)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xticks(places, [bucket.name for bucket in buckets], fontsize=7.5)
    axes.grid(visible=False, axis="x")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))
    for place, bucket in enumerate(buckets):
        axes.text(
            place,
            max(bucket.total_pips, 0) + 0.02 * (high - low),
            str(bucket.trades) if bucket.trades else "",
            ha="center",
            fontsize=6,
            color=MUTED,
        )
