"""How every page looks: colours, fonts, number formats, header and footer, tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter

from swt_core.clock import iso_utc
from swt_core.verdict import Decision
from swt_validation.page_data import PageData
from swt_validation.tables import Table

PAGE_INCHES: Final = (11.69, 8.27)
INK: Final = "#16243a"
MUTED: Final = "#64748b"
FAINT: Final = "#e2e8f0"
PANEL: Final = "#f6f8fb"
BLUE: Final = "#1f5fa8"
LIGHT_BLUE: Final = "#9cc3ea"
GREEN: Final = "#17804a"
RED: Final = "#b3261e"
AMBER: Final = "#b26a00"
DECISION_COLOURS: Final = {
    Decision.DEPLOY: GREEN,
    Decision.TEST: BLUE,
    Decision.IMPROVE: AMBER,
    Decision.REJECT: RED,
}
RC: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#b8c4d3",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
}


# Tick labels as people write amounts.
thousands: Final = FuncFormatter(lambda value, _: f"{value:,.0f}")
percent: Final = FuncFormatter(lambda value, _: f"{value:.0%}")


def new_page(data: PageData, title: str, subtitle: str = "") -> Figure:
    """An empty page with header and footer."""
    figure = Figure(figsize=PAGE_INCHES, facecolor="white")
    verdict = data.report.verdict
    figure.text(0.045, 0.945, title, fontsize=17, weight="bold", va="center")
    if subtitle:
        figure.text(0.045, 0.912, subtitle, fontsize=9, color=MUTED, va="center")
    figure.text(
        0.955,
        0.945,
        verdict.decision.value,
        fontsize=10,
        weight="bold",
        color="white",
        ha="right",
        va="center",
        bbox={"boxstyle": "round,pad=0.45", "facecolor": DECISION_COLOURS[verdict.decision], "lw": 0},
    )
    rule(figure, 0.89)
    rule(figure, 0.045)
    figure.text(
        0.045,
        0.028,
        f"{verdict.checkpoint_name}   ·   sha256 {verdict.checkpoint_sha256[:16]}…   ·   "
        f"{data.report.level}   ·   {iso_utc(verdict.created_s)}",
        fontsize=7,
        color=MUTED,
        va="center",
    )
    return figure


def rule(figure: Figure, y: float) -> None:
    """A thin line across the page."""
    figure.add_artist(Line2D([0.045, 0.955], [y, y], color=FAINT, lw=1, transform=figure.transFigure))


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> None:
    """A softly filled rounded box, in figure coordinates."""
    figure.add_artist(
        FancyBboxPatch(
            (left, bottom),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.008",
            facecolor=PANEL,
            edgecolor=FAINT,
            lw=0.8,
            transform=figure.transFigure,
            mutation_aspect=PAGE_INCHES[0] / PAGE_INCHES[1],
            zorder=-1,
        )
    )


def table(
    axes: Axes,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    *,
    row_height: float | None = None,
    bold_rows: Sequence[int] = (),
    size: float = 8,
) -> None:
    """A table in an axes: first column left-aligned, the others right-aligned, hair lines between rows."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    height = row_height or 1 / (len(rows) + 1)
    edges = np.concatenate(([0.0], np.cumsum(widths) / sum(widths)))
    below = [1 - (number + 1) * height for number in range(len(rows) + 1)]
    colours = ["#b8c4d3", *[FAINT] * len(rows)]
    lines = [[(0, y), (1, y)] for y in below]
    axes.add_collection(
        LineCollection(lines, colors=colours, linewidths=0.8, capstyle="projecting", clip_on=True),
        autolim=False,
    )
    for number, row in enumerate([header, *rows]):
        y = 1 - (number + 0.5) * height
        for column, text in enumerate(row):
            first = column == 0
            axes.text(
                edges[column] + 0.008 if first else edges[column + 1] - 0.008,
                y,
                text,
                ha="left" if first else "right",
                va="center",
                fontsize=size,
                color=MUTED if number == 0 else _tone(text),
                weight="bold" if number == 0 or number - 1 in bold_rows else "normal",
            )


def draw(axes: Axes, content: Table, *, row_height: float | None = None, size: float = 8) -> None:
    """A `Table` in an axes."""
    table(
        axes,
        content.header,
        content.rows,
        content.widths,
        row_height=row_height,
        bold_rows=content.bold,
        size=size,
    )


def remark(axes: Axes, text: str) -> None:
    """An axes that has nothing to show says why."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def _tone(text: str) -> str:
    """Green for a gain, red for a loss; ranges and pairs stay as they are."""
    number = text.removesuffix(" pips").replace(",", "")
    if number[:1] not in ("+", "-") or not any(digit in number for digit in "123456789"):
        return INK
    plain = number[1:].replace(".", "").isdigit()
    return INK if not plain else GREEN if number[0] == "+" else RED


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters."""
    return textwrap.wrap(text, width) or [""]
