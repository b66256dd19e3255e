"""What `swt up` starts: commands, environments, order, and who is told a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from swt_core.config.loading import LoadedConfig, load_config
from swt_core.errors import ConfigError
from swt_core.workspace import Workspace
from swt_ops.stack import Stack, StackOptions, build_stack, configuration_arguments

CREDENTIALS = {"SWT_BROKER_TOKEN": "real-token", "SWT_LIVE__ACCOUNT_ID": "101-004-7654321-001"}


def loaded(*overrides: str, profile: str | None = None, **environ: str) -> LoadedConfig:
    return load_config(None, profile, environ, overrides)


def stack(
    tmp_path: Path, *overrides: str, profile: str | None = None, environ: dict[str, str] | None = None
) -> Stack:
    environ = {"PATH": "/bin", **(environ or {})}
    config = loaded(*overrides, profile=profile, **environ)
    return build_stack(config, Workspace(tmp_path), StackOptions(), environ)


def by_name(built: Stack) -> dict[str, dict[str, str]]:
    return {spec.name: dict(spec.environ) for spec in built.specs}


def test_four_processes_start_with_the_broker_and_stop_with_the_trader(tmp_path: Path) -> None:
    specs = stack(tmp_path).specs
    assert [spec.name for spec in specs] == ["practice", "trainer", "validator", "live"]
    ordered = sorted(specs, key=lambda spec: spec.stop_stage)
    assert (ordered[0].name, ordered[-1].name) == ("live", "practice")
    for spec in specs:
        assert str(tmp_path) in spec.command


def test_the_embedded_token_is_random_and_reaches_two_processes_by_environment_only(tmp_path: Path) -> None:
    first, second = stack(tmp_path), stack(tmp_path)
    assert first.token
    assert first.token != second.token
    environs = by_name(first)
    assert environs["practice"]["SWT_BROKER_TOKEN"] == environs["live"]["SWT_BROKER_TOKEN"] == first.token
    assert "SWT_BROKER_TOKEN" not in environs["trainer"] | environs["validator"]
    assert first.token not in " ".join(part for spec in first.specs for part in spec.command)
    assert first.token not in repr(first)


def test_credentials_lead_to_the_brokers_practice_side_and_only_the_trader_knows_them(tmp_path: Path) -> None:
    built = stack(tmp_path, environ={**CREDENTIALS, "SWT_ALERT_WEBHOOK": "https://hook"})
    environs = by_name(built)
    assert "practice" not in environs
    assert environs["live"]["SWT_BROKER_TOKEN"] == "real-token"
    assert environs["live"]["SWT_ALERT_WEBHOOK"] == "https://hook"
    for name in ("trainer", "validator"):
        assert not {"SWT_BROKER_TOKEN", "SWT_ALERT_WEBHOOK"} & environs[name].keys()
    assert "live.environment=practice" in built.specs[-1].command
    assert built.broker_url == "https://api-fxpractice.oanda.com"


def test_a_profile_that_asks_for_the_embedded_server_gets_it(tmp_path: Path) -> None:
    built = stack(tmp_path, profile="demo", environ=CREDENTIALS)
    assert built.specs[0].name == "practice"


def test_a_token_without_an_account_is_not_told_to_the_embedded_server(tmp_path: Path) -> None:
    built = stack(tmp_path, environ={"SWT_BROKER_TOKEN": "real-token"})
    assert built.specs[0].name == "practice"
    assert "real-token" not in {value for spec in built.specs for value in spec.environ.values()}
    assert "SWT_LIVE__ACCOUNT_ID" in built.notes[0]


def test_real_money_needs_its_second_consent_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="confirm_live_account"):
        stack(tmp_path, "live.environment=live", environ=CREDENTIALS)


def test_all_processes_get_the_same_configuration() -> None:
    assert configuration_arguments("conf", "demo", ("training.seed=3",)) == (
        *("--config-dir", "conf", "--profile", "demo", "--set", "training.seed=3"),
    )
    with pytest.raises(ConfigError, match="decided by"):
        configuration_arguments(None, None, ("live.broker_url=http://elsewhere",))


@pytest.mark.parametrize(("mode", "status_s"), [("real_time", "10"), ("accelerated", "600")])
def test_the_traders_intervals_suit_the_pace_of_its_market(tmp_path: Path, mode: str, status_s: str) -> None:
    config = loaded(profile="demo")
    options = StackOptions(practice_mode=mode)  # type: ignore[arg-type]
    command = build_stack(config, Workspace(tmp_path), options, {}).specs[-1].command
    assert f"live.status_seconds={status_s}" in command
    config = loaded("live.status_seconds=7", profile="demo")
    command = build_stack(config, Workspace(tmp_path), options, {}).specs[-1].command
    assert not [part for part in command if part.startswith("live.status_seconds=")]
