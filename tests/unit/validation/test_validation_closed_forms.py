"""Statistics against scipy, recorded quantstats figures, or the same formula written out plainly."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.records import TradeResult
from swt_core.statistics import trade_statistics
from swt_data.bars import Bars
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_features.processor import FeatureProcessor
from swt_validation.analysis import _volatility_at_entry
from swt_validation.evaluation import Evaluation, trade_columns
from swt_validation.overfitting import probability_of_overfitting, reality_check
from swt_validation.report import Fold
from swt_validation.trades import by_event, by_volatility, ratio_intervals
from swt_validation.walk_forward import stitched, t_statistic

ORACLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "performance_oracles.json").read_text()
)["series"]


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_profit_factor_and_win_rate_equal_quantstats(name: str) -> None:
    returns, oracle = np.array(ORACLES[name]["returns"]), ORACLES[name]["quantstats"]
    found = trade_statistics(returns[returns != 0])
    assert found.profit_factor == pytest.approx(oracle["profit_factor"], rel=1e-9)
    assert found.win_rate == pytest.approx(oracle["win_rate_of_moves"], rel=1e-9)


def test_the_t_statistic_equals_scipy() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, 26)
    assert t_statistic(values) == pytest.approx(float(stats.ttest_1samp(values, 0.0).statistic), rel=1e-12)
    assert t_statistic(values[:1]) is None
    assert t_statistic(np.full(5, 0.25)) is None


def test_the_interval_of_the_sharpe_ratio_equals_scipys_percentile_bootstrap() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.01, 250)
    ours, _ = ratio_intervals(returns, np.random.default_rng(3), resamples=8000)
    theirs = stats.bootstrap(
        (returns,),
        lambda x, axis: x.mean(axis=axis) / x.std(axis=axis, ddof=1) * 252**0.5,
        n_resamples=8000,
        method="percentile",
        random_state=np.random.default_rng(4),
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.12)
    assert ours.high == pytest.approx(theirs.high, abs=0.12)


def test_pbo_equals_its_definition_written_out() -> None:
    rng = np.random.default_rng(5)
    returns = rng.normal(0.0, 1.0, (7, 26)) + 0.2 * rng.normal(0.0, 1.0, (7, 1))
    edges = np.linspace(0, 26, 11).round().astype(int)
    blocks = [returns[:, low:high] for low, high in pairwise(edges)]
    logits, losses = [], []
    for chosen in combinations(range(10), 5):
        inside = np.hstack([blocks[b] for b in chosen])
        outside = np.hstack([blocks[b] for b in range(10) if b not in chosen])
        best = int(np.argmax(inside.mean(1) / inside.std(1, ddof=1)))
        rank = stats.rankdata(outside.mean(1) / outside.std(1, ddof=1))[best] / 8
        logits.append(np.log(rank / (1 - rank)))
        losses.append(outside[best].mean() < 0)
    found = probability_of_overfitting(returns)
    assert found is not None
    assert found.splits == len(logits) == 252
    assert found.probability == pytest.approx(np.mean(np.array(logits) <= 1e-12))
    assert found.loss_probability == pytest.approx(np.mean(losses))


def test_the_reality_check_of_one_trial_is_a_one_sided_test_of_its_mean() -> None:
    values = np.random.default_rng(6).normal(0.15, 1.0, (1, 200))
    found = reality_check(values, np.random.default_rng(7), resamples=8000, mean_block=1.0)
    exact = float(stats.ttest_1samp(values[0], 0.0, alternative="greater").pvalue)
    assert found == pytest.approx(exact, abs=0.015)


def fold(annual: float, inside: float, weeks: int = 4) -> Fold:
    return Fold(
        start_s=0,
        end_s=1,
        weeks=weeks,
        trades=1,
        total_pips=annual * weeks / 52,
        annual_pips=annual,
        in_sample_annual_pips=inside,
        efficiency=None,
    )


def test_efficiency_and_robustness_of_a_stitched_walk() -> None:
    returns = np.array([0.01, -0.01, 0.02, 0.01])
    found = stitched("rolling", [fold(260.0, 520.0), fold(-52.0, 312.0)], returns)
    assert found.efficiency == pytest.approx((260 - 52) / 2 / 416)
    assert found.profitable_share == 0.5
    # Half the folds earn 25, efficiency a quarter of 30; the worst fold lost half an average one: 10 of 20.
    assert found.robustness == pytest.approx(25 + 7.5 + 10)
    assert stitched("rolling", [fold(260.0, -1.0)], returns).efficiency is None


def test_long_folds_weigh_more_than_short_ones() -> None:
    found = stitched("anchored", [fold(100.0, 100.0, 1), fold(400.0, 100.0, 3)], np.zeros(4))
    assert found.efficiency == pytest.approx((100 + 3 * 400) / 4 / 100)
    assert found.t_statistic is None


def evaluation_of(bars: Bars, spans: list[tuple[int, int, float]]) -> Evaluation:
    """Trades between rows (entry, exit) with a profit, all long."""
    trades = [
        TradeResult(
            side=1,
            entry_time_s=int(bars.time_s[first]),
            exit_time_s=int(bars.time_s[last]),
            entry_points=150_000,
            exit_points=150_000,
            bars=last - first,
            pnl_pips=pnl,
            mae_pips=0.0,
            mfe_pips=0.0,
            max_drawdown_pips=0.0,
            accumulated_drawdown_pips=0.0,
            spread_pips=0.0,
            slippage_pips=0.0,
            forced=False,
        )
        for first, last, pnl in spans
    ]
    columns = trade_columns(trades, [0] * len(trades))
    size = len(bars)
    return Evaluation("weeks", bars.instrument, columns, bars.time_s, np.zeros(size, int), np.zeros(size))


def test_the_volatility_of_a_trade_is_what_was_known_before_its_entry() -> None:
    pair, trading = instrument("GBP_JPY"), SWTConfig()
    bars = synthetic_bars("realistic", 2, 1, pair)
    processor = FeatureProcessor(trading.features, pair)
    found = evaluation_of(bars, [(400, 410, 1.0), (900, 905, -1.0), (1200, 1201, 2.0)])
    known = _volatility_at_entry(found, Market(bars, processor, trading.trading))
    changes = np.diff(bars.close_hp) / pair.half_points_per_pip
    assert known == pytest.approx([changes[row - 61 : row - 1].std() for row in (400, 900, 1200)])
    later = np.arange(len(bars)) >= 1200
    other = replace(bars, close_hp=bars.close_hp + 500 * later)
    assert _volatility_at_entry(found, Market(other, processor, trading.trading)) == pytest.approx(known)
    names = [bucket.name for bucket in by_volatility(found.trades, known) if bucket.trades]
    assert names == ["calm", "normal", "stormy"]
    assert by_volatility(found.trades.select(np.array([0, 1])), known[:2]) == []


def test_a_trade_belongs_to_an_event_while_it_is_open_in_it() -> None:
    pair = instrument("GBP_JPY")
    opens, closes = (
        int(np.datetime64(text, "s").astype(int)) for text in ("2016-06-23T20:00", "2016-06-24T20:00")
    )
    minutes = np.array([-10, -5, 0, 5, 1435, 1440, 1445]) * 60 + opens
    bars = replace(synthetic_bars("realistic", 2, 1, pair).rows(slice(0, 7)), time_s=minutes)
    spans = [(0, 1, 1.0), (0, 2, 2.0), (1, 3, 4.0), (3, 4, 8.0), (4, 6, 16.0), (5, 6, 32.0)]
    trades = evaluation_of(bars, spans).trades
    (found,) = by_event(trades, opens - 600, closes + 600)
    assert (found.name, found.trades) == ("Brexit referendum night (2016)", 3)
    assert found.total_pips == 4.0 + 8.0 + 16.0
    assert by_event(trades, opens + 60, closes + 600) == []
