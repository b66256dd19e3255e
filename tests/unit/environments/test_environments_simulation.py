"""The batch simulation: fills, marks, costs, ends, and nothing of the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swt_core.config import FeaturesConfig, TradingConfig
from swt_core.instruments import instrument
from swt_core.position import ACCUMULATED_DRAWDOWN, BUY, CLOSE, EQUITY, HOLD, SELL, SIDE
from swt_core.rewards import RewardPreset
from swt_data.bars import Bars, bars_from_mids
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor
from swt_inference.rollout import RandomPolicy, play

PAIR = instrument("GBP_JPY")
NO_CUTOFF = TradingConfig(no_entry_minutes_before_week_close=0, flat_minutes_before_week_close=0)


def market_of(bars: Bars, trading: TradingConfig = NO_CUTOFF) -> Market:
    return Market(bars, FeatureProcessor(FeaturesConfig(), bars.instrument), trading)


def flat_market(closes_pips: list[float]) -> Market:
    """Bars that open at the close before; 300 quiet bars of history, then the given closes."""
    closes = np.array([18_000.0] * 300 + closes_pips) * PAIR.half_points_per_pip
    mids = np.stack([np.concatenate([closes[:1], closes[:-1]]), closes, closes, closes], axis=1)
    mids[:, 1], mids[:, 2] = mids[:, [0, 3]].max(1), mids[:, [0, 3]].min(1)
    time_s = 1_420_545_600 + 60 * np.arange(len(closes))
    return market_of(bars_from_mids(PAIR, time_s, mids.astype(np.int64), PAIR.spread_points(4.0)))


@pytest.fixture(scope="module")
def regimes() -> Market:
    return market_of(synthetic_bars("regimes", 5, 3, PAIR))


def test_a_purchase_fills_at_the_next_open_and_pays_the_spread_once() -> None:
    market = flat_market([18_000.0, 18_010.0, 18_030.0, 18_020.0, 18_020.0])
    simulation = BatchSimulation(market, np.array([299]), np.array([303]))
    rewards = [simulation.step(np.array([a]))[0] for a in (BUY, HOLD, HOLD, CLOSE, HOLD)]
    (trade,) = simulation.trades()
    # bought at the open of row 300 (18 000 + 2), sold at the open of row 303 (18 030 − 2)
    assert (trade.entry_row, trade.exit_row) == (300, 303)
    assert trade.trade.pnl_pips == pytest.approx(26.0)
    assert simulation.realised_pips[0] == pytest.approx(26.0)
    assert rewards == pytest.approx([-4.0, 10.0, 20.0, 0.0, 0.0])


def test_a_sale_is_the_mirror_image() -> None:
    market = flat_market([18_000.0, 18_010.0, 18_030.0, 18_020.0, 18_020.0])
    simulation = BatchSimulation(market, np.array([299]), np.array([303]))
    for action in (SELL, HOLD, HOLD, CLOSE, HOLD):
        simulation.step(np.array([action]))
    (trade,) = simulation.trades()
    assert trade.trade.pnl_pips == pytest.approx(-34.0)
    assert trade.trade.mae_pips == pytest.approx(34.0)
    assert trade.trade.mfe_pips == 0.0


def test_an_open_position_is_closed_at_cost_at_the_session_end() -> None:
    market = flat_market([18_000.0, 18_010.0, 18_030.0])
    simulation = BatchSimulation(market, np.array([299]), np.array([301]))
    for action in (BUY, HOLD, HOLD):
        simulation.step(np.array([action]))
    (trade,) = simulation.trades()
    assert trade.trade.forced
    assert trade.trade.pnl_pips == pytest.approx(26.0)
    assert not simulation.active.any()
    assert simulation.positions[0, SIDE] == 0.0


def test_slippage_worsens_both_fills() -> None:
    bars = flat_market([18_000.0, 18_010.0, 18_030.0, 18_020.0]).bars
    market = market_of(bars, NO_CUTOFF.model_copy(update={"slippage_pips": 0.5}))
    simulation = BatchSimulation(market, np.array([299]), np.array([302]))
    for action in (BUY, HOLD, HOLD, CLOSE):
        simulation.step(np.array([action]))
    assert simulation.realised_pips[0] == pytest.approx(25.0)


def test_financing_is_booked_when_a_position_is_held_over_the_rollover() -> None:
    bars = synthetic_bars("martingale", 3, 1, PAIR)
    trading = NO_CUTOFF.model_copy(
        update={
            "financing_long_pips_per_day": -0.7,
            "financing_short_pips_per_day": 0.4,
            "max_entry_spread_pips": 99.0,
        }
    )
    plain, charged = market_of(bars, NO_CUTOFF), market_of(bars, trading)
    first = 1435 - 5  # the fifth last bar of the first trading day
    for action, carry in ((BUY, -0.7), (SELL, 0.4)):
        results = []
        for market in (plain, charged):
            simulation = BatchSimulation(market, np.array([first]), np.array([first + 9]))
            for a in (action, *[HOLD] * 8, CLOSE):
                simulation.step(np.array([a]))
            results.append(simulation.realised_pips[0])
        assert results[1] - results[0] == pytest.approx(carry)


@pytest.mark.parametrize("preset", list(RewardPreset))
def test_rewards_of_every_preset_add_up_to_what_they_promise(regimes: Market, preset: RewardPreset) -> None:
    simulation = BatchSimulation(regimes, np.array([400, 900]), np.array([759, 1259]), preset)
    policy = RandomPolicy(0.05, np.random.default_rng(1))
    total, entries, idle = 0.0, 0, 0
    while simulation.active.any():
        actions, flat = policy.choose(simulation).actions, simulation.positions[:, SIDE] == 0.0
        entries += int(np.isin(actions, (BUY, SELL)).sum())
        idle += int((flat & (actions == HOLD)).sum())
        total += float(simulation.step(actions).sum())
    trades = simulation.trades()
    assert len(trades) > 4
    assert idle > 100
    share = 0.05 if preset is RewardPreset.AMDDP5 else 0.01
    promised = sum(t.trade.pnl_pips - share * t.trade.accumulated_drawdown_pips for t in trades)
    if preset is RewardPreset.CLEAN:
        promised += 1.0 * entries - 0.05 * idle
    assert total == pytest.approx(promised)


def test_trades_account_for_all_of_an_episodes_profit(regimes: Market) -> None:
    rows = np.arange(400, 2000, 100)
    result = play(RandomPolicy(0.1, np.random.default_rng(2)), regimes, rows, rows + 359, batch=5)
    for episode in range(len(rows)):
        pnl = sum(t.trade.pnl_pips for t in result.trades if t.episode == episode)
        assert pnl == pytest.approx(result.episode_pips[episode])


def test_a_shuffled_future_changes_nothing_before_it(regimes: Market) -> None:
    """Observations, masks, marks and rewards up to row t read no bar after t."""
    bars, cut = regimes.bars, 1500
    order = np.concatenate(
        [np.arange(cut + 1), cut + 1 + np.random.default_rng(0).permutation(len(bars) - cut - 1)]
    )
    shuffled = replace(bars.rows(order), time_s=bars.time_s)
    other = market_of(shuffled)
    actions = [int(a) for a in np.random.default_rng(3).integers(0, 2, 200)]
    seen: list[list[np.ndarray]] = []
    for market in (regimes, other):
        simulation = BatchSimulation(market, np.array([cut - 200]), np.array([cut - 1]))
        track = []
        for wanted in actions:
            mask = simulation.masks()[0]
            action = (BUY if mask[BUY] else CLOSE) if wanted else HOLD
            track += [simulation.observe(), simulation.masks(), simulation.step(np.array([action])).copy()]
        track.append(simulation.positions[:, [EQUITY, ACCUMULATED_DRAWDOWN]].copy())
        seen.append(track)
    for left, right in zip(*seen, strict=True):
        np.testing.assert_array_equal(left, right)


def test_an_illegal_action_is_refused(regimes: Market) -> None:
    simulation = BatchSimulation(regimes, np.array([400]), np.array([500]))
    with pytest.raises(ValueError, match="illegal"):
        simulation.step(np.array([CLOSE]))


def test_a_position_must_be_closed_before_the_week_ends() -> None:
    bars = synthetic_bars("martingale", 5, 1, PAIR)
    market = market_of(bars, TradingConfig())
    last = int(np.flatnonzero(market.flat_required)[0])
    simulation = BatchSimulation(market, np.array([last]), np.array([last + 2]))
    assert simulation.masks()[0].tolist() == [True, False, False, False]
    simulation.positions[0, SIDE] = 1.0
    assert simulation.masks()[0].tolist() == [False, False, False, True]


def test_batches_do_not_change_results(regimes: Market) -> None:
    rows = np.arange(400, 1600, 150)
    alone = [
        play(RandomPolicy(0.0, np.random.default_rng(0)), regimes, rows[i : i + 1], rows[i : i + 1] + 99)
        for i in range(len(rows))
    ]
    together = play(RandomPolicy(0.0, np.random.default_rng(0)), regimes, rows, rows + 99)
    assert together.episode_pips.tolist() == [r.episode_pips[0] for r in alone]
