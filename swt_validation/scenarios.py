"""Six stress scenarios: the same trades, resampled less and less kindly.

| scenario | what is drawn |
|---|---|
| original | n trades with replacement |
| drop_10pct | 0.9·n: a tenth of the trades missed |
| drop_best_20pct | n, from the trades without their best fifth |
| resample_150pct | 1.5·n, over 1.5 times the time |
| adverse_selection | n, 70 % of them losses (or the observed share, if that is higher) |
| early_stop_80pct | the first 80 % of the observed sequence, in blocks: the edge may have been early |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_validation.resampling import Curves, block_length, resample

Float64 = NDArray[np.float64]

SCENARIOS: Final = (
    "original",
    "drop_10pct",
    "drop_best_20pct",
    "resample_150pct",
    "adverse_selection",
    "early_stop_80pct",
)
ADVERSE_LOSS_SHARE: Final = 0.7


@dataclass(frozen=True)
class BoxPlot:
    """Percentiles 2.5, 25, 50, 75 and 97.5 of a figure."""

    low: float
    quartile1: float
    median: float
    quartile3: float
    high: float


def box_plot(values: Float64) -> BoxPlot:
    """Percentiles of ``values``."""
    return BoxPlot(*(float(x) for x in np.percentile(values, [2.5, 25, 50, 75, 97.5])))


@dataclass(frozen=True)
class Scenario:
    """What one scenario does to the strategy at the traded fraction.

    Attributes:
        trades: trades of a curve.
        annual_growth: compound annual return.
        max_drawdown: share of a peak that was lost, trade by trade.
        loss_probability: share of the curves that end below their start.
    """

    name: str
    trades: int
    annual_growth: BoxPlot
    max_drawdown: BoxPlot
    loss_probability: float


def _adverse_pool(returns: Float64) -> Float64:
    """Losses and the rest, losses repeated so that a uniform draw is a loss with at least 70 %."""
    losses, others = returns[returns < 0], returns[returns >= 0]
    if not len(losses) or not len(others):
        return returns
    if len(losses) / len(returns) >= ADVERSE_LOSS_SHARE:
        return returns
    # Seven losses for three others, each trade about equally often within its side.
    copies = round(len(others) * ADVERSE_LOSS_SHARE / (1 - ADVERSE_LOSS_SHARE))
    return np.concatenate((losses[np.arange(copies) * len(losses) // copies], others))


def run_scenarios(
    trade_returns: Float64, *, years: float, fraction: float, runs: int, seed: int
) -> list[Scenario]:
    """Resample closed trades under each scenario.

    Args:
        trade_returns: ``[n]`` unlevered returns of the trades, in order of time.
        years: length of the evaluation the trades came from.
        fraction: leverage they are traded at.
        runs: curves a scenario.
        seed: of the draws.

    Returns:
        One entry a scenario; empty without trades.
    """
    count = len(trade_returns)
    if not count:
        return []
    best_cut = np.sort(trade_returns)[: max(1, count - count // 5)]
    early = trade_returns[: max(1, round(0.8 * count))]
    plans = {
        "original": (trade_returns, count, 1, 1.0),
        "drop_10pct": (trade_returns, max(1, round(0.9 * count)), 1, 1.0),
        "drop_best_20pct": (best_cut, count, 1, 1.0),
        "resample_150pct": (trade_returns, max(1, round(1.5 * count)), 1, 1.5),
        "adverse_selection": (_adverse_pool(trade_returns), count, 1, 1.0),
        "early_stop_80pct": (early, len(early), block_length(len(early)), 0.8),
    }
    results = []
    for number, name in enumerate(SCENARIOS):
        pool, steps, block, time_share = plans[name]
        curves = resample(pool, fraction=fraction, runs=runs, steps=steps, block=block, seed=seed + number)
        results.append(_summary(name, curves, years * time_share))
    return results


def _summary(name: str, curves: Curves, years: float) -> Scenario:
    return Scenario(
        name,
        curves.steps,
        box_plot(curves.annual_growth(years)),
        box_plot(curves.max_drawdown),
        float(np.mean(curves.final_log_wealth < 0)),
    )
