"""Daily NAV, weekly returns, trade tables, baselines on the one position kernel."""

from __future__ import annotations

import numpy as np
import pytest

from swt_core.calendar import trading_day
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.records import TradeResult
from swt_data.bars import Bars
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_features.processor import FeatureProcessor
from swt_inference.rollout import RulePolicy, play
from swt_validation.baselines import RULES, buy_and_hold, momentum, play_rule
from swt_validation.evaluation import Evaluation, trade_columns
from swt_validation.held_out import Episodes
from swt_validation.nav import daily_nav, weekly_returns
from swt_validation.players import agent_run
from swt_validation.sensitivity import noisy, one_bar_late, wider_spread
from swt_validation.trades import by_event, by_hour, by_weekday, summarise_trades

GBP_JPY = instrument("GBP_JPY")
CONFIG = SWTConfig()


@pytest.fixture(scope="module")
def market() -> Market:
    bars = synthetic_bars("realistic", 15, 4, GBP_JPY)
    return Market(bars, FeatureProcessor(CONFIG.features, GBP_JPY), CONFIG.trading)


@pytest.fixture(scope="module")
def weeks(market: Market) -> Episodes:
    index = build_session_index(market.bars, check_quality(market.bars))
    assert len(index.weeks) >= 2
    return Episodes("weeks", index.weeks[:, 0].copy(), index.weeks[:, 1] - 2)


def trade(entry_s: int, exit_s: int, pnl: float, side: int = 1, points: int = 150_000) -> TradeResult:
    exit_points = points + round(side * pnl * 10)
    return TradeResult(side, entry_s, exit_s, points, exit_points, 1, pnl, 1.0, 2.0, 1.0, 0.5, 4.0, 0.0)


def test_nav_is_taken_at_17_00_new_york() -> None:
    # 2024-03-05 21:59 UTC is 16:59 New York (winter time); a minute later the next trading day begins.
    before = int(np.datetime64("2024-03-05T21:59", "s").astype(np.int64))
    times = np.array([before - 60, before, before + 60], np.int64)
    evaluation = Evaluation(
        "weeks",
        GBP_JPY,
        trade_columns([trade(before - 60, before + 60, 7.0)], [0]),
        times,
        np.zeros(3, np.int64),
        np.array([-4.0, 5.0, 7.0]),
    )
    nav = daily_nav(evaluation)
    np.testing.assert_array_equal(nav.pips, [5.0, 2.0])
    np.testing.assert_allclose(nav.returns, np.array([5.0, 2.0]) * 0.01 / 150.0)


def test_flat_days_are_kept_and_episodes_start_anew() -> None:
    day_s = 86_400
    start = int(np.datetime64("2024-03-05T12:00", "s").astype(np.int64))
    times = start + day_s * np.arange(4)
    evaluation = Evaluation(
        "weeks",
        GBP_JPY,
        trade_columns(
            [trade(int(times[0]), int(times[0]), 3.0), trade(int(times[3]), int(times[3]), 2.0)], [0, 1]
        ),
        times,
        np.array([0, 0, 1, 1]),
        np.array([3.0, 3.0, 0.0, 2.0]),
    )
    np.testing.assert_array_equal(daily_nav(evaluation).pips, [3.0, 0.0, 0.0, 2.0])
    np.testing.assert_array_equal(evaluation.episode_pips, [3.0, 2.0])


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_earns_the_same_in_the_fast_kernel_and_in_the_environment(
    market: Market, weeks: Episodes, name: str
) -> None:
    rule = RULES[name](market)
    fast = play_rule(market, rule, weeks.first_rows, weeks.last_rows, "weeks")
    result = play(RulePolicy(rule), market, weeks.first_rows, weeks.last_rows, keep_equity=True)
    slow = agent_run(result, market, weeks).evaluation
    np.testing.assert_array_equal(fast.equity_pips, slow.equity_pips)
    np.testing.assert_array_equal(fast.bar_time_s, slow.bar_time_s)
    for field in fast.trades.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(fast.trades, field), getattr(slow.trades, field), err_msg=field)


def test_nav_weeks_and_trades_add_up_to_the_same_profit(market: Market, weeks: Episodes) -> None:
    evaluation = play_rule(market, momentum(market), weeks.first_rows, weeks.last_rows, "weeks")
    total = evaluation.trades.pnl_pips.sum()
    assert len(evaluation.trades) > 30
    assert daily_nav(evaluation).pips.sum() == pytest.approx(total)
    assert weekly_returns(evaluation).pips.sum() == pytest.approx(total)
    assert daily_nav(evaluation).returns.sum() == pytest.approx(evaluation.trade_returns.sum())
    assert len(daily_nav(evaluation)) == len(np.unique(trading_day(evaluation.bar_time_s)))


