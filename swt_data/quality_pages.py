"""The quality report as a picture and as one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swt_core import calendar
from swt_core.clock import iso_utc
from swt_core.state import write_bytes
from swt_data.bars import Bars
from swt_data.quality import BIG_BAR_PIPS, QualityReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAXIMUM_POINTS = 4000
_BLUE, _RED, _GREY = "#2a6f97", "#c1121f", "#8d99ae"


def table_rows(report: QualityReport) -> list[tuple[str, str]]:
    """The report as name and value, in the order a reader wants them; for terminal and page alike."""
    alignment = report.alignment
    rows = [
        ("bars", f"{report.bars:,}"),
        ("from – to (UTC)", f"{iso_utc(report.first_s)} – {iso_utc(report.last_s)}"),
        ("range, mean / 99 % / largest", _ranges(report)),
        (f"bars above {BIG_BAR_PIPS:g} pips", f"{report.big_bar_share:.2%}"),
        ("coverage of open minutes", f"{report.coverage:.2%}"),
    ]
    rows += [
        (f"gaps: {kind.replace('_', ' ')}", f"{gap.count:,} ({gap.minutes:,} min)")
        for kind, gap in report.gaps.items()
    ]
    rows += [
        (f"defects: {kind.replace('_', ' ')}", f"{count:,}") for kind, count in report.defect_counts.items()
    ]
    rows.append(
        (
            "weeks off New York's edges",
            f"{alignment.misaligned_weeks} of {alignment.weeks} (summer "
            f"{alignment.late_summer_weeks} late, {alignment.early_summer_weeks} early; winter "
            f"{alignment.late_winter_weeks} late, {alignment.early_winter_weeks} early)",
        )
    )
    if report.spread_by_hour_pips:
        known = [pips for pips in report.spread_by_hour_pips if not np.isnan(pips)]
        rows.append(("median spread by hour, least – most", f"{min(known):.1f} – {max(known):.1f} pips"))
    return rows


def write_png(report: QualityReport, bars: Bars, path: Path) -> None:
    """Write the picture: prices with defects, ranges, coverage by week, spread or volume by hour."""
    write_bytes(path, _png(report, bars))


def write_html(report: QualityReport, bars: Bars, path: Path, title: str) -> None:
    """Write one page with verdict, figures, table and picture; it needs no other file."""
    picture = base64.b64encode(_png(report, bars)).decode()
    verdict = "accepted" if report.accepted else "refused"
    notes = "".join(f"<li class=refused>{html.escape(reason)}</li>" for reason in report.reasons)
    notes += "".join(f"<li>{html.escape(warning)}</li>" for warning in report.warnings)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in table_rows(report)
    )
    page = f"""<!doctype html>
<html lang=en><meta charset=utf-8><title>{html.escape(title)}: {verdict}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; color: #222 }}
th {{ text-align: left; font-weight: normal; padding-right: 2rem; color: #555 }}
td {{ font-variant-numeric: tabular-nums }} img {{ width: 100% }} .refused {{ color: {_RED} }}
</style>
<h1>{html.escape(title)}</h1>
<p>{html.escape(report.instrument)}: <strong class={verdict}>{verdict}</strong></p>
<ul>{notes}</ul>
<table>{rows}</table>
<p><img alt="Prices, ranges, coverage and hours" src="data:image/png;base64,{picture}"></p>
</html>
"""
    write_bytes(path, page.encode())


def _ranges(report: QualityReport) -> str:
    return f"{report.mean_range_pips:.2f} / {report.p99_range_pips:.1f} / {report.max_range_pips:.1f} pips"


def _png(report: QualityReport, bars: Bars) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    verdict = "accepted" if report.accepted else "refused: " + "; ".join(report.reasons)
    figure.suptitle(f"{report.instrument}, {report.bars:,} bars: {verdict}", wrap=True)
    panels = figure.subplots(2, 2)
    _prices(panels[0][0], report, bars)
    _range_histogram(panels[0][1], bars)
    _coverage_by_week(panels[1][0], bars)
    _by_hour(panels[1][1], report, bars)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _prices(axes: Axes, report: QualityReport, bars: Bars) -> None:
    price = bars.close_hp / 2 / 10**bars.instrument.display_precision
    time = bars.time_s.astype("datetime64[s]")
    step = max(1, len(bars) // _MAXIMUM_POINTS)
    axes.plot(time[::step], price[::step], color=_BLUE, linewidth=0.8)
    wrong = np.flatnonzero(report.error_mask)[:_MAXIMUM_POINTS]
    axes.plot(time[wrong], price[wrong], "x", color=_RED, label=f"data errors ({len(wrong)})")
    if len(wrong):
        axes.legend()
    axes.set(title="Close", xlabel="UTC")
    axes.tick_params(axis="x", rotation=20)


def _range_histogram(axes: Axes, bars: Bars) -> None:
    ranges = bars.range_pips
    axes.hist(np.clip(ranges, 0, 60), bins=120, color=_BLUE)
    axes.axvline(BIG_BAR_PIPS, color=_RED, linewidth=1, label=f"{BIG_BAR_PIPS:g} pips")
    axes.set(title="Range of a bar (60 and more in the last bin)", xlabel="pips", yscale="log")
    axes.legend()


def _coverage_by_week(axes: Axes, bars: Bars) -> None:
    week = calendar.week_number(bars.time_s[calendar.is_open(bars.time_s)])
    if not len(week):
        return
    weeks, counts = np.unique(week, return_counts=True)
    share = np.zeros(int(weeks[-1] - weeks[0]) + 1)
    share[weeks - weeks[0]] = counts / (5 * calendar.OPEN_S_PER_DAY / calendar.MINUTE_S)
    axes.bar(np.arange(len(share)), 100 * share, width=1.0, color=_BLUE)
    axes.set(title="Bars of each week, % of open minutes", xlabel="week")


def _by_hour(axes: Axes, report: QualityReport, bars: Bars) -> None:
    hours = np.arange(24)
    if report.spread_by_hour_pips:
        axes.bar(hours, report.spread_by_hour_pips, color=_BLUE)
        axes.set(title="Median spread by hour of New York", xlabel="hour", ylabel="pips")
        return
    hour = calendar.new_york_seconds(bars.time_s) // 3600 % 24
    count = np.bincount(hour, minlength=24)
    mean = np.bincount(hour, weights=bars.range_pips, minlength=24) / np.maximum(count, 1)
    axes.bar(hours, mean, color=_GREY)
    axes.set(title="Mean range by hour of New York", xlabel="hour", ylabel="pips")
