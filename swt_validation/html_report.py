"""`report.html`: what the PDF says, in one file that any browser shows without a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from matplotlib.axes import Axes

from swt_core.clock import iso_utc
from swt_core.state import write_bytes
from swt_validation.analysis import day_text
from swt_validation.evaluation import TradeColumns
from swt_validation.html_parts import (
    bullets,
    chart,
    document,
    html_table,
    paragraph,
    section,
    side_by_side,
)
from swt_validation.page_data import PageData
from swt_validation.pages.calendar import bucket_chart, heat_map_chart
from swt_validation.pages.equity import BAND_CURVES, band_chart, deepest_pips, equity_chart, underwater_chart
from swt_validation.pages.price import chosen_episodes, price_chart
from swt_validation.pages.provenance import DEFINITIONS, DISCLAIMER
from swt_validation.pages.risk import (
    drawdown_chart,
    growth_chart,
    luck_chart,
    scenario_drawdown_chart,
    scenario_growth_chart,
    sizing_sentences,
)
from swt_validation.pages.summary import NEVER_TRADED, key_figures, market_kind, reasons_heading
from swt_validation.pages.trading import TRADE_CHARTS
from swt_validation.pages.walkforward import walk_chart
from swt_validation.report import Report
from swt_validation.tables import (
    bandy_table,
    bars_table,
    baseline_table,
    cost_table,
    drawdown_table,
    event_table,
    fold_table,
    judged_table,
    luck_table,
    scenario_table,
    sensitivity_table,
    statistics_table,
    walk_sentence,
)
from swt_validation.trades import Bucket
from swt_validation.wording import pips, share

_WIDE = (9.0, 3.0)
_WIDE_BOX = (0.08, 0.13, 0.905, 0.84)
_BOX_PLOT_BOX = (0.36, 0.12, 0.60, 0.85)


def write_html(path: Path, data: PageData) -> None:
    """Write the report; the same data gives the same bytes.

    Raises:
        StateError: the file cannot be written.
    """
    write_bytes(path, html_report(data).encode())


def html_report(data: PageData) -> str:
    """The page as text."""
    report = data.report
    traded = report.trades.trades > 0
    nothing = [paragraph(NEVER_TRADED, "muted")]
    sections = [
        ("equity", "Equity", _equity(data) if traded else nothing),
        ("risk", "Risk and growth", _risk(data) if traded else nothing),
        ("statistics", "Statistics", _statistics(data)),
        ("walk-forward", "Walk-forward", _walk_forward(report) if traded else nothing),
        ("calendar", "When it earns", _calendar(data) if traded else nothing),
        ("trades", "Trades", _trades(data) if traded else nothing),
        ("assumptions", "Assumptions and provenance", _assumptions(report)),
    ]
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in sections)
    body = [
        _head(report),
        "<main>",
        _verdict(report),
        f'<nav aria-label="Sections">{links}</nav>',
        *(section(name, title, *parts) for name, title, parts in sections),
        "</main>",
        f"<footer>{paragraph(DISCLAIMER)}{paragraph(_footer(report), 'muted')}</footer>",
    ]
    return document(f"{report.verdict.decision.value}: {report.verdict.checkpoint_name}", body)


def _head(report: Report) -> str:
    data = report.verdict.data
    unit = "trading weeks, bar by bar" if report.mode == "weeks" else "sessions"
    kind, _ = market_kind(report)
    text = (
        f"{data.instrument.replace('_', '/')} · {day_text(report.day_numbers[0])} – "
        f"{day_text(report.day_numbers[-1])} · {report.episodes:,} {unit} · {kind} · level {report.level}"
    )
    return f"<header><h1>Validation report</h1>{paragraph(text, 'muted')}</header>"


def _footer(report: Report) -> str:
    verdict = report.verdict
    return (
        f"{verdict.checkpoint_name} · sha256 {verdict.checkpoint_sha256[:16]}… · {report.level} · "
        f"{iso_utc(verdict.created_s)}"
    )


def _verdict(report: Report) -> str:
    verdict = report.verdict
    scores = "".join(
        f'<span>{escape(name)}</span><meter min="0" max="100" value="{value:.0f}" '
        f'aria-label="{escape(name)}: {value:.0f} of 100"></meter><span>{value:.0f}</span>'
        for name, value in report.score.components.items()
    )
    cards = "".join(
        f"<div><dt>{escape(name)}</dt><dd><b>{escape(value)}</b>{escape(detail)}</dd></div>"
        for name, value, detail in key_figures(report)
    )
    notes = []
    _, warning = market_kind(report)
    if warning is not None:
        notes.append(paragraph(warning, "note"))
    if not report.complete:
        notes.append(
            paragraph(f"Cut short by its time limit; left out: {', '.join(report.missing)}.", "note")
        )
    return (
        '<section id="verdict" aria-label="Verdict"><div class="lead">'
        f'<div class="decision"><strong class="{verdict.decision.value}">{verdict.decision.value}</strong>'
        f"<p>score {verdict.score:.1f} of 100 · grade {escape(verdict.grade)}</p>"
        f'<div class="scores">{scores}</div></div>'
        f"<div><h3>{escape(reasons_heading(report))}</h3>{bullets(verdict.reasons, 'No reason was given.')}"
        f"{''.join(notes)}</div></div>"
        f'<dl class="cards">{cards}</dl>'
        + side_by_side(
            f"<div><h3>Strengths</h3>{bullets(report.strengths, 'None worth naming.')}</div>",
            f"<div><h3>Weaknesses</h3>{bullets(report.weaknesses, 'None worth naming.')}</div>",
        )
        + "</section>"
    )


def _equity(data: PageData) -> list[str]:
    report = data.report
    falls = drawdown_table(report)
    total = pips(report.trades.total_pips, 0)
    return [
        chart(
            "equity-curve",
            "Cumulative profit (pips)",
            f"Marked bar by bar at the executable price, one unit, after all costs; it ends at {total} pips "
            f"after {report.daily.days} trading days, {report.trades.exposure:.0%} of the time in trades.",
            partial(equity_chart, data=data),
            inches=_WIDE,
            box=_WIDE_BOX,
        ),
        chart(
            "underwater",
            "Underwater (pips)",
            f"How far equity lay below its highest point so far; at the deepest {deepest_pips(data)}.",
            partial(underwater_chart, data=data),
            inches=(_WIDE[0], 2.0),
            box=(0.08, 0.19, 0.905, 0.76),
        ),
        side_by_side(
            chart(
                "band",
                "Best, worst, median and 95 % band",
                f"The observed days drawn anew {BAND_CURVES:,} times, in pips by trading day.",
                partial(band_chart, data=data),
            ),
            html_table(falls) if falls else paragraph("Daily equity never fell.", "muted"),
        ),
    ]


def _risk(data: PageData) -> list[str]:
    report = data.report
    bandy = report.bandy.conservative
    scenarios = scenario_table(report)
    at_size = f"{report.size.fraction:.2f}× equity"
    parts = [
        side_by_side(
            chart(
                "growth",
                "Compound annual growth at safe-f",
                f"Two years of resampled days at safe-f {bandy.safe_f:.2f}; a quarter of them grow by less "
                f"than {share(bandy.car25)} a year (CAR25).",
                partial(growth_chart, data=data),
            ),
            chart(
                "drawdown",
                "Maximum drawdown at safe-f",
                f"The largest fall of each resampled future; one in 20 exceeds {share(bandy.drawdown95)}.",
                partial(drawdown_chart, data=data),
            ),
        ),
        html_table(bandy_table(report)),
        paragraph(sizing_sentences(report), "muted"),
    ]
    if scenarios is not None:
        parts += [
            side_by_side(
                chart(
                    "scenario-growth",
                    "Stress scenarios: growth a year",
                    f"Boxes: half of the resampled curves at {at_size}; whiskers: 95 %. The amber line is no "
                    "growth.",
                    partial(scenario_growth_chart, data=data),
                    box=_BOX_PLOT_BOX,
                ),
                chart(
                    "scenario-drawdown",
                    "Stress scenarios: maximum drawdown",
                    f"At {at_size}. The amber line is the limit of 25 %.",
                    partial(scenario_drawdown_chart, data=data),
                    box=_BOX_PLOT_BOX,
                ),
            ),
            html_table(scenarios),
        ]
    else:
        parts.append(paragraph("Without trades there is nothing to stress.", "muted"))
    return parts


def _statistics(data: PageData) -> list[str]:
    report = data.report
    changed = sensitivity_table(report)
    p_value = report.significance.p_value
    luck = "undefined without trades" if p_value is None else f"p = {p_value:.4f}"
    return [
        paragraph(
            "Intervals: 95 %, percentile bootstrap. – is undefined, ∞ means that nothing was lost.", "muted"
        ),
        html_table(statistics_table(report)),
        html_table(baseline_table(report)),
        side_by_side(
            html_table(luck_table(report)),
            chart(
                "luck",
                "Random entries at the same costs (pips)",
                "The agent's own trades, with their sides and durations, placed at random times of the same "
                f"episodes; the line is the agent ({luck}).",
                partial(luck_chart, data=data),
                inches=(6.2, 2.6),
                box=(0.04, 0.14, 0.93, 0.84),
            ),
        ),
        html_table(changed)
        if changed
        else paragraph("Sensitivity is part of FULL and COMPREHENSIVE validations.", "muted"),
    ]


def _walk_forward(report: Report) -> list[str]:
    if not report.walk_forward:
        return [paragraph("Walk-forward is part of COMPREHENSIVE validations.", "muted")]
    parts = [
        paragraph(
            "Annualised pips out of sample against the training range; in-sample figures serve this section "
            "alone.",
            "muted",
        )
    ]
    for walk in report.walk_forward:
        title = f"{walk.scheme.capitalize()} folds"
        drawn = partial(walk_chart, walk=walk)
        parts += [
            chart(f"walk-{walk.scheme}", title, walk_sentence(walk), drawn),
            html_table(fold_table(walk)),
        ]
    return parts


def _calendar(data: PageData) -> list[str]:
    parts = data.report.breakdown
    events = event_table(data.report)

    def buckets(name: str, title: str, found: list[Bucket]) -> str:
        caption = "Pips; the number of trades stands above each bar."
        return chart(name, title, caption, partial(bucket_chart, buckets=found))

    return [
        chart(
            "heat-map",
            "Profit of each trading day",
            "Pips; trading days run from 17:00 to 17:00 New York and are named by their closing date.",
            partial(_heat_map, data=data),
            inches=_WIDE,
            box=(0.06, 0.12, 0.83, 0.85),
        ),
        side_by_side(
            buckets("hours", "By New York hour of entry", parts.hours),
            buckets("weekdays", "By trading day", parts.weekdays),
            buckets("volatility", "By volatility at entry (thirds of the trades)", parts.volatility),
            html_table(events)
            if events
            else paragraph("The evaluated range covers none of the named events.", "muted"),
        ),
    ]


def _heat_map(axes: Axes, data: PageData) -> None:
    heat_map_chart(axes, data, axes.figure.add_axes((0.905, 0.12, 0.015, 0.85)))


def _trades(data: PageData) -> list[str]:
    trades = data.run.evaluation.trades
    shown = [
        chart(
            f"price-{number}",
            episode.title,
            "Mid price (UTC); triangles are entries, dots exits, green won and red lost.",
            partial(price_chart, data=data, shown=episode),
            inches=_WIDE,
            box=_WIDE_BOX,
        )
        for number, episode in enumerate(chosen_episodes(data))
    ]
    dots = [
        chart(
            f"trade-{number}",
            name,
            (draw.__doc__ or "").strip(),
            partial(_dots, draw=draw, trades=trades),
            box=(0.115, 0.175, 0.865, 0.80),
        )
        for number, (name, draw) in enumerate(TRADE_CHARTS.items())
    ]
    return [*shown, side_by_side(*dots), paragraph("The complete list is in trades.csv.", "muted")]


def _dots(axes: Axes, draw: Callable[[Axes, TradeColumns], None], trades: TradeColumns) -> None:
    draw(axes, trades)


def _assumptions(report: Report) -> list[str]:
    return [
        side_by_side(
            html_table(judged_table(report), facts=True), html_table(bars_table(report), facts=True)
        ),
        html_table(cost_table(report), facts=True),
        "<h3>Definitions</h3>",
        *(paragraph(text) for text in DEFINITIONS),
    ]
