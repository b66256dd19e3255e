"""What the stack's variables mean inside a container, and what each role runs."""

from __future__ import annotations

import signal
import subprocess
from datetime import date
from pathlib import Path
from threading import Event

import pytest

from swt_core.clock import SystemClock
from swt_core.config.loading import load_config
from swt_core.errors import ConfigError
from swt_core.state import StateDirectory, read_heartbeat
from swt_ops import container_run
from swt_ops.container import ROLES, adopt_stack_variables, has_credentials, plan
from swt_ops.container_run import bars_ready, run_role, wait_for_bars

TODAY = date(2026, 11, 23)
ACCOUNT = "101-004-1234567-001"


def adopted(**variables: str) -> dict[str, str]:
    environ = {"SWT_STATE_DIR": "/workspace", "SWT_CONTAINER": "live", **variables}
    adopt_stack_variables(environ)
    return environ


def test_without_credentials_the_broker_is_the_practice_server_of_the_stack() -> None:
    environ = adopted(PRACTICE_TOKEN="between-us", OANDA_API_KEY="", OANDA_CONFIGURED="")
    config = load_config(environ=environ).config
    assert config.live.environment == "embedded"
    assert config.live.broker_url == "http://practice:8095"
    assert environ["SWT_BROKER_TOKEN"] == "between-us"
    assert config.data.bars_file is None


def test_credentials_lead_to_the_account_at_oanda_and_to_its_bars() -> None:
    environ = adopted(OANDA_API_KEY="key", OANDA_ACCOUNT_ID=ACCOUNT, PRACTICE_TOKEN="between-us")
    config = load_config(environ=environ).config
    assert (config.live.environment, config.live.account_id) == ("practice", ACCOUNT)
    assert environ["SWT_BROKER_TOKEN"] == "key"
    assert config.data.bars_file == "/workspace/data"
    assert not config.live.confirm_live_account


def test_real_money_takes_two_words() -> None:
    environ = adopted(OANDA_API_KEY="key", OANDA_ACCOUNT_ID=ACCOUNT, OANDA_ENVIRONMENT="live")
    config = load_config(environ=environ).config
    assert config.live.environment == "live"
    assert not config.live.confirm_live_account
    both = adopted(
        OANDA_API_KEY="key", OANDA_ACCOUNT_ID=ACCOUNT, OANDA_ENVIRONMENT="live", CONFIRM_LIVE_ACCOUNT="true"
    )
    assert load_config(environ=both).config.live.confirm_live_account


