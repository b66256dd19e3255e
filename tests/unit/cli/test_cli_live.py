"""`swt live` and `swt emergency-close`: thin commands over flags, status and the broker."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.clock import SystemClock
from swt_core.errors import ConfigError, DataError
from swt_core.instruments import instrument
from swt_core.records import TradeResult
from swt_core.state import StateDirectory
from swt_data.bars import bars_from_mids
from swt_live.journal import Journal
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_live.shadow_journal import ShadowDecision, ShadowJournal

RUN = CliRunner()


def live(*arguments: str, state: Path) -> tuple[int, str]:
    result = RUN.invoke(app, ["live", *arguments, "--state-dir", str(state)])
    return result.exit_code, result.output


def test_start_and_stop_are_one_flag(tmp_path: Path) -> None:
    assert live("start", state=tmp_path)[0] == 0
    assert (tmp_path / "live_state" / "START_TRADING").exists()
    assert live("stop", state=tmp_path)[0] == 0
    assert live("stop", state=tmp_path)[0] == 0
    assert not (tmp_path / "live_state" / "START_TRADING").exists()


def test_emergency_stop_sets_its_flag_and_takes_it_back(tmp_path: Path) -> None:
    live("emergency-stop", state=tmp_path)
    assert (tmp_path / "live_state" / "EMERGENCY_STOP").exists()
    live("emergency-stop", "--clear", state=tmp_path)
    assert not (tmp_path / "live_state" / "EMERGENCY_STOP").exists()


def test_a_flag_that_no_trader_reads_is_said(tmp_path: Path) -> None:
    """A misspelt --state-dir must not look like a stop."""
    code, text = live("emergency-stop", "--json", state=tmp_path)
    assert code == 1
    assert "no trader runs" in text
    assert '"trader": "not yet"' in text
    code, text = live("stop", state=tmp_path)
    assert code == 0
    assert "no trader runs" in text
    StateDirectory(tmp_path / "live_state").beat(SystemClock(), "active")
    code, text = live("emergency-stop", "--json", state=tmp_path)
    flag = str(tmp_path / "live_state" / "EMERGENCY_STOP")
    assert (code, json.loads(text)) == (0, {"flag": flag, "set": True, "trader": "running"})
    StateDirectory(tmp_path / "live_state").beat(SystemClock(), "stopped: SIGTERM")
    assert live("emergency-stop", state=tmp_path)[0] == 1
    assert live("emergency-stop", "--clear", state=tmp_path)[0] == 0


def test_status_is_not_there_yet_and_then_is(tmp_path: Path) -> None:
    assert live("status", state=tmp_path)[0] == 1
    assert live("status", "--json", state=tmp_path) == (0, "{}\n")
    fields = {
        "time_s": 1.0, "environment": "embedded", "state": "HALTED", "halt_reason": "test", "started": True,
        "emergency": False, "market_open": True, "reconciled": True, "feed_connected": True,
        "feed_stale": False, "units": -1,
    }  # fmt: skip
    (tmp_path / "live_state").mkdir()
    (tmp_path / "live_state" / "status.json").write_text(json.dumps(fields))
    code, text = live("status", "--json", state=tmp_path)
    assert (code, json.loads(text)["units"]) == (0, -1)
    code, text = live("status", state=tmp_path)
    assert code == 0
    assert "HALTED" in text


def test_replay_needs_a_journal(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["live", "replay", "2024-01-08", "--state-dir", str(tmp_path)])
    assert isinstance(result.exception, DataError)


def test_a_real_account_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWT_BROKER_TOKEN", "t")
    result = RUN.invoke(app, ["emergency-close", "--yes", "--set", "live.environment=live"])
    assert isinstance(result.exception, ConfigError)


def held_position(url: str) -> None:
    headers = {"Authorization": "Bearer embedded-practice"}
    order = {"type": "MARKET", "instrument": "GBP_JPY", "units": "1", "timeInForce": "FOK"}
    answer = httpx.post(
        f"{url}/v3/accounts/101-001-0000001-001/orders", json={"order": order}, headers=headers
    )
    assert "orderFillTransaction" in answer.json(), answer.text


def test_emergency_close_works_with_a_broken_configuration_and_a_broken_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "live.yaml").write_text("environment: [never heard of")
    state = tmp_path / "state"
    (state / "live_state").mkdir(parents=True)
    (state / "live_state" / "journal.db").write_bytes(b"this was a journal")
    monkeypatch.setenv("SWT_STATE_DIR", str(state))
    broken = ["emergency-close", "--yes", "--json", "--config-dir", str(tmp_path / "config")]
    nameless = RUN.invoke(app, broken)
    assert isinstance(nameless.exception, ConfigError)
    assert "--account" in str(nameless.exception.remedy)
    with practice().serving() as url:
        held_position(url)
        named = [*broken, "--environment", "embedded", "--broker-url", url]
        neither = RUN.invoke(app, named)
        assert "--instrument" in str(getattr(neither.exception, "remedy", ""))
        result = RUN.invoke(app, [*named, "--instrument", "GBP_JPY"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"flat": True, "closed": ["GBP_JPY long 1"], "errors": []}
    assert "configuration is broken" in result.stderr


def practice() -> PracticeServer:
    mids = np.full((1300, 4), 2 * 186_000, np.int64)
    times = np.arange(1_704_700_800, 1_704_700_800 + 78_000, 60)
    bars = bars_from_mids(instrument("GBP_JPY"), times, mids, 24)
    return PracticeServer(bars, PracticeSettings("embedded-practice", mode="accelerated"))


def test_emergency_close_asks_and_reports_what_the_broker_says() -> None:
    with practice().serving() as url:
        options = ["--set", f"live.broker_url={url}"]
        declined = RUN.invoke(app, ["emergency-close", *options], input="n\n")
        assert declined.exit_code == 1
        result = RUN.invoke(app, ["emergency-close", "--yes", "--json", *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"flat": True, "closed": [], "errors": []}


def shadow_journal(state: Path) -> None:
    """Three bars on which trader and candidate decided; the candidate's one trade."""
    journal = Journal(state / "live_state" / "journal.db")
    shadow = ShadowJournal(journal)
    for number, (own, other) in enumerate([(0, 0), (0, 1), (None, 3)]):
        shadow.record_decision(
            ShadowDecision("c" * 64, 60 * number, other, 0, 0.5, 0.0, "0" * 64, "f" * 64, own, 0, 0.0)
        )
    trade = TradeResult(1, 60, 120, 1, 1, 1, 7.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, forced=False)
    shadow.record_trade("c" * 64, trade)
    journal.close()


def test_compare_shows_trader_and_candidate(tmp_path: Path) -> None:
    assert isinstance(RUN.invoke(app, ["live", "compare", "--state-dir", str(tmp_path)]).exception, DataError)
    shadow_journal(tmp_path)
    code, text = live("compare", "--json", state=tmp_path)
    found = json.loads(text)
    assert code == 0
    assert (found["bars"], found["compared"], found["disagreements"]) == (3, 2, 1)
    assert (found["champion"]["trades"], found["candidate"]["pips"]) == (0, 7.5)
    code, text = live("compare", "--candidate", "ccc", state=tmp_path)
    assert code == 0
    assert "+7.5" in text
    assert "1 of 2 (50.0%)" in " ".join(text.split())
