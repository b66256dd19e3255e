"""Limits, states, and what survives a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from live_fakes import NOON_S, RecordedAlerts, VirtualClock, World, configured

from swt_core.position import BUY, CLOSE, HOLD
from swt_core.records import TradeResult
from swt_live.book import ClosedTrade
from swt_live.journal import Journal
from swt_live.journal_records import IntentKind
from swt_live.safety import SafetyMonitor, TradingState

TRADE = TradeResult(1, 0, 60, 1, 2, 1, 0.0, 0.0, 0.0, 0.0, 0.0)


class Watched:
    """A monitor, its clock and the open profit it is told."""

    def __init__(self, tmp_path: Path, units: int = 1, **limits: object) -> None:
        self.clock = VirtualClock(float(NOON_S))
        self.alerts = RecordedAlerts()
        self.open_pips = 0.0
        self.units = units
        self.limits = limits
        self.journal = Journal(tmp_path / "journal.db")
        self.monitor = self.make()

    def make(self) -> SafetyMonitor:
        return SafetyMonitor(
            configured(trading_safety=dict(self.limits)).trading_safety,
            self.journal,
            self.clock,
            self.alerts,
            units=self.units,
            open_pips=lambda: self.open_pips,
        )

    def close(self, pips: float, units: int = 1) -> None:
        self.monitor.on_closed(ClosedTrade(replace(TRADE, pnl_pips=pips), units))


def test_the_daily_loss_stops_entries_until_the_next_trading_day(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_daily_loss_pips=50)
    watched.close(-49.9)
    assert watched.monitor.entry_refusal() is None
    watched.open_pips = -0.1
    watched.monitor.check_losses()
    assert watched.monitor.entry_refusal() == "daily loss limit reached"
    assert watched.make().entry_refusal() == "daily loss limit reached"
    watched.clock.now_s += 86_400
    watched.open_pips = 0.0
    assert watched.monitor.entry_refusal() is None
    assert watched.monitor.memory.realised_today_pips == 0


def test_a_drawdown_halts_until_a_person_acts(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_drawdown_pips=100, max_daily_loss_pips=1000)
    watched.close(60.0)
    watched.close(-99.0)
    assert not watched.monitor.halted
    watched.open_pips = -60.0
    watched.monitor.check_losses()
    assert watched.monitor.halted
    watched.clock.now_s += 7 * 86_400
    assert watched.make().halted
    watched.monitor.on_flags(started=True, emergency=False)
    assert watched.monitor.halted
    watched.monitor.on_flags(started=False, emergency=False)
    watched.monitor.on_flags(started=True, emergency=True)
    assert watched.monitor.halted
    watched.monitor.on_flags(started=True, emergency=False)
    assert not watched.monitor.halted
    watched.monitor.check_losses()
    assert not watched.monitor.halted


def test_losses_in_a_row_pause_entries(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_consecutive_losses=3, cooldown_minutes=30)
    for pips in (-1.0, -1.0, 1.0, -1.0, -1.0):
        watched.close(pips)
    assert watched.monitor.entry_refusal() is None
    watched.close(-1.0)
    assert watched.monitor.entry_refusal() == "cooling down after losses"
    assert watched.monitor.state(started=True) is TradingState.REDUCING
    watched.clock.now_s += 1800
    assert watched.monitor.entry_refusal() is None
    assert watched.monitor.state(started=True) is TradingState.ACTIVE
    assert watched.monitor.state(started=False) is TradingState.REDUCING


def test_entries_an_hour_are_counted_from_the_journal(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_trades_per_hour=2)
    for kind in (IntentKind.ENTRY, IntentKind.REDUCE, IntentKind.CLOSE, IntentKind.ENTRY):
        watched.journal.write_intent(
            kind, 1, after_transaction_id=0, now_s=watched.clock.now_s, quarantine_s=60,
            reference_points=0, bar_time_s=0, reason="",
        )  # fmt: skip
        watched.clock.now_s += 60
    assert watched.monitor.entry_refusal() == "trades per hour"
    watched.clock.now_s += 3400
    assert watched.monitor.entry_refusal() is None


def test_three_violations_shut_trading_down(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_slippage_pips=2, max_position_units=1)
    watched.monitor.check_slippage(2.0)
    assert watched.monitor.memory.violations == 0
    watched.monitor.check_slippage(2.1)
    assert watched.monitor.check_position(-1)
    assert not watched.monitor.check_position(-2)
    assert watched.monitor.memory.flatten_reason is None
    watched.monitor.violation("oversize", "66 for 1")
    assert watched.monitor.halted
    assert watched.monitor.memory.flatten_reason is not None
    assert watched.make().memory.flatten_reason is not None
    watched.monitor.shut_down("again")
    watched.monitor.flattened()
    watched.monitor.flattened()
    assert watched.monitor.memory.flatten_reason is None
    assert watched.monitor.halted
    assert "halt" in [event for event, _ in watched.alerts.sent]


def test_violations_are_counted_by_trading_day(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.monitor.violation("slippage", "")
    watched.monitor.violation("slippage", "")
    watched.clock.now_s += 86_400
    watched.monitor.violation("slippage", "")
    assert not watched.monitor.halted


def test_profits_count_at_the_configured_order_size(tmp_path: Path) -> None:
    watched = Watched(tmp_path, units=10)
    watched.close(4.0, units=5)
    assert watched.monitor.memory.realised_pips == 2.0


async def test_a_shutdown_closes_the_position(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(3)
    world.trader.safety.shut_down("test")
    await world.run(0.1)
    assert world.broker.units == 0
    assert world.trader.safety.memory.flatten_reason is None
    assert world.trader.state is TradingState.HALTED


@pytest.mark.parametrize("revoked", [True, False])
async def test_entries_need_a_model_that_may_trade(tmp_path: Path, revoked: bool) -> None:
    world = World(tmp_path, lambda n: BUY if n % 2 else CLOSE)
    world.press_start()
    if revoked:
        world.models.choice = None
    else:
        assert world.models.choice is not None
        world.models.choice = replace(world.models.choice, authorised_until_s=world.clock.now_s)
    await world.run(5)
    assert world.broker.orders == []
    assert world.trader.counters.skipped.get("no model", 0) == (5 if revoked else 0)


async def test_a_position_nobody_may_manage_is_closed(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(3)
    world.models.choice = None
    world.start_trader()
    await world.run(2)
    assert world.broker.units == 0


def test_a_halt_refuses_entries_and_says_why_first(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_daily_loss_pips=50)
    watched.close(-60.0)
    watched.monitor.halt("somebody else traded")
    assert watched.monitor.entry_refusal() == "halted: somebody else traded"
    assert watched.make().entry_refusal() == "halted: somebody else traded"


def test_a_second_reason_is_told_and_one_press_does_not_lift_what_nobody_has_seen(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    monitor = watched.monitor
    monitor.halt("somebody else traded")
    monitor.on_flags(started=False, emergency=False)
    monitor.halt("oversize fill: 66 for 1")
    monitor.halt("oversize fill: 66 for 1")
    assert monitor.entry_refusal() == "halted: somebody else traded; oversize fill: 66 for 1"
    assert [detail for event, detail in watched.alerts.sent if event == "halt"] == [
        "somebody else traded",
        "oversize fill: 66 for 1",
    ]
    monitor = watched.make()
    monitor.on_flags(started=False, emergency=False)
    monitor.on_flags(started=True, emergency=False)
    assert monitor.halted
    assert watched.alerts.sent[-1][0] == "still_halted"
    monitor.on_flags(started=True, emergency=False)
    assert monitor.halted
    monitor.on_flags(started=False, emergency=False)
    monitor.on_flags(started=True, emergency=False)
    assert not monitor.halted


def test_a_second_reason_while_start_is_there_needs_one_new_press(tmp_path: Path) -> None:
    monitor = Watched(tmp_path).monitor
    monitor.halt("drift")
    monitor.halt("oversize")
    monitor.on_flags(started=True, emergency=False)
    assert monitor.halted
    monitor.on_flags(started=False, emergency=False)
    monitor.halt("EMERGENCY_STOP", by_person=True)
    monitor.on_flags(started=True, emergency=False)
    assert not monitor.halted


def test_the_first_and_the_latest_reasons_of_a_halt_are_kept(tmp_path: Path) -> None:
    monitor = Watched(tmp_path).monitor
    for number in range(50):
        monitor.halt(f"reason {number}")
    assert monitor.memory.halt_reason is not None
    reasons = monitor.memory.halt_reason.split("; ")
    assert reasons[0] == "reason 0"
    assert reasons[-1] == "reason 49"
    assert len(reasons) == 6
