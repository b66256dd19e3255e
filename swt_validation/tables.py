"""The tables of a validation report as text: the same rows on paper and on screen."""

from __future__ import annotations

from dataclasses import dataclass

from swt_core.clock import iso_utc, utc_datetime
from swt_validation.report import Report, WalkForward
from swt_validation.safe_f import SafeFOutcome
from swt_validation.trades import Interval
from swt_validation.wording import pips, ratio, share

SCENARIO_NAMES = {
    "original": "as observed",
    "drop_10pct": "a tenth of the trades missed",
    "drop_best_20pct": "without the best fifth",
    "resample_150pct": "half as many trades again",
    "adverse_selection": "seven of ten trades lose",
    "early_stop_80pct": "the first four fifths only",
}
_LIMITS = {
    SafeFOutcome.FOUND: "drawdown",
    SafeFOutcome.MARGIN_LIMIT: "the margin",
    SafeFOutcome.NO_DRAWDOWN: "no drawdown",
    SafeFOutcome.RUIN: "ruin at any size",
    SafeFOutcome.TOO_FEW_DAYS: "too few days",
}


@dataclass(frozen=True)
class Table:
    """Text of a table.

    Attributes:
        header: one cell a column; the first one is the table's title.
        rows: cells as read, first column the name.
        widths: relative widths of the columns.
        bold: numbers of the rows that stand out.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    bold: tuple[int, ...] = ()


def limited_by(outcome: SafeFOutcome) -> str:
    """What kept safe-f from being larger."""
    return _LIMITS[outcome]


def interval_text(interval: Interval, *, percent: bool = False, digits: int = 2) -> str:
    """``low … high``; – where there is no interval."""
    if interval.low is None or interval.high is None:
        return "–"
    if percent:
        return f"{share(interval.low)} … {share(interval.high)}"
    return f"{ratio(interval.low, digits)} … {ratio(interval.high, digits)}"


def statistics_table(report: Report) -> Table:
    """Every headline figure with its 95 % interval or its detail."""
    trades, daily = report.trades, report.daily
    reliable = "" if trades.sqn.reliable else ", too few trades"
    rows = (
        ("Trades", f"{trades.trades:,}", f"{trades.longs:,} long, {trades.trades - trades.longs:,} short"),
        ("Profit after costs (pips)", pips(trades.total_pips, 0), f"costs paid {trades.cost_pips:,.0f}"),
        (
            "Expectancy (pips a trade)",
            pips(trades.expectancy_pips.value, 2),
            interval_text(trades.expectancy_pips),
        ),
        (
            "SQN (100 trades at most)",
            ratio(trades.sqn.value),
            f"uncapped {ratio(trades.sqn.uncapped)}{reliable}",
        ),
        ("Profit factor", ratio(trades.profit_factor.value), interval_text(trades.profit_factor)),
        ("Win rate", share(trades.win_rate.value), interval_text(trades.win_rate, percent=True)),
        (
            "Average win, loss (pips)",
            pips(trades.average_win_pips),
            f"loss {pips(trades.average_loss_pips)}",
        ),
        ("Best, worst trade (pips)", pips(trades.best_pips), f"worst {pips(trades.worst_pips)}"),
        (
            "Mean MAE, MFE (pips)",
            ratio(trades.mean_mae_pips, 1),
            f"favourable {ratio(trades.mean_mfe_pips, 1)}",
        ),
        ("Mean duration (minutes)", ratio(trades.average_bars, 0), f"exposure {share(trades.exposure)}"),
        (
            "Longest losing streak",
            str(trades.longest_losing_streak),
            f"{trades.forced_exits} closed by the end",
        ),
        ("Sharpe, daily NAV", ratio(daily.sharpe.value), interval_text(daily.sharpe)),
        ("Sortino, daily NAV", ratio(daily.sortino.value), interval_text(daily.sortino)),
        ("Calmar", ratio(daily.calmar), f"losing days {share(daily.losing_day_share)}"),
        ("Annual return, unlevered", share(daily.annual_return), f"in total {share(daily.total_return)}"),
        (
            "Max drawdown, unlevered",
            share(daily.max_drawdown, 2),
            f"longest {daily.longest_drawdown_days} days",
        ),
    )
    return Table(("Figure", "value", "95 % interval or detail"), rows, (2.1, 1.1, 1.9))


def baseline_table(report: Report) -> Table:
    """The agent among simple rules on the same bars at the same costs."""
    sessions = report.session_comparison
    shown = [*report.baselines, *([sessions] if sessions else [])]
    rows = tuple(
        (
            row.name,
            pips(row.total_pips, 0),
            f"{row.trades:,}",
            pips(row.expectancy_pips, 2),
            ratio(row.profit_factor),
            share(row.win_rate, 0),
            ratio(row.sharpe),
        )
        for row in shown
    )
    header = ("Same bars, same costs", "pips", "trades", "a trade", "profit f.", "won", "Sharpe")
    return Table(header, rows, (2.2, 1.2, 0.9, 1, 1, 0.8, 1), bold=(0,))


def luck_table(report: Report) -> Table:
    """How likely luck alone explains the result."""
    found = report.significance
    inference, overfitting = found.sharpe, found.overfitting
    rows = (
        (
            f"p-value against random entries ({found.permutations:,} draws)",
            "–" if found.p_value is None else f"{found.p_value:.4f}",
        ),
        (
            "Random entries, 95 % (pips)",
            "–"
            if found.random_low_pips is None
            else f"{pips(found.random_low_pips, 0)} … {pips(found.random_high_pips, 0)}",
        ),
        ("Probabilistic Sharpe ratio", "–" if inference is None else f"{inference.probabilistic:.4f}"),
        (
            f"Deflated Sharpe ratio, {found.effective_trials} effective of {found.trials} trials",
            "–" if inference is None else f"{inference.deflated:.4f}",
        ),
        (
            "Probability of backtest overfitting",
            "–" if overfitting is None else share(overfitting.probability),
        ),
        (
            "p-value of the best trial (reality check)",
            "–" if found.reality_check is None else f"{found.reality_check:.4f}",
        ),
    )
    return Table(("Could it be luck?", "value"), rows, (3.2, 1.6))


def sensitivity_table(report: Report) -> Table | None:
    """The agent under changed assumptions; None where the level leaves it out."""
    rows = tuple(
        (
            row.name,
            f"{row.trades:,}",
            pips(row.total_pips, 0),
            pips(row.expectancy_pips, 2),
            pips(row.change_pips, 0),
        )
        for row in report.sensitivity
    )
    header = ("One assumption changed", "trades", "pips", "a trade", "change")
    return Table(header, rows, (4, 1, 1.2, 1.2, 1.2), bold=(0,)) if rows else None


def bandy_table(report: Report) -> Table:
    """Safe-f and CAR25 by both bootstraps."""
    rows = tuple(
        (
            name,
            f"{found.safe_f:.2f}",
            limited_by(found.outcome),
            share(found.car25),
            share(found.car50),
            f"{share(found.car_low)} … {share(found.car_high)}",
            share(found.drawdown95),
        )
        for name, found in (
            ("independent days", report.bandy.iid),
            (f"blocks of {report.bandy.block.block} days", report.bandy.block),
        )
    )
    header = ("Resampling", "safe-f", "limited by", "CAR25", "CAR50", "95 % of futures", "drawdown 95 %")
    return Table(header, rows, (1.4, 0.7, 1.3, 1.1, 1.1, 2.0, 1.3))


def scenario_table(report: Report) -> Table | None:
    """Median and tail of every stress scenario at the traded size; None without trades."""
    rows = tuple(
        (
            SCENARIO_NAMES.get(scenario.name, scenario.name),
            f"{scenario.trades:,}",
            share(scenario.annual_growth.median),
            f"{share(scenario.annual_growth.low)} … {share(scenario.annual_growth.high)}",
            share(scenario.max_drawdown.median),
            share(scenario.max_drawdown.high),
            share(scenario.loss_probability, 0),
        )
        for scenario in report.scenarios
    )
    header = ("Scenario", "trades", "growth a year", "95 %", "drawdown", "97.5th", "P(loss)")
    return Table(header, rows, (2, 0.8, 1.1, 1.8, 1, 1, 0.9)) if rows else None


def drawdown_table(report: Report) -> Table | None:
    """The deepest falls of daily equity; None if it never fell."""
    rows = tuple(
        (
            f"{number}",
            pips(-fall.depth_pips, 0),
            fall.peak_day or "start",
            fall.trough_day,
            fall.recovery_day or "not yet",
        )
        for number, fall in enumerate(report.drawdowns, 1)
    )
    header = ("Daily drawdown", "pips", "peak", "trough", "recovered")
    return Table(header, rows, (1.4, 1, 1.2, 1.2, 1.2)) if rows else None


def event_table(report: Report) -> Table | None:
    """Named events that the range covers; None where it covers none."""
    rows = tuple(
        (
            event.name,
            str(event.trades),
            pips(event.total_pips),
            pips(event.expectancy_pips),
            share(event.win_rate),
        )
        for event in report.breakdown.events
    )
    return (
        Table(("Event in the range", "trades", "pips", "a trade", "won"), rows, (3, 1, 1, 1, 1))
        if rows
        else None
    )


def fold_table(walk: WalkForward) -> Table:
    """The folds of a walk-forward."""
    rows = tuple(
        (
            f"{utc_datetime(fold.start_s):%Y-%m-%d}",
            f"{fold.weeks}",
            f"{fold.trades:,}",
            pips(fold.total_pips, 0),
            pips(fold.annual_pips, 0),
            pips(fold.in_sample_annual_pips, 0),
            ratio(fold.efficiency),
        )
        for fold in walk.folds
    )
    header = ("From", "weeks", "trades", "pips", "a year", "in sample", "efficiency")
    return Table(header, rows, (1.4, 0.8, 0.8, 1, 1.1, 1.2, 1.1))


def walk_sentence(walk: WalkForward) -> str:
    """What a walk-forward came to, in one line."""
    return (
        f"{walk.scheme.capitalize()}: efficiency {ratio(walk.efficiency)}, t = {ratio(walk.t_statistic)}, "
        f"{share(walk.profitable_share, 0)} of the folds profitable, robustness {walk.robustness:.0f} of 100"
    )


def judged_table(report: Report) -> Table:
    """What was judged."""
    verdict, source = report.verdict, report.provenance
    rows = (
        ("Checkpoint", verdict.checkpoint_name),
        ("sha256", verdict.checkpoint_sha256),
        ("Judged settings (hash)", verdict.config_hash),
        ("Architecture, features", f"{source.architecture}, {source.feature_profile}"),
        ("Version, episode", f"{source.checkpoint_version}, {source.checkpoint_episode:,}"),
        ("Trained on", source.training_data),
        ("Code", source.git_commit or "not recorded"),
        ("Search", f"{source.search_algorithm}, {source.simulations} simulations, greedy"),
    )
    return Table(("What was judged", ""), rows, (1.25, 2.9))


def bars_table(report: Report) -> Table:
    """On which bars, until when it stands, and how long it took."""
    verdict = report.verdict
    rows = (
        ("Source", verdict.data.source),
        ("sha256 of the bars", f"{verdict.data.sha256[:32]}…"),
        ("From", iso_utc(verdict.data.start_s)),
        ("To", iso_utc(verdict.data.end_s)),
        ("Episodes", f"{report.episodes:,} {report.mode}"),
        ("Seed", str(report.provenance.seed)),
        ("Judged", iso_utc(verdict.created_s)),
        ("Valid until", iso_utc(verdict.expires_s)),
        ("Took", f"{report.provenance.elapsed_s:.1f} s"),
    )
    return Table(("On what", ""), rows, (1.25, 2.2))


def cost_table(report: Report) -> Table:
    """What trading was assumed to cost, and the rules it was bound by."""
    costs = report.costs
    mean = costs.mean_entry_spread_pips
    rows = (
        ("Spread", costs.spread),
        ("Mean spread at entry", "–" if mean is None else f"{mean:.2f} pips"),
        ("Slippage of each fill", f"{costs.slippage_pips:.2f} pips"),
        (
            "Financing a day, long / short",
            f"{costs.financing_long_pips_per_day:+.2f} / {costs.financing_short_pips_per_day:+.2f} pips",
        ),
        ("Widest spread for an entry", f"{costs.max_entry_spread_pips:.1f} pips"),
        ("No entries before the week's end", f"{costs.no_entry_minutes_before_week_close} minutes"),
        ("Flat before the week's end", f"{costs.flat_minutes_before_week_close} minutes"),
        ("Least confidence of an entry", share(costs.minimum_confidence, 0)),
        ("Decisions", ", ".join(f"{name} {share(value)}" for name, value in report.action_share.items())),
    )
    return Table(("At what cost, by which rules", ""), rows, (1.6, 2.5))
