"""What must not stop or delay the trader: a candidate, a check of the past, a channel, an old retry."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_fakes import GBP_JPY, FakeFeatures, ScriptedEngine, World, checkpoint_ref, configured

from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError, StateError
from swt_core.position import BUY, HOLD
from swt_live.alerts import Alert, AlertRouter
from swt_live.emergency_account import Named, closing_account
from swt_live.journal import Journal
from swt_live.models import LoadedModel, ModelChoice
from swt_live.replay import replay_day
from swt_live.self_check import SelfCheck
from swt_live.shadow import SHADOW_KEY, Shadow
from swt_live.trader import DECISION_FAILED

CANDIDATE = "c" * 64


class BadEngine(ScriptedEngine):
    def decide(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not match")


class BadCandidate:
    """A candidate that cannot be loaded, or cannot decide, for a reason nobody foresaw."""

    def __init__(self, *, loads: bool) -> None:
        self.loads = loads

    def candidate(self, sha256: str | None = None) -> tuple[ModelChoice | None, str]:
        return ModelChoice(checkpoint_ref(CANDIDATE), None, float("-inf")), ""

    def load(self, choice: ModelChoice) -> LoadedModel:
        if not self.loads:
            raise MemoryError("too large")
        return LoadedModel(BadEngine(lambda _: HOLD), choice, CANDIDATE)


class Beside(World):
    """A trader with a bad candidate beside it."""

    def __init__(self, directory: Path, candidate: BadCandidate) -> None:
        self.candidate = candidate
        super().__init__(directory, lambda n: BUY if n == 2 else HOLD)

    def parts(self) -> dict[str, Any]:
        def note(event: str, detail: str) -> None:
            self.journal.audit(self.clock.time_s(), event, detail)

        trading = self.config.trading
        return {"shadow": Shadow(self.candidate, self.journal, FakeFeatures(), GBP_JPY, trading, note)}


@pytest.mark.parametrize("loads", [True, False])
async def test_whatever_a_candidate_raises_the_trader_goes_on(tmp_path: Path, loads: bool) -> None:
    world = Beside(tmp_path, BadCandidate(loads=loads))
    world.press_start()
    await world.run(5)
    assert world.broker.units == 1
    assert world.trader.counters.decisions >= 4
    shadow = world.trader.parts.shadow
    assert shadow is not None
    assert shadow.failed
    assert shadow.model is None
    assert ("RuntimeError" if loads else "MemoryError") in shadow.refusal
    assert len(world.journal.audits("shadow_failed")) == 1


async def test_an_engine_that_raises_decides_nothing_and_duties_are_served(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(2)
    assert world.broker.units == 1
    decisions = world.trader.counters.decisions
    assert world.trader.models.model is not None
    world.trader.models.model = replace(world.trader.models.model, engine=BadEngine(lambda _: BUY))
    await world.run(3)
    assert world.trader.counters.decisions == decisions
    assert world.trader.counters.skipped[DECISION_FAILED] >= 2
    assert world.broker.units == 1
    assert "shapes do not match" in world.journal.audits("no_decision")[-1][2]
    assert ("decision_failed", "RuntimeError: shapes do not match") in world.alerts.sent
    world.directory.lower_flag("START_TRADING")
    await world.run(1)
    assert world.broker.units == 0


async def test_a_model_that_cannot_be_loaded_for_any_reason_ends_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, lambda _: BUY)

    def load(_: ModelChoice) -> LoadedModel:
        raise MemoryError("too large")

    world.models.load = load  # type: ignore[method-assign]
    world.press_start()
    await world.run(3)
    assert world.broker.orders == []
    assert "MemoryError" in world.journal.audits("model_refused")[0][2]


async def test_a_broken_paper_ledger_does_not_keep_the_trader_from_starting(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.journal._db.execute("INSERT INTO state VALUES (?, ?)", (SHADOW_KEY, "{"))
    shadow = Shadow(BadCandidate(loads=True), world.journal, FakeFeatures(), GBP_JPY, world.config.trading)
    assert shadow.failed
    assert "paper trading ended" in shadow.refusal


async def test_a_broken_journal_is_not_the_candidates_fault(tmp_path: Path) -> None:
    world = Beside(tmp_path, BadCandidate(loads=True))
    shadow = world.trader.parts.shadow
    assert shadow is not None
    world.journal.close()
    with pytest.raises(sqlite3.Error):
        shadow.refresh(0.0)


class Rechecked(World):
    """A world that computes each decision again, with an engine that then fails."""

    def parts(self) -> dict[str, Any]:
        return {
            "self_check": SelfCheck(
                self.config, GBP_JPY, self.journal, FakeFeatures(), self.clock, self.alerts,
                lookback=self.lookback,
            )
        }  # fmt: skip


async def test_a_check_of_the_past_that_fails_is_a_disagreement_and_stops_nothing(tmp_path: Path) -> None:
    config = configured(live={"replay_every_decisions": 1})
    world = Rechecked(tmp_path, lambda _: HOLD, config=config)
    world.press_start()
    await world.run(3)
    check = world.trader.parts.self_check
    assert check is not None
    before = check.counts
    model = LoadedModel(BadEngine(lambda _: HOLD), None, CANDIDATE)  # type: ignore[arg-type]
    check.decided(1, model)
    check.run()
    assert check.counts.disagreed == before.disagreed + 1
    assert "RuntimeError" in world.journal.audits("replay_disagreement")[-1][2]


async def test_emergency_stop_does_not_wait_for_the_next_try_of_another_duty(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    await world.run(3)
    assert world.broker.units == 1
    # The market refuses one close after the other: the next try is half a minute away.
    world.broker.order_faults.extend(["halt"] * 6)
    world.directory.lower_flag("START_TRADING")
    for _ in range(5):
        await world.trader.step()
        world.clock.now_s = max(world.clock.now_s, world.trader.timers.duty_s)
    await world.trader.step()
    assert world.trader.timers.duty_s - world.clock.now_s >= 10.0
    sent = len(world.broker.orders)
    await world.trader.step()
    assert len(world.broker.orders) == sent
    world.broker.order_faults.clear()
    world.broker.read_faults = 100  # nor for what the broker says is held
    world.directory.raise_flag("EMERGENCY_STOP")
    await world.trader.step()
    assert len(world.broker.orders) == sent + 1
    assert world.broker.units == 0


class Unreliable:
    """A channel that fails at the first alert in a way it should not."""

    name = "unreliable"

    def __init__(self) -> None:
        self.got: list[str] = []

    async def send(self, alert: Alert) -> None:
        if alert.event == "first":
            raise RuntimeError("https://hooks.example.org/secret")
        self.got.append(alert.event)


async def test_a_channel_that_breaks_delivers_the_next_alert_and_tells_no_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    channel, told = Unreliable(), list[tuple[str, str]]()
    alerts = AlertRouter([channel], clock=ManualClock(), count=lambda *what: told.append(what))
    alerts.alert("first", "")
    alerts.alert("second", "")
    await alerts.drain()
    assert channel.got == ["second"]
    assert told == [("unreliable", "failed"), ("unreliable", "sent")]
    shown = capsys.readouterr()
    assert "secret" not in shown.out + shown.err


def test_a_replay_never_changes_the_journal_of_a_running_trader(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.db").close()
    database = sqlite3.connect(tmp_path / "journal.db")
    database.execute("PRAGMA user_version=1")
    database.commit()
    with pytest.raises(StateError, match="layout 1"):
        replay_day(SWTConfig(), tmp_path, tmp_path, "2024-01-09")
    assert database.execute("PRAGMA user_version").fetchone()[0] == 1
    database.close()


def test_an_account_named_by_an_override_is_closed_though_the_configuration_is_broken() -> None:
    def broken() -> SWTConfig:
        raise ConfigError("trading.yaml: not YAML")

    environ = {
        "SWT_LIVE__ENVIRONMENT": "practice", "SWT_LIVE__ACCOUNT_ID": "101-004-1111111-001",
        "SWT_BROKER_TOKEN": "token-of-the-practice-account",
    }  # fmt: skip
    said = ["live.account_id=101-004-2222222-001", "data.instrument=EUR_USD", "trading.units=1"]
    found = closing_account(broken, environ, Named(), said)
    assert found.settings.account_id == "101-004-2222222-001"
    assert (found.environment, found.instrument) == ("practice", "EUR_USD")
    by_name = closing_account(broken, environ, Named(account_id="101-004-3333333-001"), said)
    assert by_name.settings.account_id == "101-004-3333333-001"


async def test_a_stream_whose_opening_was_interrupted_is_not_connected(tmp_path: Path) -> None:
    world = World(tmp_path)
    feed, opening = world.trader.feed, asyncio.Event()

    class Slow:
        async def __aenter__(self) -> Any:
            opening.set()
            await asyncio.Event().wait()

        async def __aexit__(self, *_: object) -> None: ...

    world.broker.price_stream = lambda *_, **__: Slow()  # type: ignore[assignment, method-assign]
    connecting = asyncio.create_task(feed.upkeep())
    await asyncio.wait_for(opening.wait(), 5.0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert not feed.connected
