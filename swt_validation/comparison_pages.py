"""A comparison on paper and on screen: the conclusion first, then figures, courses and provenance."""

from __future__ import annotations

from functools import partial
from html import escape
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from swt_core.clock import iso_utc
from swt_core.state import write_bytes
from swt_validation.comparison import Comparison
from swt_validation.html_parts import chart, document, html_table, paragraph, section, side_by_side
from swt_validation.pages.style import (
    AMBER,
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAGE_INCHES,
    RC,
    RED,
    draw,
    rule,
    thousands,
    wrap,
)
from swt_validation.tables import Table
from swt_validation.wording import pips, ratio, share

TRIAL_NOTE = (
    "Comparing looks at the held-out range: both runs count as trials in every later verdict. Weeks are "
    "resampled in blocks, the same weeks for both; p-values are two-sided and not corrected for the number "
    "of statistics."
)


def difference_table(comparison: Comparison) -> Table:
    """Each statistic of both, and its difference with interval and p-value."""
    names = {
        "pips per episode": f"Pips a {comparison.mode[:-1]}",
        "SQN": "SQN",
        "Sharpe": "Sharpe, daily NAV",
    }
    rows = tuple(
        (
            names[name],
            ratio(found.first),
            ratio(found.second),
            pips(found.difference, 2),
            "–" if found.low is None else f"{pips(found.low, 2)} … {pips(found.high, 2)}",
            "–" if found.p_value is None else f"{found.p_value:.4f}",
        )
        for name, found in comparison.differences.items()
    )
    header = ("Statistic", "first", "second", "difference", "95 % interval", "p-value")
    return Table(header, rows, (1.5, 1, 1, 1, 1.8, 0.9), bold=(0,))


def results_table(comparison: Comparison) -> Table:
    """What both made of the common episodes."""
    rows = tuple(
        (
            label,
            pips(one.result.total_pips, 0),
            f"{one.result.trades:,}",
            pips(one.result.expectancy_pips, 2),
            ratio(one.result.profit_factor),
            share(one.result.win_rate),
            f"{one.result.max_drawdown_pips:,.0f}",
            one.verdict,
        )
        for label, one in (("first", comparison.first), ("second", comparison.second))
    )
    header = ("Checkpoint", "pips", "trades", "a trade", "profit f.", "won", "drawdown", "verdict")
    return Table(header, rows, (0.9, 1, 0.8, 0.9, 0.9, 0.8, 1, 3))


def facts_table(comparison: Comparison) -> Table:
    """Who played what."""
    rows = (
        ("First", comparison.first.name),
        ("sha256", comparison.first.sha256),
        ("Second", comparison.second.name),
        ("sha256", comparison.second.sha256),
        ("Bars", f"{comparison.source}, {comparison.instrument.replace('_', '/')}"),
        ("Range", f"{iso_utc(comparison.start_s)} – {iso_utc(comparison.end_s)}"),
        (
            "Played",
            f"{comparison.episodes:,} {comparison.mode} held out for both, in {comparison.weeks} weeks",
        ),
        (
            "Bootstrap",
            f"{comparison.runs:,} samples, blocks of {comparison.block_weeks} weeks, seed {comparison.seed}",
        ),
        ("Compared", iso_utc(comparison.created_s)),
    )
    return Table(("Provenance", ""), rows, (0.8, 5))


def course_chart(axes: Axes, comparison: Comparison) -> None:
    """Cumulative profit of both, episode by episode, pips."""
    place = np.arange(1, comparison.episodes + 1)
    for label, one, colour in (("first", comparison.first, BLUE), ("second", comparison.second, AMBER)):
        axes.plot(place, np.cumsum(one.episode_pips), color=colour, lw=1.4, label=label)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xlabel(comparison.mode)
    axes.yaxis.set_major_formatter(thousands)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", ncols=2)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.15 * (top - bottom))


