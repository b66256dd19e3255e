"""Metrics: documented by name, fed from what happens, NaN where undefined."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_fakes import GBP_JPY, FakeFeatures, World, configured
from prometheus_client import generate_latest

from swt_broker.client import OandaClient
from swt_broker.observer import RequestSeen, operation
from swt_broker.records import BrokerSettings
from swt_core.clock import SystemClock
from swt_core.config import SWTConfig
from swt_core.errors import BrokerError
from swt_core.metrics import metrics_registry, register_state
from swt_core.position import BUY, CLOSE, HOLD
from swt_core.records import TradeResult
from swt_core.state import StateDirectory
from swt_live.limit_metrics import register_limits
from swt_live.metrics import LiveMetrics
from swt_live.self_check import SelfCheck
from swt_live.status import live_status, unwell
from swt_live.trade_window import trade_window

PAGE = Path(__file__).parents[3] / "docs" / "metrics_live.md"
SUFFIXES = {"counter": "_total", "info": "_info"}


def families() -> dict[str, tuple[str, str]]:
    """Kind and help of every metric the trader serves, by the name a query uses."""
    registry = metrics_registry("live")
    register_state(registry, StateDirectory("nowhere"), SystemClock())
    register_limits(registry, SWTConfig())
    LiveMetrics(registry)
    return {
        family.name + SUFFIXES.get(family.type, ""): (family.type, family.documentation)
        for family in registry.collect()
    }


def test_the_page_names_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    served = families()
    assert {name for name, _, _ in rows} == set(served)
    for name, kind, text in rows:
        assert (name, kind) == (name, served[name][0])
        assert text.startswith(served[name][1])


def test_queries_on_the_page_use_metrics_that_are_served() -> None:
    names = set(re.findall(r"swt_live_\w+", PAGE.read_text().split("## Rates")[1]))
    served = set(families())
    histograms = {name for name, (kind, _) in families().items() if kind == "histogram"}
    served |= {f"{name}{part}" for name in histograms for part in ("_bucket", "_count", "_sum")}
    assert names - {"swt_live_account_balance"} <= served


def test_names_carry_their_units() -> None:
    for name in families():
        assert not re.search(r"_(ms|minutes|hours|percent)(_total)?$", name), name


def value(registry: Any, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, name
    return float(found)


async def test_what_happens_is_counted(tmp_path: Path) -> None:
    registry = metrics_registry("live")
    metrics = LiveMetrics(registry)

    class Measured(World):
        def parts(self) -> dict[str, Any]:
            return {"on_reconciled": metrics.on_reconciled, "on_fill": metrics.on_fill}

    world = Measured(tmp_path, lambda n: BUY if n == 1 else CLOSE if n == 4 else BUY if n == 6 else HOLD)
    world.press_start()
    await world.run(9)
    for point in world.points:
        metrics.on_decision(point)
    world.broker.read_faults = 1
    await world.trader.reconciler.reconcile("periodic")
    world.broker.units = 0
    await world.trader.desk.reconcile("position check")
    metrics.show(live_status(world.trader))
    assert value(registry, "swt_live_reconciliations_total", trigger="order", result="ok") == 3
    assert value(registry, "swt_live_reconciliations_total", trigger="position check", result="ok") == 1
    assert value(registry, "swt_live_discrepancies_total", kind="missing") == 1
    assert value(registry, "swt_live_discrepancies_total", kind="size") == 0
    assert value(registry, "swt_live_fill_slippage_pips_count") == 3
    assert value(registry, "swt_live_decisions_total", action="BUY") == 2
    assert value(registry, "swt_live_search_depth_count") == len(world.points)
    assert value(registry, "swt_live_unexplained_trades") == 1
    assert value(registry, "swt_live_trades") == 2
    assert value(registry, "swt_live_broker_minus_local_units") == 0
    assert value(registry, "swt_live_slippage_over_model_pips") == value(registry, "swt_live_slippage_pips")
    assert value(registry, "swt_live_spread_pips") == pytest.approx(2.4)
    assert value(registry, "swt_live_spread_over_model_pips") == pytest.approx(2.4 - 4.0)
    assert value(registry, "swt_live_account_balance") == 0.0
    assert value(registry, "swt_live_state", state="HALTED") == 1
    assert math.isnan(value(registry, "swt_live_oldest_undecided_order_seconds"))


async def test_the_position_has_an_age_and_a_largest_loss_and_an_undecided_order_an_age(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(5)
    status = live_status(world.trader)
    assert 150.0 < status.time_in_position_s < 300.0
    assert status.mae_pips >= 2.4  # it started with the spread
    world.broker.order_faults.append("lost")
    world.broker.read_faults = 0
    world.directory.lower_flag("START_TRADING")
    await world.run(0.4)
    assert 0 < (live_status(world.trader).oldest_undecided_s or 0) <= 60


async def test_a_broker_that_is_silent_for_a_minute_is_unwell(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.press_start()
    await world.run(2)
    now_s = world.clock.now_s
    status = live_status(world.trader)
    assert unwell(status, disk_well=True, feed_needed=True) == ()
    lost = status.model_copy(update={"broker_lost_s": now_s - 61.0, "disk_low": True})
    assert unwell(lost, disk_well=True, feed_needed=True) == (
        "too little disk is free: no entries",
        "the broker does not say what it holds",
    )


# -- rolling figures -------------------------------------------------------------------------------


def trade(pips: float, mae: float = 1.0) -> TradeResult:
    return TradeResult(1, 0, 60, 1, 1, 1, pips, mae, 0.0, 0.0, 0.0, 0.0, 0.0, forced=False)


def test_rolling_figures_of_trades() -> None:
    found = trade_window([trade(4.0), trade(-1.0, 3.0), trade(2.0), trade(2.0)], [trade(2.0), trade(-4.0)])
    assert found.win_rate == 0.75
    assert found.win_loss_ratio == pytest.approx((8.0 / 3.0) / 1.0)
    assert found.profit_factor == 8.0
    assert (found.winning_streak, found.losing_streak) == (2, 0)
    assert found.mae_pips == 1.5
    assert (found.trades_6h, found.profit_factor_6h) == (2, 0.5)


def test_rolling_figures_are_undefined_where_there_is_nothing() -> None:
    found = trade_window([], [])
    assert (found.win_rate, found.win_loss_ratio, found.profit_factor, found.mae_pips) == (None,) * 4
    assert (found.winning_streak, found.losing_streak, found.profit_factor_6h) == (0, 0, None)
    losses = trade_window([trade(-1.0), trade(-2.0)], [trade(1.0)])
    assert (losses.win_loss_ratio, losses.losing_streak, losses.profit_factor_6h) == (None, 2, math.inf)


# -- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v3/accounts/101-001-1-001", "GET account"),
        ("GET", "/v3/accounts/101-001-1-001/changes", "GET changes"),
        ("POST", "/v3/accounts/101-001-1-001/orders", "POST orders"),
        ("PUT", "/v3/accounts/101-001-1-001/positions/GBP_JPY/close", "PUT close"),
        ("GET", "/v3/instruments/GBP_JPY/candles", "GET candles"),
    ],
)
def test_an_operation_has_no_id_in_its_name(method: str, path: str, name: str) -> None:
    assert operation(httpx.Request(method, f"https://broker{path}")) == name


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (404, "4xx"), (429, "429"), (503, "5xx"), (None, "no_answer")]
)
async def test_every_request_is_told_with_its_outcome(status: int | None, outcome: str) -> None:
    seen: list[RequestSeen] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if status is None:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(status, json={"positions": [], "errorMessage": "x"})

    settings = BrokerSettings("https://b", "https://b", "t", "a")
    client = OandaClient(settings, httpx.MockTransport(answer), observe=seen.append)
    with suppress(BrokerError):
        await client.open_positions()
    assert [(item.operation, item.outcome) for item in seen] == [("GET openPositions", outcome)]
    registry = metrics_registry("live")
    metrics = LiveMetrics(registry)
    metrics.on_request(seen[0])
    metrics.on_alert("email", "sent")
    labels = {"operation": "GET openPositions", "outcome": outcome}
    assert value(registry, "swt_live_broker_requests_total", **labels) == 1
    assert value(registry, "swt_live_broker_request_seconds_count", operation="GET openPositions") == 1
    assert b"swt_live_alerts_total" in generate_latest(registry)


# -- live against replay ---------------------------------------------------------------------------


class Checked(World):
    """A world that recomputes each decision."""

    def parts(self) -> dict[str, Any]:
        check = SelfCheck(
            self.config,
            GBP_JPY,
            self.journal,
            FakeFeatures(),
            self.clock,
            self.alerts,
            lookback=self.lookback,
        )
        return {"self_check": check}

    @property
    def check(self) -> SelfCheck:
        found = self.trader.parts.self_check
        assert found is not None
        return found


def checked(tmp_path: Path, every: int) -> Checked:
    # HOLD whatever the number: a decision asked for twice must come out the same.
    world = Checked(tmp_path, lambda _: HOLD, config=configured(live={"replay_every_decisions": every}))
    world.press_start()
    return world


async def test_every_so_many_decisions_one_is_computed_again_and_agrees(tmp_path: Path) -> None:
    world = checked(tmp_path, 3)
    await world.run(12)
    assert (world.check.counts.checked, world.check.counts.disagreed) == (4, 0)
    world.start_trader()
    assert world.check.counts.checked == 4
    status = live_status(world.trader)
    assert (status.replay_checked, status.replay_disagreements) == (4, 0)


async def test_a_decision_that_comes_out_otherwise_is_counted_noted_and_alarmed(tmp_path: Path) -> None:
    world = checked(tmp_path, 1)
    await world.run(4)
    before = world.check.counts.checked
    run = world.check.run

    def tampered() -> None:
        world.journal._db.execute("UPDATE decisions SET visit_counts = '[1, 2, 3, 4]'")
        run()

    world.check.run = tampered  # type: ignore[method-assign]
    await world.run(1)
    assert world.check.counts.checked == before + 1
    assert world.check.counts.disagreed == 1
    assert "visits differ" in world.journal.audits("replay_disagreement")[0][2]
    assert [event for event, _ in world.alerts.sent] == ["replay_disagreement"]


async def test_a_decision_that_is_gone_or_whose_bars_are_is_a_disagreement(tmp_path: Path) -> None:
    world = checked(tmp_path, 1)
    await world.run(3)
    model = world.trader.models.model
    assert model is not None
    world.check.decided(10_000, model)
    world.check.run()
    world.journal._db.execute("DELETE FROM bars")
    world.check.decided(1, model)
    world.check.run()
    assert world.check.counts.disagreed == 2
    world.check.run()
    assert world.check.counts.disagreed == 2


async def test_zero_means_never(tmp_path: Path) -> None:
    world = checked(tmp_path, 0)
    await world.run(5)
    assert world.check.counts.checked == 0
