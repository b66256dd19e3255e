"""Out-of-sample against in-sample, fold by fold."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from swt_core.clock import utc_datetime
from swt_validation.page_data import PageData
from swt_validation.pages.style import BLUE, LIGHT_BLUE, MUTED, draw, new_page, thousands
from swt_validation.report import WalkForward
from swt_validation.tables import fold_table, walk_sentence

_ROWS: Final = 14


def walk_forward_page(data: PageData) -> Figure:
    """Rolling and anchored walk-forward of the frozen model."""
    figure = new_page(
        data,
        "Walk-forward",
        "annualised pips out of sample against the training range; in-sample figures serve this page alone",
    )
    for place, walk in enumerate(data.report.walk_forward[:2]):
        bottom = 0.535 - 0.42 * place
        walk_chart(figure.add_axes((0.07, bottom, 0.40, 0.27)), walk)
        draw(
            figure.add_axes((0.515, bottom - 0.03, 0.44, 0.33)),
            fold_table(walk),
            row_height=1 / max(_ROWS, len(walk.folds) + 1),
        )
        figure.text(0.045, bottom + 0.315, walk_sentence(walk), fontsize=9.5, weight="bold")
    return figure


def walk_chart(axes: Axes, walk: WalkForward) -> None:
    """Annualised pips of each fold beside the training range's."""
    places = np.arange(len(walk.folds))
    axes.bar(
        places - 0.2,
        [fold.in_sample_annual_pips for fold in walk.folds],
        0.38,
        color=LIGHT_BLUE,
        label="in sample",
    )
    axes.bar(places + 0.2, [fold.annual_pips for fold in walk.folds], 0.38, color=BLUE, label="out of sample")
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xticks(places, [f"{utc_datetime(fold.start_s):%m-%d}" for fold in walk.folds])
    axes.yaxis.set_major_formatter(thousands)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))
    # Inside: beside labels of six digits it would leave the page.
    axes.text(0.01, 0.975, "a year, pips", color=MUTED, va="top", transform=axes.transAxes)
    axes.legend(loc="upper right", ncols=2)