def gap_chart(axes: Axes, comparison: Comparison) -> None:
    """First minus second, episode by episode, pips."""
    gap = np.subtract(comparison.first.episode_pips, comparison.second.episode_pips)
    place = np.arange(1, comparison.episodes + 1)
    axes.bar(place, gap, width=0.8, color=np.where(gap >= 0, GREEN, RED), alpha=0.8)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.axhline(float(gap.mean()), color=INK, lw=1.2, ls="--")
    if not gap.any():
        axes.set_ylim(-1, 1)
    axes.set_xlabel(comparison.mode)
    axes.yaxis.set_major_formatter(thousands)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def write_comparison_pdf(path: Path, comparison: Comparison) -> None:
    """One page; the same comparison gives the same bytes.

    Raises:
        StateError: the file cannot be written.
    """
    buffer = BytesIO()
    metadata = {
        "Title": "Comparison of two checkpoints",
        "Creator": "SWT",
        "Producer": None,
        "CreationDate": None,
    }
    with mpl.rc_context(RC), PdfPages(buffer, metadata=metadata) as pdf:
        pdf.savefig(_page(comparison))
    write_bytes(path, buffer.getvalue())


def _page(comparison: Comparison) -> Figure:
    figure = Figure(figsize=PAGE_INCHES, facecolor="white")
    figure.text(0.045, 0.945, "Two checkpoints side by side", fontsize=17, weight="bold", va="center")
    figure.text(0.045, 0.912, _subtitle(comparison), fontsize=9, color=MUTED, va="center")
    rule(figure, 0.89)
    y = 0.86
    for line in wrap(comparison.conclusion, 118):
        figure.text(0.045, y, line, fontsize=11, weight="bold", va="center")
        y -= 0.028
    draw(figure.add_axes((0.045, 0.655, 0.91, 0.125)), difference_table(comparison))
    draw(figure.add_axes((0.045, 0.54, 0.91, 0.09)), results_table(comparison))
    left = figure.add_axes((0.07, 0.325, 0.40, 0.165))
    course_chart(left, comparison)
    left.set_title("Cumulative profit (pips)")
    right = figure.add_axes((0.555, 0.325, 0.40, 0.165))
    gap_chart(right, comparison)
    right.set_title("First minus second (pips; dashed: the mean)")
    draw(figure.add_axes((0.045, 0.075, 0.50, 0.175)), facts_table(comparison), size=6.6)
    y = 0.235
    for line in wrap(TRIAL_NOTE, 62):
        figure.text(0.60, y, line, fontsize=8, color=MUTED, va="center")
        y -= 0.022
    rule(figure, 0.045)
    return figure


def _subtitle(comparison: Comparison) -> str:
    kind = "simulated market" if comparison.synthetic else "recorded market"
    return (
        f"{comparison.instrument.replace('_', '/')}   ·   {iso_utc(comparison.start_s)[:10]} – "
        f"{iso_utc(comparison.end_s)[:10]}   ·   {comparison.episodes:,} {comparison.mode}   ·   {kind}"
    )


def write_comparison_html(path: Path, comparison: Comparison) -> None:
    """The same as a self-contained page.

    Raises:
        StateError: the file cannot be written.
    """
    course = chart(
        "course",
        "Cumulative profit (pips)",
        f"Both over the same {comparison.episodes:,} {comparison.mode}.",
        partial(course_chart, comparison=comparison),
        box=(0.115, 0.175, 0.865, 0.80),
    )
    gap = chart(
        "gap",
        "First minus second (pips)",
        "Green: the first did better; dashed: the mean.",
        partial(gap_chart, comparison=comparison),
        box=(0.115, 0.175, 0.865, 0.80),
    )
    body = [
        f"<header><h1>Two checkpoints side by side</h1>{paragraph(_subtitle(comparison), 'muted')}</header>",
        "<main>",
        f'<section id="conclusion" aria-label="Conclusion"><p><strong>'
        f"{escape(comparison.conclusion)}</strong></p>{paragraph(TRIAL_NOTE, 'note')}</section>",
        section(
            "differences",
            "Differences",
            html_table(difference_table(comparison)),
            html_table(results_table(comparison)),
            side_by_side(course, gap),
        ),
        section("assumptions", "Provenance", html_table(facts_table(comparison), facts=True)),
        "</main>",
    ]
    write_bytes(path, document("Two checkpoints side by side", body).encode())
