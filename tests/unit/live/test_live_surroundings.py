"""Journal, accounts, emergency close, alerts, status and metrics."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from live_fakes import GBP_JPY, NOON_S, VirtualClock, World
from prometheus_client import CollectorRegistry, generate_latest

from swt_broker.credentials import EMBEDDED_TOKEN
from swt_broker.records import InstrumentDetails, OrderResult, Position, PositionSide
from swt_core.config import LiveConfig
from swt_core.errors import ConfigError, OutcomeUnknown, StateError, Unavailable
from swt_core.position import BUY, CLOSE, HOLD
from swt_live.accounts import broker_settings, require_same_instrument
from swt_live.book import BookState
from swt_live.emergency import close_everything
from swt_live.journal import Journal
from swt_live.journal_records import IntentKind, IntentState
from swt_live.metrics import LiveMetrics
from swt_live.replay import recompute
from swt_live.safety import SafetyMemory
from swt_live.status import live_status, unwell

# -- journal ---------------------------------------------------------------------------------------


def write(journal: Journal, now_s: float = 0.0) -> str:
    return journal.write_intent(
        IntentKind.ENTRY, 1, after_transaction_id=5, now_s=now_s, quarantine_s=60,
        reference_points=1, bar_time_s=0, reason="",
    ).client_id  # fmt: skip


def test_an_intent_is_on_disk_before_write_intent_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    client_id = write(Journal(path))
    again = Journal(path)
    assert [intent.client_id for intent in again.open_intents()] == [client_id]


def test_client_ids_never_repeat_even_within_a_second(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    ids = [write(journal) for _ in range(5)]
    assert len(set(ids)) == 5
    journal.settle_intent(ids[0], IntentState.FILLED, "", 0.0)
    journal.settle_intent(ids[0], IntentState.GIVEN_UP, "", 0.0)
    filled = journal.intent(ids[0])
    assert filled is not None
    assert filled.state is IntentState.FILLED


def test_a_transaction_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")

    def half() -> None:
        with journal.transaction():
            journal.audit(0.0, "half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert journal.audits() == []
    assert journal.writable()
    journal.close()
    assert not journal.writable()


def test_a_journal_that_is_none_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match="cannot open the journal"):
        Journal(broken)
    newer = tmp_path / "newer.db"
    sqlite3.connect(newer).execute("PRAGMA user_version=99")
    with pytest.raises(StateError, match="newer build"):
        Journal(newer)


def test_state_of_another_kind_is_reported(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    assert journal.load("key", BookState) is None
    journal.save("key", SafetyMemory(violations=3))
    journal.save("key", SafetyMemory(violations=4))
    assert journal.load("key", SafetyMemory) == SafetyMemory(violations=4)
    journal._db.execute("UPDATE state SET value = '{]'")
    with pytest.raises(StateError, match="is not a SafetyMemory"):
        journal.load("key", SafetyMemory)


# -- accounts --------------------------------------------------------------------------------------


def test_the_embedded_server_is_the_default_and_needs_no_secret() -> None:
    settings = broker_settings(LiveConfig(), {})
    assert settings.base_url == settings.stream_url == LiveConfig().broker_url
    assert settings.token == EMBEDDED_TOKEN


@pytest.mark.parametrize(
    ("live", "environ", "word"),
    [
        ({"environment": "live", "account_id": "001"}, {"SWT_BROKER_TOKEN": "t"}, "confirm_live_account"),
        ({"environment": "practice"}, {"SWT_BROKER_TOKEN": "t"}, "account_id"),
        ({"environment": "practice", "account_id": "001"}, {}, "token"),
    ],
)
def test_a_real_broker_needs_account_token_and_for_real_money_a_second_consent(
    live: dict[str, Any], environ: dict[str, str], word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        broker_settings(LiveConfig(**live), environ)


def test_practice_and_live_have_their_own_hosts() -> None:
    environ = {"SWT_BROKER_TOKEN": "t"}
    practice = broker_settings(LiveConfig(environment="practice", account_id="001"), environ)
    real = broker_settings(
        LiveConfig(environment="live", account_id="001", confirm_live_account=True), environ
    )
    assert "fxpractice" in practice.base_url
    assert "fxpractice" in practice.stream_url
    assert "fxtrade" in real.base_url


def test_an_instrument_counted_otherwise_is_refused() -> None:
    details = InstrumentDetails(
        "GBP_JPY", -2, 3, 0, Decimal(1), Decimal(100), Decimal("0.05"), {}
    )  # fmt: skip
    require_same_instrument(GBP_JPY, details)
    with pytest.raises(ConfigError, match="displayPrecision is 5 at the broker, 3 here"):
        require_same_instrument(GBP_JPY, replace(details, display_precision=5))


# -- emergency close -------------------------------------------------------------------------------


class Account:
    """Positions that close, sometimes."""

    def __init__(self, long: int, short: int = 0) -> None:
        self.units = {"long": Decimal(long), "short": Decimal(-short)}
        self.read_faults = self.close_faults = 0
        self.cancels = 0
        self.closed: list[str] = []

    async def open_positions(self) -> tuple[Position, ...]:
        if self.read_faults:
            self.read_faults -= 1
            raise Unavailable("no answer")
        sides = [PositionSide(self.units[s], None, (), Decimal(0), Decimal(0)) for s in ("long", "short")]
        return (Position("GBP_JPY", sides[0], sides[1], {}),)

    async def close_position(
        self, instrument: str, *, side: str, units: int | None = None, client_id: str | None = None
    ) -> OrderResult:
        if self.close_faults:
            self.close_faults -= 1
            raise OutcomeUnknown("no answer")
        if self.cancels:
            self.cancels -= 1
            return OrderResult(None, None, None, (), 1, None, {})
        self.units[side] = Decimal(0)
        self.closed.append(side)
        fill: Any = object()
        return OrderResult(None, fill, None, (), 1, None, {})


async def test_emergency_close_goes_on_until_the_broker_says_flat() -> None:
    account = Account(3, short=2)
    account.read_faults, account.close_faults, account.cancels = 2, 1, 1
    told: list[str] = []
    report = await close_everything(account, VirtualClock(0.0), tell=told.append)
    assert report.flat
    assert sorted(account.closed) == ["long", "short"]
    assert len(report.errors) == 4
    assert len(told) == 6


async def test_emergency_close_never_claims_flat_without_the_brokers_word() -> None:
    account = Account(0)
    account.read_faults = 100
    assert not (await close_everything(account, VirtualClock(0.0), attempts=5)).flat
    other = Account(3)
    report = await close_everything(other, VirtualClock(0.0), instruments=["EUR_USD"])
    assert report.flat
    assert other.closed == []


# -- alerts, status, metrics -----------------------------------------------------------------------


async def test_the_status_tells_position_model_and_health(tmp_path: Path) -> None:
    world = World(tmp_path, lambda n: {1: BUY, 3: CLOSE, 4: BUY}.get(n, HOLD))
    idle = live_status(world.trader)
    assert (idle.state, idle.reconciled, idle.tick_age_s) == ("REDUCING", False, None)
    assert unwell(idle, disk_well=False, feed_needed=True) == (
        "the journal cannot be written",
        "broker and journal have not been reconciled",
        "the price feed is stale",
    )
    world.press_start()
    await world.run(6)
    status = live_status(world.trader)
    assert (status.state, status.units, status.trades, status.decisions) == ("ACTIVE", 1, 1, 6)
    assert status.model_sha256 == "f" * 64
    assert status.win_rate in (0.0, 1.0)
    assert unwell(status, disk_well=True, feed_needed=True) == ()
    write(world.journal)
    assert unwell(live_status(world.trader), disk_well=True, feed_needed=True) == ("1 orders are undecided",)

    registry = CollectorRegistry()
    metrics = LiveMetrics(registry)
    for point in world.points:
        metrics.on_decision(point)
    metrics.show(status)
    text = generate_latest(registry).decode()
    assert "swt_live_position_units 1.0" in text
    assert 'swt_live_state{state="ACTIVE"} 1.0' in text
    assert 'swt_live_decisions_total{action="BUY"} 2.0' in text


async def test_a_day_is_recomputed_from_the_journal_and_tampering_shows(tmp_path: Path) -> None:
    script = {1: BUY, 4: CLOSE}
    world = World(tmp_path, lambda n: script.get(n, HOLD))
    world.press_start()
    await world.run(8)

    def again(_: str) -> Any:
        return type(world.engine)(lambda n: script.get(n, HOLD))

    def report() -> Any:
        return recompute(
            world.journal, world.config, GBP_JPY, world.features, again, "2024-01-08", lookback=32
        )

    first = report()
    assert (first.decisions, first.recomputed, first.agreed) == (8, 8, 8)
    assert first.summary()["disagreements"] == []
    world.journal._db.execute("UPDATE bars SET close_hp = close_hp + 2 WHERE id = (SELECT MAX(id) FROM bars)")
    assert "bars, observation differ" in report().disagreements[0]
    world.journal._db.execute("UPDATE decisions SET feature_version = 'older'")
    assert len(report().skipped) == 8
    assert NOON_S
