"""The paired bootstrap against closed forms, and against the statistics it claims to compute."""

from __future__ import annotations

import numpy as np
import pytest

from swt_core.instruments import instrument
from swt_core.records import TradeResult
from swt_core.statistics import trade_statistics
from swt_validation.evaluation import Evaluation, trade_columns
from swt_validation.nav import daily_nav
from swt_validation.paired import WeekSums, block_of, draw_weeks, paired_differences, week_sums
from swt_validation.performance import sharpe

GBP_JPY = instrument("GBP_JPY")
MONDAY_S = int(np.datetime64("2024-01-08T00:00", "s").astype(np.int64))


def evaluation(seed: int, weeks: int = 12, per_week: int = 6, drift: float = 1.0) -> Evaluation:
    """Weeks of a few hours' trades, each between two bars of its day."""
    rng = np.random.default_rng(seed)
    trades, episodes, times, owners, equity = [], [], [], [], []
    for week in range(weeks):
        level = 0.0
        for number in range(per_week):
            entry_s = MONDAY_S + week * 7 * 86_400 + number * 5 * 3600
            profit = float(np.round(rng.normal(drift, 10), 1))
            points = 150_000 + number
            trades.append(
                TradeResult(
                    1, entry_s, entry_s + 60, points, points + round(10 * profit), 1, profit, 1, 1, 1, 0, 0, 0
                )
            )
            episodes.append(week)
            times += [entry_s, entry_s + 60]
            level += profit
            equity += [level, level]
            owners += [week, week]
    return Evaluation(
        "weeks",
        GBP_JPY,
        trade_columns(trades, episodes),
        np.array(times, np.int64),
        np.array(owners, np.int64),
        np.array(equity),
    )


def plain(values: np.ndarray) -> WeekSums:
    """One episode, one trade and one day a week, all with the same figure."""
    table = np.column_stack((np.ones(len(values)), values, values**2))
    return WeekSums(table, table, table)


def test_on_the_whole_sample_the_statistics_are_the_validators_own() -> None:
    run = evaluation(3)
    _, sums = week_sums(run, 2.0)
    pips, sqn, ratio = sums.statistics(np.arange(12)[None])[0]
    assert pips == pytest.approx(run.episode_pips.mean())
    assert sqn == pytest.approx(trade_statistics(run.trades.pnl_pips, 2.0).sqn.value)
    assert ratio == pytest.approx(sharpe(daily_nav(run).returns))


def test_a_resampled_set_of_weeks_is_computed_as_if_it_had_happened() -> None:
    run = evaluation(4)
    _, sums = week_sums(run, 1.0)
    chosen = np.array([3, 3, 0, 7, 11, 11, 11])
    _, sqn, _ = sums.statistics(chosen[None])[0]
    pnl = np.concatenate([run.trades.pnl_pips[run.trades.episode == week] for week in chosen])
    assert sqn == pytest.approx(trade_statistics(pnl, 1.0).sqn.value)


def test_identical_agents_differ_by_exactly_nothing() -> None:
    _, one = week_sums(evaluation(5), 1.0)
    _, same = week_sums(evaluation(5), 1.0)
    for found in paired_differences(one, same, runs=500, rng=np.random.default_rng(0)).values():
        assert found.difference == 0.0
        assert (found.low, found.high) == (0.0, 0.0)
        assert found.p_value == 1.0


def test_single_weeks_give_the_textbook_standard_error() -> None:
    values = np.random.default_rng(1).normal(5, 20, 40)
    found = paired_differences(
        plain(values), plain(np.zeros(40)), runs=40_000, rng=np.random.default_rng(2), block=1
    )["pips per episode"]
    error = values.std() / 40**0.5
    assert found.difference == pytest.approx(values.mean())
    assert found.low is not None
    assert found.high is not None
    # Normal by the central limit theorem: 1.96 standard errors to either side.
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.03)


def test_blocks_have_the_variance_of_the_circular_block_bootstrap() -> None:
    # Politis & Romano: with n = k·b the variance of the mean is that of the n block means, over k.
    values = np.cumsum(np.random.default_rng(3).normal(0, 1, 24))
    block, count = 4, 6
    means = np.array([values[(start + np.arange(block)) % 24].mean() for start in range(24)])
    weeks = draw_weeks(24, block, 60_000, np.random.default_rng(4))
    assert weeks.shape == (60_000, 24)
    assert values[weeks].mean(axis=1).var() == pytest.approx(means.var() / count, rel=0.03)
    assert np.all((weeks[:, 1:4] - weeks[:, :3]) % 24 == 1)


def test_pairing_cancels_what_both_owe_to_the_market() -> None:
    rng = np.random.default_rng(6)
    market = rng.normal(0, 1000, 30)
    first, second = plain(market + 5 + rng.normal(0, 1, 30)), plain(market)
    found = paired_differences(first, second, runs=2000, rng=rng)["pips per episode"]
    assert found.p_value is not None
    assert found.p_value <= 0.001
    assert found.low is not None
    assert 4 < found.low < 5.5


def test_a_difference_of_chance_is_rarely_called_one() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        first, second = plain(rng.normal(0, 1, 26)), plain(rng.normal(0, 1, 26))
        p_value = paired_differences(first, second, runs=300, rng=rng)["pips per episode"].p_value
        hits += p_value is not None and p_value <= 0.05
    # Half a year of weeks is few for a bootstrap: somewhat more than 5 % is known and documented.
    assert 5 <= hits <= 36


def test_few_weeks_have_no_interval() -> None:
    found = paired_differences(
        plain(np.arange(7.0)), plain(np.zeros(7)), runs=100, rng=np.random.default_rng(0)
    )
    assert found["pips per episode"].difference == 3.0
    assert all(one.p_value is None and one.low is None for one in found.values())


def test_an_agent_that_never_trades_has_pips_but_no_ratios() -> None:
    idle = WeekSums(plain(np.zeros(10)).episodes, np.zeros((10, 3)), plain(np.zeros(10)).days)
    found = paired_differences(plain(np.arange(10.0)), idle, runs=100, rng=np.random.default_rng(0))
    assert found["pips per episode"].second == 0.0
    assert found["SQN"].second is None
    assert found["SQN"].difference is None
    assert found["SQN"].p_value is None


def test_blocks_grow_with_the_cube_root_of_the_weeks() -> None:
    assert [block_of(weeks) for weeks in (1, 8, 27, 52)] == [1, 2, 3, 4]
