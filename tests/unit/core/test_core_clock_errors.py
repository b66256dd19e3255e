"""Injected time, and errors that carry their remedy."""

from __future__ import annotations

import asyncio
import time

import pytest

from swt_core.clock import ManualClock, SystemClock, iso_utc, utc_datetime
from swt_core.errors import (
    BrokerError,
    CheckpointError,
    ConfigError,
    CorruptCheckpointError,
    IncompatibleModelError,
    OutcomeUnknown,
    Rejected,
    SWTError,
    Unavailable,
)


async def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(10.0)
    assert (clock.time_s(), clock.monotonic_s()) == (10.0, 10.0)
    clock.advance(2.5)
    await clock.sleep_until(20.0)
    assert clock.time_s() == 20.0
    await clock.sleep_until(5.0)
    assert clock.time_s() == 20.0
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


async def test_the_system_clock_is_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    now = [100.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert (clock.time_s(), clock.monotonic_s()) == (100.0, 7.0)
    await clock.sleep_until(250.0)
    assert slept == [60.0, 60.0, 30.0]  # in parts, so that a changed clock is noticed
    await clock.sleep_until(0.0)
    assert len(slept) == 3


def test_times_are_shown_in_utc() -> None:
    assert iso_utc(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert utc_datetime(0).isoformat() == "1970-01-01T00:00:00+00:00"


def test_an_error_carries_its_remedy() -> None:
    assert str(SWTError("broken")) == "broken"
    assert str(ConfigError("broken", remedy="mend it")) == "broken\n  remedy: mend it"


def test_the_class_decides_what_happens_next() -> None:
    rejected = Rejected("no margin", status=400, code="INSUFFICIENT_MARGIN", remedy="deposit")
    assert (rejected.status, rejected.code, rejected.remedy) == (400, "INSUFFICIENT_MARGIN", "deposit")
    for kind in (Rejected, OutcomeUnknown, Unavailable):
        assert issubclass(kind, BrokerError)
        assert not issubclass(kind, CheckpointError)
    assert issubclass(CorruptCheckpointError, CheckpointError)
    assert issubclass(IncompatibleModelError, CheckpointError)
    assert (SWTError.exit_code, ConfigError.exit_code, CheckpointError.exit_code) == (1, 2, 2)
