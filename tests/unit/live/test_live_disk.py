"""A disk that is full: nothing is sent without a journal, health says so, and the trader comes back."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_fakes import RecordedAlerts, World

from swt_core import state as state_module
from swt_core.clock import ManualClock, SystemClock
from swt_core.config import LiveConfig, ProcessLimitsConfig, SWTConfig
from swt_core.errors import StateError
from swt_core.position import BUY, HOLD
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_live import daemon as daemon_module
from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions
from swt_live.disk import disk_full, free_bytes, journal_fault, too_little
from swt_live.journal import Journal, JournalBroken


class Disk:
    """While ``full``, no connection of any journal takes a write."""

    full = False


class FullConnection(sqlite3.Connection):
    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if Disk.full and statement.lstrip().upper().startswith(("INSERT", "UPDATE", "CREATE", "COMMIT")):
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(statement, *values)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[Disk]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=FullConnection))
    monkeypatch.setattr(Disk, "full", False)
    return Disk


async def test_no_order_leaves_when_its_intent_cannot_be_written(tmp_path: Path, disk: type[Disk]) -> None:
    world = World(tmp_path, lambda n: BUY if n >= 2 else HOLD)
    world.press_start()
    await world.run(2)
    disk.full = True
    with pytest.raises(JournalBroken, match="full"):
        await world.trader.run()
    assert world.broker.orders == []
    assert not world.trader.feed.connected


async def test_what_was_filled_when_the_disk_became_full_is_booked_by_the_next_trader(
    tmp_path: Path, disk: type[Disk]
) -> None:
    world = World(tmp_path, lambda n: BUY if n == 1 else HOLD)
    world.press_start()
    create = world.broker.create_order

    async def full_after(order: Any) -> Any:
        result = await create(order)
        disk.full = True
        return result

    world.broker.create_order = full_after  # type: ignore[method-assign]
    with pytest.raises(JournalBroken):
        await world.trader.run()
    assert world.broker.units == 1
    assert world.journal.fills() == []
    disk.full = False
    world.broker.create_order = create  # type: ignore[method-assign]
    world.start_trader()
    await world.run(2)
    assert world.trader.book.units == 1
    assert len(world.broker.orders) == 1
    assert not [audit for audit in world.journal.audits() if audit[1].startswith("drift")]


async def test_little_room_stops_entries_before_the_disk_is_full(tmp_path: Path) -> None:
    world = World(tmp_path, lambda _: BUY)
    world.press_start()
    world.trader.desk.disk_low = True
    await world.run(3)
    assert world.broker.orders == []
    assert world.trader.counters.vetoes["too little disk is free"] >= 1
    assert too_little(99_000_000, 100.0)
    assert not too_little(100_000_000, 100.0)
    assert too_little(None, 100.0)
    assert free_bytes(tmp_path) is not None
    assert free_bytes(tmp_path / "gone") is None


def test_a_journal_that_is_none_or_takes_no_write_has_a_fault(tmp_path: Path, disk: type[Disk]) -> None:
    assert journal_fault(tmp_path / "journal.db") is None
    disk.full = True
    assert "cannot be written" in (journal_fault(tmp_path / "journal.db") or "")
    disk.full = False
    (tmp_path / "other.db").write_bytes(b"this is no database" * 100)
    assert "cannot open" in (journal_fault(tmp_path / "other.db") or "")


def practice_daemon(tmp_path: Path, transport: httpx.MockTransport) -> LiveDaemon:
    live = LiveConfig.model_validate({"environment": "practice", "account_id": "101-004-1-001"})
    return LiveDaemon(
        SWTConfig(live=live.model_copy(update={"health_port": 0})),
        LiveDirectories(tmp_path / "live", tmp_path / "checkpoints", tmp_path / "validation"),
        {"SWT_BROKER_TOKEN": "token"},
        LiveOptions(transport=transport),
    )


async def test_health_answers_while_the_broker_is_waited_for(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "live")
    answers: list[httpx.Response] = []
    with ManagedProcess("live", ProcessLimitsConfig(), state, ManualClock(1000.0)) as process:

        async def away(request: httpx.Request) -> httpx.Response:
            if len(answers) < 2:
                raise httpx.ConnectError("refused", request=request)
            process.request_stop("SIGTERM")
            raise httpx.ConnectError("refused", request=request)

        daemon = practice_daemon(tmp_path, httpx.MockTransport(away))
        waits = daemon._wait

        def waiting(why: str, error: Any) -> None:
            waits(why, error)
            answers.append(httpx.get(f"{daemon.health_url}/health"))
            answers.append(httpx.get(f"{daemon.health_url}/metrics"))
            process.request_stop("SIGTERM")

        daemon._wait = waiting  # type: ignore[method-assign]
        await asyncio.wait_for(daemon.run(process), 5.0)
    health, metrics = answers[:2]
    assert health.status_code == 503
    assert health.json()["healthy"] is False
    assert "waiting for the broker" in health.json()["status"]
    assert metrics.status_code == 200
    assert 'outcome="no_answer"' in metrics.text


class Trader:
    """What the daemon needs of a trader whose journal fails once."""

    runs = 0
    units = 1

    def __init__(self, _: Any) -> None:
        self.book = self

    async def run(self) -> None:
        Trader.runs += 1
        if Trader.runs == 1:
            raise JournalBroken("the journal failed: database or disk is full")

    def stop(self) -> None: ...


async def test_a_broken_journal_is_told_waited_for_and_taken_up_again(
    tmp_path: Path, disk: type[Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "LiveTrader", Trader)
    monkeypatch.setattr(Trader, "runs", 0)
    daemon = practice_daemon(tmp_path, httpx.MockTransport(lambda _: httpx.Response(500)))
    alerts = RecordedAlerts()
    daemon._alerts = alerts  # type: ignore[assignment]
    alerts.drain = SystemClock().sleep_until  # type: ignore[attr-defined]
    clock = ManualClock(1000.0)
    waited: list[tuple[bool, str]] = []

    class Waiting(ManualClock):
        async def sleep_until(self, time_s: float) -> None:
            health = daemon.health()
            waited.append((health.healthy, health.status))
            disk.full = len(waited) < 3
            await super().sleep_until(time_s)

    clock = Waiting(1000.0)
    disk.full = False
    Journal(daemon.state.file("journal.db")).close()
    process = None
    for _ in range(2):
        try:
            await daemon._trade(None, clock, process)  # type: ignore[arg-type]
        except JournalBroken as error:
            disk.full = True
            await daemon._wait_for_journal(error, clock)
    assert Trader.runs == 2
    assert len(waited) == 3
    assert not any(healthy for healthy, _ in waited)
    assert all("disk is full" in status for _, status in waited)
    assert [event for event, _ in alerts.sent] == ["journal_broken", "journal_mended"]
    assert "1 units are held: `swt emergency-close`" in alerts.sent[0][1]


async def test_a_journal_that_failed_once_is_not_taken_up_again_at_once(tmp_path: Path) -> None:
    """What failed may fail again at once: traders made without a pause would each send a reduction."""
    daemon = practice_daemon(tmp_path, httpx.MockTransport(lambda _: httpx.Response(500)))
    daemon._alerts = RecordedAlerts()  # type: ignore[assignment]
    clock = ManualClock(1000.0)
    await daemon._wait_for_journal(JournalBroken("the journal failed: once"), clock)
    assert clock.time_s() >= 1005.0


def test_a_disk_that_is_full_at_the_start_is_no_crash_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    write = state_module.write_bytes

    def full(path: Path, data: bytes) -> None:
        tries.append(1)
        if len(tries) < 4:
            cause = OSError(errno.ENOSPC, "No space left on device")
            raise StateError(f"cannot write {path}: no space left") from cause
        write(path, data)

    monkeypatch.setattr("swt_live.disk.write_bytes", full)
    monkeypatch.setattr(daemon_module, "_RETRY_S", 0.0)
    daemon = practice_daemon(tmp_path, httpx.MockTransport(lambda _: httpx.Response(500)))
    seen: list[str] = []
    alerts = RecordedAlerts()

    async def drain() -> None:
        seen.append(daemon.health().status)

    alerts.drain = drain  # type: ignore[attr-defined]
    daemon._alerts = alerts  # type: ignore[assignment]
    started: list[bool] = []

    async def run(process: Any) -> None:
        started.append(daemon.health().healthy)

    daemon.run = run  # type: ignore[method-assign]
    daemon.serve()
    assert started == [False]
    assert "no space left" in seen[0]
    assert alerts.sent[0][0] == "disk_full"


def test_a_directory_that_may_not_be_written_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, _: bytes) -> None:
        raise StateError(f"cannot write {path}") from OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("swt_live.disk.write_bytes", refused)
    assert disk_full(StateDirectory(tmp_path)) is None