def test_a_key_may_be_a_file_and_an_empty_one_is_none(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "key"
    empty.write_text("")
    full.write_text("secret\n")
    environ = adopted(OANDA_API_KEY_FILE=str(full), OANDA_ACCOUNT_ID=ACCOUNT)
    assert environ["SWT_BROKER_TOKEN_FILE"] == str(full)
    assert "SWT_BROKER_TOKEN" not in environ
    assert not has_credentials({"OANDA_API_KEY_FILE": str(empty)})
    assert not has_credentials({"OANDA_API_KEY_FILE": str(tmp_path / "absent")})


def test_a_container_that_may_not_know_the_key_is_told_that_there_is_one() -> None:
    environ = adopted(OANDA_CONFIGURED="yes", OANDA_ACCOUNT_ID=ACCOUNT)
    assert load_config(environ=environ).config.data.bars_file == "/workspace/data"
    assert "SWT_BROKER_TOKEN" not in environ


def test_what_is_set_already_stays_and_empty_variables_are_as_if_unset() -> None:
    environ = adopted(SWT_LIVE__BROKER_URL="http://elsewhere:1", SWT_DATA__BARS_FILE="", SWT_PROFILE="")
    assert environ["SWT_LIVE__BROKER_URL"] == "http://elsewhere:1"
    assert "SWT_DATA__BARS_FILE" not in environ
    assert "SWT_PROFILE" not in environ


def test_the_traders_intervals_follow_an_accelerated_market() -> None:
    config = load_config(environ=adopted(PRACTICE_MODE="accelerated", PRACTICE_SPEED="30")).config
    assert config.live.flag_poll_seconds == 30.0
    assert config.live.stale_after_seconds == 60.0


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OANDA_API_KEY": "key"}, "OANDA_ACCOUNT_ID"),
        (
            {"OANDA_API_KEY": "k", "OANDA_ACCOUNT_ID": ACCOUNT, "OANDA_ENVIRONMENT": "real"},
            "OANDA_ENVIRONMENT",
        ),
        ({"PRACTICE_MODE": "fast"}, "PRACTICE_MODE"),
        ({"PRACTICE_SPEED": "quick"}, "PRACTICE_SPEED"),
    ],
)
def test_a_word_that_means_nothing_is_refused_by_name(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        adopted(**variables)


def test_every_role_without_credentials() -> None:
    environ = adopted(PRACTICE_HOST="127.0.0.1")
    steps = {role: plan(role, environ, TODAY).steps for role in ROLES}
    assert steps["trainer"] == (("train", "--stay", "--health-port", "8081"),)
    assert steps["validator"] == (("validator", "--port", "8082"),)
    assert steps["live"] == (("live", "run", "--json-logs"),)
    assert steps["practice"][0][:3] == ("practice", "--host", "127.0.0.1")
    assert "--test-range" in steps["practice"][0]
    assert steps["data"] == ()
    assert "recording" in str(plan("data", environ, TODAY).idle)


def test_every_role_with_credentials() -> None:
    environ = adopted(OANDA_CONFIGURED="yes", OANDA_ACCOUNT_ID=ACCOUNT)
    assert plan("trainer", environ, TODAY).needs_bars == Path("/workspace/data")
    assert plan("validator", environ, TODAY).needs_bars == Path("/workspace/data")
    assert str(plan("practice", environ, TODAY).idle).startswith("off")
    fetch, keep = plan("data", environ, TODAY).steps
    assert fetch == ("data", "download", "--from", "2021-11-24", "--data-dir", "/workspace/data")
    assert keep[:2] == ("data", "update")


def test_bars_of_ones_own_are_not_waited_for() -> None:
    environ = adopted(OANDA_CONFIGURED="yes", OANDA_ACCOUNT_ID=ACCOUNT, SWT_DATA__BARS_FILE="/bars.parquet")
    assert plan("trainer", environ, TODAY).needs_bars is None


def test_there_is_no_other_role() -> None:
    with pytest.raises(ConfigError, match="trainer"):
        plan("cook", {}, TODAY)


def test_an_idle_container_beats_until_it_is_stopped(tmp_path: Path) -> None:
    environ = adopted(SWT_STATE_DIR=str(tmp_path), SWT_CONTAINER="data")
    stop = Event()
    stop.set()
    assert run_role("data", environ, SystemClock(), stop) == 0
    beat = read_heartbeat(tmp_path / "data")
    assert beat is not None
    assert beat.status == "stopped"


def test_training_waits_until_the_bar_store_was_filled_once(tmp_path: Path) -> None:
    store, marker = StateDirectory(tmp_path / "data"), tmp_path / "waits"
    clock, waited = SystemClock(), 0

    def pass_time(_seconds: float) -> None:
        nonlocal waited
        waited += 1
        assert marker.exists()
        counters = {"complete_until_s": 1.0} if waited == 2 else {}
        store.beat(clock, "broker unavailable" if waited == 1 else "up to date", counters)

    assert wait_for_bars(store.path, Event(), marker, pass_time)
    assert waited == 2
    assert not marker.exists()
    store.beat(clock, "stopped")
    assert not bars_ready(store.path)


def test_a_broken_heartbeat_is_not_a_filled_store(tmp_path: Path) -> None:
    (tmp_path / "heartbeat.json").write_text("{")
    assert not bars_ready(tmp_path)


def test_a_step_that_fails_ends_the_container_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_run, "_command", lambda step: ["sh", "-c", "exit 7"])
    environ = adopted(OANDA_CONFIGURED="yes", OANDA_ACCOUNT_ID=ACCOUNT)
    assert run_role("data", environ, SystemClock(), Event()) == 7


def test_a_step_is_stopped_with_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(real(["sleep", "600"]))
        return started[0]

    monkeypatch.setattr(container_run.subprocess, "Popen", start)
    stop = Event()
    stop.set()
    environ = adopted(OANDA_CONFIGURED="yes", OANDA_ACCOUNT_ID=ACCOUNT)
    assert run_role("data", environ, SystemClock(), stop) == 0
    assert started[0].returncode == -signal.SIGTERM
