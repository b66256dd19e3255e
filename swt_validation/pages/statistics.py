"""Tables: statistics with intervals, baselines, sensitivity, significance."""

from __future__ import annotations

from matplotlib.figure import Figure

from swt_validation.page_data import PageData
from swt_validation.pages.style import MUTED, draw, new_page
from swt_validation.tables import baseline_table, luck_table, sensitivity_table, statistics_table


def statistics_page(data: PageData) -> Figure:
    """Every headline figure with its 95 % interval, the baselines and what luck could do."""
    report = data.report
    figure = new_page(
        data,
        "Statistics",
        "intervals: 95 %, percentile bootstrap   ·   – undefined   ·   ∞ nothing was lost",
    )
    draw(figure.add_axes((0.045, 0.375, 0.43, 0.49)), statistics_table(report))
    draw(figure.add_axes((0.515, 0.615, 0.44, 0.25)), baseline_table(report))
    draw(figure.add_axes((0.515, 0.375, 0.44, 0.20)), luck_table(report))
    axes = figure.add_axes((0.045, 0.085, 0.91, 0.24))
    changed = sensitivity_table(report)
    if changed is None:
        axes.set_axis_off()
        axes.text(
            0,
            0.9,
            "Sensitivity to spread, delay, noise and search is part of FULL and COMPREHENSIVE validations.",
            color=MUTED,
            fontsize=8,
        )
    else:
        draw(axes, changed, row_height=1 / max(9, len(changed.rows) + 1))
    return figure
