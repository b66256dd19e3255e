"""Rolling figures and alarms: from closed trades and counted decisions, never from rewards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from swt_core.clock import ManualClock
from swt_core.config import SWTConfig, TrainerAlarmsConfig
from swt_core.records import TradeResult
from swt_core.state import StateDirectory, read_json
from swt_environments.dataset import load_dataset
from swt_environments.simulation import EpisodeTrade
from swt_inference.rollout import RolloutResult
from swt_training.alarms import ALARMS_FILE, AlarmBoard, AlarmName, TrainerAlarms, judge_alarms
from swt_training.diagnostics import NetworkFigures, NetworkProbe, perplexity
from swt_training.rolling import RollingFigures, RollingStatistics, rolling_figures
from swt_training.run_setup import fresh_learner

CONFIG = TrainerAlarmsConfig(window_sessions=100)


def trade(episode: int, pips: float) -> EpisodeTrade:
    return EpisodeTrade(episode, 0, 1, TradeResult(1, 0, 60, 0, 0, 1, pips, 0.0, 0.0, 0.0, 0.0))


def played(
    sessions: int, actions: tuple[int, int, int, int], trades: tuple[tuple[int, float], ...] = ()
) -> RolloutResult:
    return RolloutResult(
        episode_pips=np.zeros(sessions),
        trades=tuple(trade(episode, pips) for episode, pips in trades),
        action_counts=np.array(actions),
        mean_confidence=0.5,
    )


def rolling(*results: RolloutResult) -> RollingFigures:
    window = RollingStatistics(CONFIG.window_sessions)
    window.add(results)
    return window.figures()


def judged(*results: RolloutResult) -> dict[AlarmName, str]:
    return judge_alarms(CONFIG, rolling(*results), None)


def test_figures_come_from_closed_trades_whatever_the_sessions_were_paid() -> None:
    result = played(4, (90, 4, 3, 3), ((0, 10.0), (0, -4.0), (2, -3.0)))
    paid = RolloutResult(np.full(4, 1e6), result.trades, result.action_counts, 0.5)
    found = rolling(paid)
    assert found.trades.expectancy_pips == pytest.approx(1.0)
    assert found.trades.win_rate == pytest.approx(1 / 3)
    assert found.trade_ratio == 0.5
    assert found.trades_per_session == 0.75
    assert found.action_shares == (0.9, 0.04, 0.03, 0.03)
    assert found.buys_share == pytest.approx(4 / 7)
    assert found.confidence == 0.5
    assert rolling_figures(found)["Rolling/expectancy_pips"] == pytest.approx(1.0)


def test_only_the_last_sessions_count() -> None:
    window = RollingStatistics(100)
    for pips in (1.0, 2.0, 3.0):
        window.add([played(50, (9, 1, 0, 0), ((0, pips),))])
    assert window.figures().sessions == 100
    assert window.figures().trades.total_pips == 5.0


def test_the_window_survives_a_restart() -> None:
    before, after = RollingStatistics(100), RollingStatistics(100)
    before.add([played(30, (9, 1, 0, 0), ((0, 2.0), (3, -1.0)))])
    after.restore(before.arrays())
    assert after.figures() == before.figures()
    RollingStatistics(100).restore({})


def test_nothing_undefined_is_shown_as_a_number() -> None:
    figures = rolling_figures(rolling(played(100, (100, 0, 0, 0))))
    assert "Rolling/expectancy_pips" not in figures
    assert "Rolling/sqn" not in figures
    assert figures["Rolling/trades"] == 0.0


def test_a_healthy_agent_holds_almost_always_and_raises_nothing() -> None:
    """Four trades in 360 bars hold 98 % of the time."""
    trades = tuple((episode, 3.0) for episode in range(100) for _ in range(4))
    assert judged(played(100, (352 * 100, 200, 200, 400), trades)) == {}


def test_an_agent_that_never_trades_raises_hold_only_and_a_collapse() -> None:
    assert set(judged(played(100, (36_000, 0, 0, 0)))) == {AlarmName.HOLD_ONLY, AlarmName.ACTION_COLLAPSE}


def test_one_action_alone_is_a_collapse() -> None:
    found = judged(played(100, (100, 3000, 0, 1), ((0, 1.0),)))
    assert "BUY is 96.7% of all decisions" in found[AlarmName.ACTION_COLLAPSE]


@pytest.mark.parametrize(("buys", "sells", "alone"), [(99, 1, "BUY"), (1, 99, "SELL"), (60, 40, None)])
def test_entries_of_one_side_only_are_a_collapse(buys: int, sells: int, alone: str | None) -> None:
    trades = tuple((episode, 1.0) for episode in range(100))
    found = judged(played(100, (35_000, buys, sells, 100), trades))
    assert (found.get(AlarmName.ACTION_COLLAPSE, "").split(" ")[0] or None) == alone


def test_the_first_sessions_prove_nothing() -> None:
    assert judged(played(99, (36_000, 0, 0, 0))) == {}


@pytest.mark.parametrize(
    ("unused", "share", "alarms"),
    [
        (0.0, 0.1, set()),
        (0.6, 0.1, {AlarmName.CHANCE_COLLAPSE}),
        (0.0, 0.95, {AlarmName.VALUE_EXPLOSION}),
        (0.0, float("nan"), {AlarmName.VALUE_EXPLOSION}),
    ],
)
def test_codes_nobody_uses_and_values_at_the_bound_are_alarms(
    unused: float, share: float, alarms: set[AlarmName]
) -> None:
    network = NetworkFigures(2.0, unused, 2.0, 300.0 * share, share)
    assert set(judge_alarms(CONFIG, rolling(), network)) == alarms


def test_perplexity_counts_codes_that_are_evenly_used() -> None:
    assert perplexity(np.array([0.25] * 4)) == pytest.approx(4.0)
    assert perplexity(np.array([1.0, 0.0, 0.0])) == pytest.approx(1.0)


@pytest.mark.parametrize("chance", ["outcomes", "codebook"])
def test_the_probe_sees_a_collapsed_encoder_and_an_exploding_value_head(
    small: SWTConfig, chance: str
) -> None:
    model = small.model.model_copy(update={"chance": chance, "codebook_size": 8})
    config = small.model_copy(update={"model": model})
    dataset = load_dataset(config)
    network, _ = fresh_learner(config, dataset)
    probe = NetworkProbe(dataset, config.data.session_bars, network.codes)
    sound = probe.look(network)
    assert sound.code_perplexity > 1.5
    assert sound.value_share_of_support < 0.5
    assert network.training
    with torch.no_grad():
        if network.encoder is not None:
            last = network.encoder.layers[-1]
            last.weight.zero_()
            last.bias.copy_(torch.arange(8.0))
        network.prediction.heads.bias("value")[-1] = 1e4
        network.afterstate_prediction.heads.bias("chance")[0] = 50.0
    broken = probe.look(network)
    # Outcomes are the market's own: what may collapse is what the network foretells.
    assert broken.predicted_code_perplexity == pytest.approx(1.0, abs=1e-3)
    assert AlarmName.CHANCE_COLLAPSE not in judge_alarms(CONFIG, rolling(), sound)
    assert broken.unused_codes_share >= 0.5
    assert AlarmName.CHANCE_COLLAPSE in judge_alarms(CONFIG, rolling(), broken)
    if chance == "codebook":
        assert broken.code_perplexity == pytest.approx(1.0)
    assert AlarmName.VALUE_EXPLOSION in judge_alarms(CONFIG, rolling(), broken)


def test_an_alarm_is_written_with_its_first_sight_and_goes_when_it_is_over(tmp_path: Path) -> None:
    clock = ManualClock(1000.0)
    board = AlarmBoard(StateDirectory(tmp_path), clock)

    def written() -> dict[str, float]:
        found = read_json(tmp_path / ALARMS_FILE, TrainerAlarms)
        assert found is not None
        return {alarm.name: alarm.since_s for alarm in found.alarms}

    board.show({})
    assert written() == {}
    board.show({AlarmName.HOLD_ONLY: "none closed"})
    clock.advance(60)
    board.show({AlarmName.HOLD_ONLY: "none closed", AlarmName.DISK: "full"})
    assert written() == {"hold_only": 1000.0, "disk": 1060.0}
    assert board.as_figures()["Alarm/hold_only"] == 1.0
    assert board.as_figures()["Alarm/value_explosion"] == 0.0
    assert board.as_counters() == {"alarm_hold_only": 1.0, "alarm_disk": 1.0}
    board.show({AlarmName.DISK: "full"})
    assert written() == {"disk": 1060.0}
