"""The last page: what was judged, on which bars, at which costs, by which definitions."""

from __future__ import annotations

from typing import Final

from matplotlib.figure import Figure

from swt_validation.page_data import PageData
from swt_validation.pages.style import draw, new_page, wrap
from swt_validation.tables import bars_table, cost_table, judged_table

DEFINITIONS: Final = (
    "Decisions are made at a bar's close on closed bars alone and fill at the next bar's open; open trades "
    "are marked at the price they could be closed at.",
    "Daily NAV is taken at 17:00 New York, flat days kept; Sharpe = mean/std·√252 of its returns. Returns "
    "are pips·pip/entry price, unlevered.",
    "SQN = √min(N, 100)·mean/std of R; below 30 trades it is shown, never used.",
    "Safe-f is the largest leverage (at most 20) at which the 95th percentile of maximum drawdown over "
    "504 trading days stays within 20 %; CAR25 is the 25th percentile of compound annual return there "
    "(Bandy).",
    "The p-value places the agent's own trades, with their sides, durations and costs, at random times of "
    "the same episodes. The deflated Sharpe ratio asks whether luck's best of all checkpoints tried on this "
    "range would look as good.",
)

DISCLAIMER: Final = (
    "Past results, resampled or not, are no promise. This report describes how one frozen model would have "
    "traded the stated bars under the stated assumptions."
)


def provenance_page(data: PageData) -> Figure:
    """Data, costs and provenance."""
    figure = new_page(data, "Assumptions and provenance", "enough to do it again")
    for box, content in (
        ((0.045, 0.585, 0.52, 0.28), judged_table(data.report)),
        ((0.60, 0.595, 0.355, 0.27), bars_table(data.report)),
        ((0.045, 0.235, 0.52, 0.31), cost_table(data.report)),
    ):
        draw(figure.add_axes(box), content, size=7.6)
    y = 0.54
    figure.text(0.60, y, "Definitions", fontsize=10, weight="bold")
    y -= 0.03
    for definition in DEFINITIONS:
        for line in wrap(definition, 66):
            figure.text(0.60, y, line, fontsize=8)
            y -= 0.021
        y -= 0.008
    figure.text(
        0.045,
        0.10,
        DISCLAIMER,
        fontsize=7.5,
        style="italic",
    )
    return figure
