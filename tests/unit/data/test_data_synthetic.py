"""Synthetic markets are what their definitions say, hidden state included."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from swt_core import calendar
from swt_core.errors import ConfigError
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.synthetic import MARKETS, REGIMES, hidden_state, synthetic_bars

GBP_JPY = instrument("GBP_JPY")
KNOWN_ANSWER = [market for market in MARKETS if market != "realistic"]


def changes_pips(bars: Bars) -> NDArray[np.float64]:
    return (bars.close_hp - bars.open_hp) / bars.instrument.half_points_per_pip


@pytest.mark.parametrize("market", MARKETS)
def test_the_same_seed_makes_the_same_market_and_another_seed_another(market: str) -> None:
    once, again = (synthetic_bars(market, 3, 7, GBP_JPY) for _ in range(2))
    assert once.sha256 == again.sha256
    assert once.sha256 != synthetic_bars(market, 3, 8, GBP_JPY).sha256


@pytest.mark.parametrize("market", KNOWN_ANSWER)
def test_each_bar_opens_at_the_close_before_it_even_over_a_weekend(market: str) -> None:
    bars = synthetic_bars(market, 8, 3, GBP_JPY)
    assert np.diff(bars.time_s).max() > 40 * 3600
    np.testing.assert_array_equal(bars.open_hp[1:], bars.close_hp[:-1])


@pytest.mark.parametrize("market", MARKETS)
def test_prices_are_whole_points_with_whole_bids_and_asks(market: str) -> None:
    bars = synthetic_bars(market, 5, 3, GBP_JPY)
    for column in (
        bars.open_hp,
        bars.high_hp,
        bars.low_hp,
        bars.close_hp,
        bars.spread_open,
        bars.spread_close,
    ):
        assert not np.any(column % 2)
    np.testing.assert_array_equal(bars.bid_close + bars.ask_close, bars.close_hp)
    assert bars.spread_open.min() > 0


@pytest.mark.parametrize("market", MARKETS)
def test_highs_and_lows_enclose_the_body_and_mostly_reach_beyond_it(market: str) -> None:
    bars = synthetic_bars(market, 5, 3, GBP_JPY)
    top, bottom = np.maximum(bars.open_hp, bars.close_hp), np.minimum(bars.open_hp, bars.close_hp)
    assert np.all(bars.high_hp >= top)
    assert np.all(bars.low_hp <= bottom)
    assert np.mean((bars.high_hp > top) & (bars.low_hp < bottom)) > 0.7


def test_the_range_of_a_driftless_bar_is_that_of_a_brownian_motion() -> None:
    bars = synthetic_bars("martingale", 60, 3, GBP_JPY)
    # The expected range of a Brownian motion of σ over a bar is σ √(8/π).
    assert bars.range_pips.mean() == pytest.approx(3 * np.sqrt(8 / np.pi), rel=0.01)


@pytest.mark.parametrize("market", MARKETS)
def test_bars_lie_on_the_trading_calendar(market: str) -> None:
    bars = synthetic_bars(market, 12, 3, GBP_JPY)
    assert calendar.is_open(bars.time_s).all()
    assert len(np.unique(calendar.trading_day(bars.time_s))) == 12
    assert np.all(bars.time_s % 60 == 0)
    assert np.all(np.diff(bars.time_s) > 0)
    if market != "realistic":
        assert len(bars) == 12 * 1435


@pytest.mark.parametrize("market", sorted(REGIMES))
def test_a_regime_market_drifts_and_turns_as_often_as_defined(market: str) -> None:
    days, parameters = 250, REGIMES[market]
    drifts = hidden_state(market, days, 5)
    noise = changes_pips(synthetic_bars(market, days, 5, GBP_JPY)) - drifts
    assert set(np.unique(drifts)) == {-parameters.drift_pips, parameters.drift_pips}
    turns = np.mean(np.diff(drifts) != 0)
    assert turns == pytest.approx(parameters.turn_probability, rel=0.06)
    # Were the hidden drift of another market or shifted by a bar, some of it would be left in the noise.
    assert abs(np.mean(noise * drifts)) < 0.02 * parameters.drift_pips
    assert noise.std() == pytest.approx(parameters.sigma_pips, rel=0.01)


def test_the_martingale_has_no_drift_and_no_memory() -> None:
    changes = changes_pips(synthetic_bars("martingale", 250, 5, GBP_JPY))
    assert abs(changes.mean()) < 4 * 3 / np.sqrt(len(changes))
    assert changes.std() == pytest.approx(3, rel=0.01)
    assert abs(np.corrcoef(changes[1:], changes[:-1])[0, 1]) < 4 / np.sqrt(len(changes))
    assert not hidden_state("martingale", 2, 5).any()


def test_the_reversion_market_returns_to_its_anchor() -> None:
    distance = hidden_state("reversion", 250, 5)
    bars = synthetic_bars("reversion", 250, 5, GBP_JPY)
    assert distance.std() == pytest.approx(3 / np.sqrt(1 - 0.95**2), rel=0.05)
    assert np.polyfit(distance[:-1], distance[1:], 1)[0] == pytest.approx(0.95, abs=0.003)
    anchor = bars.close_hp / bars.instrument.half_points_per_pip - distance
    assert np.diff(anchor).std() == pytest.approx(0.3, rel=0.02)


def test_a_long_trend_market_stays_positive() -> None:
    for seed in range(3):
        assert synthetic_bars("regimes", 700, seed, GBP_JPY).low_hp.min() > 0


def test_the_realistic_market_has_seasons_fat_tails_and_a_spread_by_the_hour() -> None:
    bars = synthetic_bars("realistic", 250, 5, GBP_JPY)
    changes = changes_pips(bars)
    hour = calendar.new_york_seconds(bars.time_s) // 3600 % 24
    assert bars.spread_recorded
    assert bars.range_pips[hour == 3].mean() > 1.5 * bars.range_pips[hour == 17].mean()
    assert np.mean(((changes - changes.mean()) / changes.std()) ** 4) > 6
    assert np.median(bars.spread_close_pips[hour == 17]) == pytest.approx(15, abs=1.5)
    assert np.median(bars.spread_close_pips[hour == 5]) == pytest.approx(2.8, abs=0.4)
    assert 2.5 < bars.range_pips.mean() < 5.5
    weekend = np.diff(bars.time_s) > 40 * 3600
    gaps = np.abs(bars.open_hp[1:] - bars.close_hp[:-1]) / bars.instrument.half_points_per_pip
    assert gaps[weekend].mean() > 5
    assert gaps[~weekend].max() == 0


def test_other_pairs_keep_their_own_pip() -> None:
    bars = synthetic_bars("martingale", 20, 5, instrument("EUR_USD"), spread_pips=1.0)
    assert changes_pips(bars).std() == pytest.approx(3, rel=0.02)
    assert bars.close_hp[0] / 2 / 10**5 == pytest.approx(1.25, abs=0.05)
    assert bars.spread_open[0] == 10


def test_an_unknown_market_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown market 'bull'[\s\S]*regimes"):
        synthetic_bars("bull", 3, 1, GBP_JPY)
    with pytest.raises(ConfigError, match="0 days"):
        synthetic_bars("regimes", 0, 1, GBP_JPY)
