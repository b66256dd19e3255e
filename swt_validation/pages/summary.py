"""Page one: the verdict, its reasons, the score and the figures that matter most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from matplotlib.figure import Figure

from swt_validation.analysis import day_text
from swt_validation.page_data import PageData
from swt_validation.pages.style import (
    AMBER,
    DECISION_COLOURS,
    FAINT,
    GREEN,
    INK,
    MUTED,
    RED,
    new_page,
    panel,
    wrap,
)
from swt_validation.report import Report
from swt_validation.tables import limited_by
from swt_validation.trades import Interval
from swt_validation.wording import pips, ratio, share

SYNTHETIC_NOTE: Final = (
    "A simulated market: its edge is planted, its growth figures are unreal, and this verdict never moves "
    "real money."
)
TRAINED_ON_SYNTHETIC_NOTE: Final = (
    "Recorded bars, but a model that was trained on a simulated market: this verdict never moves real money."
)
NEVER_TRADED: Final = "The agent never traded, so there is nothing to show here."


def market_kind(report: Report) -> tuple[str, str | None]:
    """What kind of market it was, and a warning where anything was simulated."""
    data = report.verdict.data
    if not data.synthetic:
        return "recorded market", None
    if data.source.startswith("synthetic"):
        return "simulated market", SYNTHETIC_NOTE
    return "recorded market", TRAINED_ON_SYNTHETIC_NOTE


def verdict_page(data: PageData) -> Figure:
    """Verdict first, reasons beside it, key figures below."""
    report, verdict = data.report, data.report.verdict
    colour = DECISION_COLOURS[verdict.decision]
    span = f"{day_text(report.day_numbers[0])} – {day_text(report.day_numbers[-1])}"
    unit = "trading weeks, bar by bar" if report.mode == "weeks" else "sessions"
    kind, warning = market_kind(report)
    figure = new_page(
        data,
        "Validation report",
        f"{verdict.data.instrument.replace('_', '/')}   ·   {span}   ·   {report.episodes} {unit}   ·   "
        f"{kind}",
    )
    if warning is not None:
        figure.text(0.345, 0.589, warning, fontsize=8.5, color=AMBER, va="center")
    panel(figure, 0.045, 0.60, 0.27, 0.265)
    figure.text(0.18, 0.792, verdict.decision.value, fontsize=36, weight="bold", color=colour, ha="center")
    figure.text(
        0.18, 0.735, f"score {verdict.score:.1f} of 100   ·   grade {verdict.grade}", fontsize=11, ha="center"
    )
    _score_bars(figure, report)
    _reasons(figure, report)
    _tiles(figure, report)
    _sentences(figure, report)
    return figure


def _score_bars(figure: Figure, report: Report) -> None:
    axes = figure.add_axes((0.15, 0.615, 0.13, 0.095))
    names = list(report.score.components)
    values = list(report.score.components.values())
    places = range(len(names))
    axes.barh(places, [100] * len(names), color=FAINT, height=0.55)
    axes.barh(places, values, color=INK, height=0.55)
    for place, value in zip(places, values, strict=True):
        axes.text(103, place, f"{value:.0f}", va="center", fontsize=7.5, color=MUTED)
    axes.set_yticks(places, [name.replace(" return", "") for name in names], fontsize=7.5)
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def reasons_heading(report: Report) -> str:
    """What the reasons are reasons for."""
    return {
        "DEPLOY": "Why it may trade",
        "REJECT": "Why it is rejected",
    }.get(report.verdict.decision.value, "What stands between it and real money")


def _reasons(figure: Figure, report: Report) -> None:
    heading = reasons_heading(report)
    figure.text(0.345, 0.848, heading, fontsize=12, weight="bold", va="center")
    y = 0.815
    shown = report.verdict.reasons[:8]
    for reason in shown:
        lines = wrap(reason, 92)
        figure.text(0.347, y, "•", fontsize=10, color=DECISION_COLOURS[report.verdict.decision], va="center")
        for line in lines:
            figure.text(0.36, y, line, fontsize=9, va="center")
            y -= 0.0225
        y -= 0.005
    if len(report.verdict.reasons) > len(shown):
        figure.text(
            0.36, y, f"… and {len(report.verdict.reasons) - len(shown)} more.", fontsize=9, color=MUTED
        )
    if not report.complete:
        figure.text(
            0.36,
            0.607,
            f"Cut short by its time limit; left out: {', '.join(report.missing)}.",
            fontsize=8.5,
            color=RED,
            va="center",
        )


def key_figures(report: Report) -> list[tuple[str, str, str]]:
    """The eight figures that matter most: name, value, detail."""
    trades, daily = report.trades, report.daily
    bandy = report.bandy.conservative
    expectancy = trades.expectancy_pips
    inference = report.significance.sharpe
    limit = f"safe-f {bandy.safe_f:.2f}, limited by {limited_by(bandy.outcome)}"
    reliable = "" if trades.sqn.reliable else ", too few trades"
    return [
        ("Profit after costs", f"{pips(trades.total_pips, 0)} pips", f"{trades.trades:,} trades"),
        (
            "Expectancy a trade",
            "–" if expectancy.value is None else f"{pips(expectancy.value, 2)} pips",
            _within(expectancy, pips),
        ),
        ("SQN", ratio(trades.sqn.value), f"{trades.sqn.label}{reliable}"),
        (
            "Sharpe (daily NAV)",
            ratio(daily.sharpe.value),
            _within(daily.sharpe, ratio),
        ),
        ("Profit factor", ratio(trades.profit_factor.value), f"win rate {share(trades.win_rate.value)}"),
        (
            "CAR25 at safe-f",
            share(bandy.car25),
            limit,
        ),
        (
            "Drawdown, traded size",
            share(report.size.observed_drawdown),
            f"95th percentile {share(report.size.drawdown95)} at {report.size.fraction:.2f}×",
        ),
        (
            "Could it be luck?",
            "–" if report.significance.p_value is None else f"p = {report.significance.p_value:.3f}",
            "deflated Sharpe –" if inference is None else f"deflated Sharpe {inference.deflated:.3f}",
        ),
    ]


def _within(interval: Interval, show: Callable[[float | None, int], str]) -> str:
    if interval.low is None:
        return "no interval: too few to resample"
    return f"95 %: {show(interval.low, 2)} … {show(interval.high, 2)}"


def _tiles(figure: Figure, report: Report) -> None:
    width, gap = 0.2185, 0.012
    for number, (name, value, detail) in enumerate(key_figures(report)):
        left = 0.045 + (number % 4) * (width + gap)
        bottom = 0.462 - (number // 4) * 0.125
        panel(figure, left, bottom, width, 0.112)
        figure.text(left + 0.014, bottom + 0.088, name, fontsize=8.5, color=MUTED, va="center")
        figure.text(left + 0.014, bottom + 0.054, value, fontsize=16, weight="bold", va="center")
        figure.text(left + 0.014, bottom + 0.021, detail, fontsize=8, color=MUTED, va="center")


def _sentences(figure: Figure, report: Report) -> None:
    for left, heading, sentences, colour in (
        (0.045, "Strengths", report.strengths, GREEN),
        (0.515, "Weaknesses", report.weaknesses, RED),
    ):
        figure.text(left, 0.292, heading, fontsize=11, weight="bold", color=colour, va="center")
        y = 0.262
        for sentence in sentences or ["None worth naming."]:
            for line in wrap(sentence, 74):
                figure.text(left, y, line, fontsize=8.8, va="center")
                y -= 0.0225
            y -= 0.006
