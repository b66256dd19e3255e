"""Out-of-sample against in-sample, fold by fold."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from swt_core.clock import utc_datetime
from swt_validation.pages.style import BLUE, LIGHT_BLUE, MUTED, PageData, new_page, table
from swt_validation.report import WalkForward
from swt_validation.wording import pips, ratio, share


def walk_forward_page(data: PageData) -> Figure:
    """Rolling and anchored walk-forward of the frozen model."""
    figure = new_page(
        data,
        "Walk-forward",
        "annualised pips out of sample against the training range; in-sample figures serve this page alone",
    )
    for place, walk in enumerate(data.report.walk_forward[:2]):
        bottom = 0.53 - 0.43 * place
        _chart(figure.add_axes((0.07, bottom, 0.40, 0.28)), walk)
        rows = [
            [
                f"{utc_datetime(fold.start_s):%Y-%m-%d}",
                f"{fold.weeks}",
                f"{fold.trades}",
                pips(fold.total_pips, 0),
                pips(fold.annual_pips, 0),
                pips(fold.in_sample_annual_pips, 0),
                ratio(fold.efficiency),
            ]
            for fold in walk.folds
        ]
        axes = figure.add_axes((0.515, bottom - 0.01, 0.44, 0.31))
        table(
            axes,
            ["From", "weeks", "trades", "pips", "a year", "in-sample", "efficiency"],
            rows,
            [1.4, 0.8, 0.8, 1, 1.1, 1.2, 1.1],
            row_height=1 / 11,
        )
        figure.text(
            0.07,
            bottom + 0.33,
            f"{walk.scheme.capitalize()}: efficiency {ratio(walk.efficiency)}, "
            f"t = {ratio(walk.t_statistic)}, {share(walk.profitable_share, 0)} of the folds profitable, "
            f"robustness {walk.robustness:.0f} of 100",
            fontsize=9.5,
            weight="bold",
        )
    return figure


def _chart(axes: Axes, walk: WalkForward) -> None:
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
    axes.set_ylabel("pips a year")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))
    axes.legend(loc="upper right", ncols=2)
