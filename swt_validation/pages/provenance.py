"""The last page: what was judged, on which bars, at which costs, by which definitions."""

from __future__ import annotations

from matplotlib.figure import Figure

from swt_core.clock import iso_utc
from swt_validation.pages.style import PageData, new_page, table, wrap
from swt_validation.wording import share

_DEFINITIONS = (
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


def provenance_page(data: PageData) -> Figure:
    """Data, costs and provenance."""
    report = data.report
    verdict, costs, source = report.verdict, report.costs, report.provenance
    figure = new_page(data, "Assumptions and provenance", "enough to do it again")
    judged = [
        ["Checkpoint", verdict.checkpoint_name],
        ["sha256", verdict.checkpoint_sha256],
        ["Configuration", verdict.config_hash],
        ["Architecture, features", f"{source.architecture}, {source.feature_profile}"],
        ["Version, episode", f"{source.checkpoint_version}, {source.checkpoint_episode:,}"],
        ["Trained on", source.training_data],
        ["Code", source.git_commit or "not recorded"],
        ["Search", f"{source.search_algorithm}, {source.simulations} simulations, greedy"],
    ]
    figure_table(figure, (0.045, 0.585, 0.52, 0.28), "What was judged", judged)
    bars = [
        ["Source", verdict.data.source],
        ["sha256 of the bars", f"{verdict.data.sha256[:32]}…"],
        ["Range", f"{iso_utc(verdict.data.start_s)} – {iso_utc(verdict.data.end_s)}"],
        ["Episodes", f"{report.episodes} {report.mode}"],
        ["Seed", str(source.seed)],
        ["Valid until", iso_utc(verdict.expires_s)],
        ["Took", f"{source.elapsed_s:.1f} s"],
    ]
    figure_table(figure, (0.60, 0.62, 0.355, 0.245), "On what", bars)
    mean = costs.mean_entry_spread_pips
    cost_rows = [
        ["Spread", costs.spread],
        ["Mean spread at entry", "–" if mean is None else f"{mean:.2f} pips"],
        ["Slippage of each fill", f"{costs.slippage_pips:.2f} pips"],
        [
            "Financing a day, long / short",
            f"{costs.financing_long_pips_per_day:+.2f} / {costs.financing_short_pips_per_day:+.2f} pips",
        ],
        ["Widest spread for an entry", f"{costs.max_entry_spread_pips:.1f} pips"],
        ["No entries before the week's end", f"{costs.no_entry_minutes_before_week_close} minutes"],
        ["Flat before the week's end", f"{costs.flat_minutes_before_week_close} minutes"],
        ["Least confidence of an entry", share(costs.minimum_confidence, 0)],
        ["Actions", ", ".join(f"{name} {share(value)}" for name, value in report.action_share.items())],
    ]
    figure_table(figure, (0.045, 0.25, 0.52, 0.30), "At what cost", cost_rows)
    y = 0.54
    figure.text(0.60, y, "Definitions", fontsize=10, weight="bold")
    y -= 0.03
    for definition in _DEFINITIONS:
        for line in wrap(definition, 66):
            figure.text(0.60, y, line, fontsize=8)
            y -= 0.021
        y -= 0.008
    figure.text(
        0.045,
        0.10,
        "Past results, resampled or not, are no promise. This report describes how one frozen model would "
        "have traded the stated bars under the stated assumptions.",
        fontsize=7.5,
        style="italic",
    )
    return figure


def figure_table(
    figure: Figure, box: tuple[float, float, float, float], title: str, rows: list[list[str]]
) -> None:
    """A two-column table with a title, in figure coordinates."""
    axes = figure.add_axes(box)
    table(axes, [title, ""], rows, [1.25, 2.9], size=7.6)
