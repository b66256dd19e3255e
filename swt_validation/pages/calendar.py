"""When the profit is made: calendar heat map, hours, weekdays, volatility, events."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from swt_validation.analysis import day_text
from swt_validation.page_data import PageData
from swt_validation.pages.style import GREEN, MUTED, RED, draw, new_page, remark, thousands
from swt_validation.tables import event_table
from swt_validation.trades import Bucket

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")


def calendar_page(data: PageData) -> Figure:
    """Profit by day, and by what the clock and the market were doing."""
    figure = new_page(
        data,
        "When it earns",
        "trading days run from 17:00 to 17:00 New York, named by their closing date",
    )
    axes = figure.add_axes((0.07, 0.59, 0.835, 0.24))
    heat_map_chart(axes, data, figure.add_axes((0.925, 0.59, 0.012, 0.24)))
    axes.set_title("Profit of each trading day")
    parts = data.report.breakdown
    for box, buckets, title in (
        ((0.07, 0.33, 0.52, 0.18), parts.hours, "By New York hour of entry (pips; trades above the bars)"),
        ((0.65, 0.33, 0.305, 0.18), parts.weekdays, "By trading day (pips)"),
        ((0.07, 0.085, 0.25, 0.165), parts.volatility, "By volatility at entry (thirds, pips)"),
    ):
        axes = figure.add_axes(box)
        bucket_chart(axes, buckets)
        axes.set_title(title, fontsize=9)
    axes = figure.add_axes((0.38, 0.065, 0.575, 0.185))
    events = event_table(data.report)
    if events is None:
        remark(axes, "the evaluated range covers none of the named events")
    else:
        draw(axes, events, row_height=min(0.15, 1 / (len(events.rows) + 1)))
    return figure


def heat_map_chart(axes: Axes, data: PageData, colours: Axes) -> None:
    """Profit of each trading day, weeks across and weekdays down; the scale goes into ``colours``."""
    days = np.array(data.report.day_numbers)
    values = np.array(data.report.day_pips)
    # The epoch's day 0 was a Thursday: Monday is 4 days later.
    monday = days - (days + 3) % 7
    weeks = np.arange(monday.min(), monday.max() + 1, 7)
    grid = np.full((5, len(weeks)), np.nan)
    weekday = (days + 3) % 7
    inside = weekday < 5
    grid[weekday[inside], ((monday - monday.min()) // 7)[inside]] = values[inside]
    limit = float(np.nanpercentile(np.abs(grid), 95)) or 1.0
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
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = axes.get_figure().colorbar(mesh, cax=colours, extend="both")  # type: ignore[union-attr]
    bar.outline.set_visible(False)
    bar.set_label("pips", fontsize=8)


def bucket_chart(axes: Axes, buckets: list[Bucket]) -> None:
    """Profit by bucket, the number of trades above each bar."""
    if not any(bucket.trades for bucket in buckets):
        remark(axes, "too few trades to tell")
        return
    values = [bucket.total_pips for bucket in buckets]
    places = np.arange(len(buckets))
    axes.bar(places, values, color=[GREEN if value >= 0 else RED for value in values], width=0.72, alpha=0.85)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xticks(places, [bucket.name for bucket in buckets], fontsize=7.5)
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(thousands)
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
