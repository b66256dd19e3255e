"""Tables: statistics with intervals, baselines, sensitivity, significance."""

from __future__ import annotations

from matplotlib.figure import Figure

from swt_validation.pages.style import MUTED, PageData, new_page, table
from swt_validation.trades import Interval
from swt_validation.wording import pips, ratio, share


def statistics_page(data: PageData) -> Figure:
    """Every headline figure with its 95 % interval, the baselines and what luck could do."""
    report = data.report
    figure = new_page(
        data,
        "Statistics",
        "intervals: 95 %, percentile bootstrap   ·   – undefined   ·   ∞ nothing was lost",
    )
    trades, daily = report.trades, report.daily
    rows = [
        ["Trades", f"{trades.trades:,}", f"{trades.longs:,} long"],
        ["Profit", f"{pips(trades.total_pips, 0)} pips", f"costs paid {trades.cost_pips:,.0f}"],
        _interval("Expectancy (pips)", trades.expectancy_pips),
        ["SQN (100 trades at most)", ratio(trades.sqn.value), f"uncapped {ratio(trades.sqn.uncapped)}"],
        _interval("Profit factor", trades.profit_factor),
        _interval("Win rate", trades.win_rate, percent=True),
        ["Average win, loss (pips)", pips(trades.average_win_pips), pips(trades.average_loss_pips)],
        ["Best, worst (pips)", pips(trades.best_pips), pips(trades.worst_pips)],
        ["Mean MAE, MFE (pips)", ratio(trades.mean_mae_pips, 1), ratio(trades.mean_mfe_pips, 1)],
        ["Mean duration (bars)", ratio(trades.average_bars, 0), f"exposure {share(trades.exposure)}"],
        [
            "Longest losing streak",
            str(trades.longest_losing_streak),
            f"{trades.forced_exits} cut by the end",
        ],
        _interval("Sharpe, daily NAV", daily.sharpe),
        _interval("Sortino, daily NAV", daily.sortino),
        ["Calmar", ratio(daily.calmar), f"losing days {share(daily.losing_day_share)}"],
        ["Annual return, unlevered", share(daily.annual_return), f"in total {share(daily.total_return)}"],
        [
            "Max drawdown, unlevered",
            share(daily.max_drawdown, 2),
            f"longest {daily.longest_drawdown_days} days",
        ],
    ]
    axes = figure.add_axes((0.045, 0.375, 0.43, 0.49))
    table(axes, ["Figure", "value", "95 % / detail"], rows, [2.1, 1.2, 1.7])
    _baselines(figure, data)
    _luck(figure, data)
    _sensitivity(figure, data)
    return figure


def _interval(name: str, interval: Interval, *, percent: bool = False) -> list[str]:
    show = share if percent else ratio
    span = "–" if interval.low is None else f"{show(interval.low)} … {show(interval.high)}"
    return [name, show(interval.value), span]


def _baselines(figure: Figure, data: PageData) -> None:
    sessions = data.report.session_comparison
    shown = [*data.report.baselines, *([sessions] if sessions else [])]
    rows = [
        [
            row.name,
            pips(row.total_pips, 0),
            f"{row.trades:,}",
            pips(row.expectancy_pips, 2),
            ratio(row.profit_factor),
            share(row.win_rate, 0),
            ratio(row.sharpe),
        ]
        for row in shown
    ]
    axes = figure.add_axes((0.515, 0.615, 0.44, 0.25))
    table(
        axes,
        ["Same bars, same costs", "pips", "trades", "a trade", "profit f.", "won", "Sharpe"],
        rows,
        [2.2, 1.2, 0.9, 1, 1, 0.8, 1],
        bold_rows=(0,),
    )


def _luck(figure: Figure, data: PageData) -> None:
    found = data.report.significance
    inference, overfitting = found.sharpe, found.overfitting
    rows = [
        [
            f"p-value against random entries ({found.permutations:,})",
            "–" if found.p_value is None else f"{found.p_value:.4f}",
        ],
        [
            "Random entries, 95 % (pips)",
            f"{pips(found.random_low_pips, 0)} … {pips(found.random_high_pips, 0)}",
        ],
        ["Probabilistic Sharpe ratio", "–" if inference is None else f"{inference.probabilistic:.4f}"],
        [
            f"Deflated Sharpe ratio, {found.effective_trials} effective of {found.trials} trials",
            "–" if inference is None else f"{inference.deflated:.4f}",
        ],
        [
            "Probability of backtest overfitting",
            "–" if overfitting is None else share(overfitting.probability),
        ],
        [
            "Reality check of the best trial",
            "–" if found.reality_check is None else f"{found.reality_check:.4f}",
        ],
    ]
    axes = figure.add_axes((0.515, 0.375, 0.44, 0.20))
    table(axes, ["Could it be luck?", ""], rows, [3.2, 1.6])


def _sensitivity(figure: Figure, data: PageData) -> None:
    axes = figure.add_axes((0.045, 0.085, 0.91, 0.24))
    rows = [
        [
            row.name,
            f"{row.trades:,}",
            pips(row.total_pips, 0),
            pips(row.expectancy_pips, 2),
            pips(row.change_pips, 0),
        ]
        for row in data.report.sensitivity
    ]
    if not rows:
        axes.set_axis_off()
        axes.text(
            0, 0.9, "Sensitivity is part of FULL and COMPREHENSIVE validations.", color=MUTED, fontsize=8
        )
        return
    table(
        axes,
        ["Sensitivity: the same agent, one assumption changed", "trades", "pips", "a trade", "change"],
        rows,
        [4, 1, 1.2, 1.2, 1.2],
        row_height=1 / 9,
        bold_rows=(0,),
    )