def test_everyone_is_flat_before_the_weekend(market: Market, weeks: Episodes) -> None:
    evaluation = play_rule(market, buy_and_hold(market), weeks.first_rows, weeks.last_rows, "weeks")
    assert len(evaluation.trades) == len(weeks)
    assert not evaluation.trades.forced.any()


def test_buckets_hold_every_trade_once(market: Market, weeks: Episodes) -> None:
    trades = play_rule(market, momentum(market), weeks.first_rows, weeks.last_rows, "weeks").trades
    for buckets in (by_hour(trades), by_weekday(trades)):
        assert sum(bucket.trades for bucket in buckets) == len(trades)
        assert sum(bucket.total_pips for bucket in buckets) == pytest.approx(trades.pnl_pips.sum())


def test_named_events_appear_only_where_the_range_covers_them() -> None:
    night = int(np.datetime64("2016-06-24T02:00", "s").astype(np.int64))
    columns = trade_columns([trade(night, night + 600, 250.0)], [0])
    (event,) = by_event(columns, night - 86_400, night + 2 * 86_400)
    assert (event.trades, event.total_pips) == (1, 250.0)
    assert by_event(columns, night - 600, night + 600) == []


def test_a_trade_summary_of_nothing_is_undefined_not_zero() -> None:
    none = Evaluation("weeks", GBP_JPY, trade_columns([], []), *(np.zeros(0, np.int64),) * 2, np.zeros(0))
    summary = summarise_trades(none, np.random.default_rng(0))
    assert summary.trades == 0
    assert summary.expectancy_pips.value is None
    assert summary.profit_factor.value is None
    assert summary.sqn.value is None


def test_intervals_cover_the_figure_and_stay_infinite_without_losses() -> None:
    times = np.arange(40) * 60
    trades = trade_columns([trade(int(t), int(t), 1.0 + (t // 60) % 3) for t in times], [0] * 40)
    evaluation = Evaluation("weeks", GBP_JPY, trades, times, np.zeros(40, np.int64), np.zeros(40))
    summary = summarise_trades(evaluation, np.random.default_rng(0))
    assert summary.expectancy_pips.low < summary.expectancy_pips.value < summary.expectancy_pips.high  # type: ignore[operator]
    assert summary.profit_factor.value == summary.profit_factor.low == np.inf


def test_a_wider_spread_keeps_the_mids_and_costs_what_it_says(market: Market, weeks: Episodes) -> None:
    wide = wider_spread(market.bars, 1.5)
    np.testing.assert_array_equal(wide.bid_close + wide.ask_close, market.bars.close_hp)
    assert wide.spread_close.mean() == pytest.approx(1.5 * market.bars.spread_close.mean(), rel=0.03)


def test_noise_moves_bars_without_changing_their_shape(market: Market) -> None:
    seen = noisy(market.bars, 0.5, np.random.default_rng(0))
    np.testing.assert_array_equal(seen.high_hp - seen.low_hp, market.bars.high_hp - market.bars.low_hp)
    moved = (seen.close_hp - market.bars.close_hp) / GBP_JPY.half_points_per_pip
    assert moved.std() == pytest.approx(0.5, rel=0.05)


def test_one_bar_late_is_what_the_prices_say(market: Market, weeks: Episodes) -> None:
    rule = momentum(market)
    result = play(RulePolicy(rule), market, weeks.first_rows, weeks.last_rows, keep_equity=True)
    run = agent_run(result, market, weeks)
    late = one_bar_late(run, market)
    trades, bars = run.evaluation.trades, market.bars
    row = {int(time): place for place, time in enumerate(bars.time_s)}
    for i in range(0, len(trades), 17):
        entry, leave = row[int(trades.entry_time_s[i])] + 1, row[int(trades.exit_time_s[i])] + 1
        if trades.side[i] > 0:
            expected = bars.bid_open[leave] - bars.ask_open[entry]
        else:
            expected = bars.bid_open[entry] - bars.ask_open[leave]
        assert late[i] == pytest.approx(expected / GBP_JPY.points_per_pip)


def test_bars_of_a_week_have_their_own_episode(market: Market, weeks: Episodes) -> None:
    evaluation = play_rule(market, momentum(market), weeks.first_rows, weeks.last_rows, "weeks")
    assert evaluation.episodes == len(weeks)
    assert isinstance(market.bars, Bars)
