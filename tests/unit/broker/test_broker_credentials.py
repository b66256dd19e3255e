"""The broker's token: where it comes from, and that no log shows it once it was read."""

from __future__ import annotations

from pathlib import Path

import pytest

from swt_broker.credentials import EMBEDDED_TOKEN, broker_token
from swt_core import logs
from swt_core.errors import ConfigError
from swt_core.logs import REDACTED, redact
from swt_live.alert_secrets import secret


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_registered_secrets", set())


@pytest.mark.parametrize("by_file", [False, True])
def test_a_token_that_was_read_is_redacted_wherever_it_hides(tmp_path: Path, by_file: bool) -> None:
    token = "0123abcd-4567"
    (tmp_path / "token").write_text(f"{token}\n")
    environ = (
        {"SWT_BROKER_TOKEN_FILE": str(tmp_path / "token")} if by_file else {"SWT_BROKER_TOKEN": f" {token} "}
    )
    assert redact(f"sent {token}") == f"sent {token}"
    assert broker_token(environ, embedded=False) == token
    assert redact({"answer": [f"sent {token}"]}) == {"answer": [f"sent {REDACTED}"]}


def test_an_alert_s_url_is_a_secret_too(tmp_path: Path) -> None:
    url = "https://example.invalid/hook/0123"
    (tmp_path / "url").write_text(url)
    assert secret({"SWT_ALERT_WEBHOOK_FILE": str(tmp_path / "url")}, "SWT_ALERT_WEBHOOK") == url
    assert redact(f"POST {url}") == f"POST {REDACTED}"


def test_the_embedded_server_s_token_is_no_secret_and_only_for_it() -> None:
    assert broker_token({}, embedded=True) == EMBEDDED_TOKEN
    assert redact(EMBEDDED_TOKEN) == EMBEDDED_TOKEN
    with pytest.raises(ConfigError, match="no broker token"):
        broker_token({}, embedded=False)


def test_a_token_file_that_is_empty_or_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(ConfigError, match="no broker token"):
        broker_token({"SWT_BROKER_TOKEN_FILE": str(tmp_path / "empty")}, embedded=False)
    with pytest.raises(ConfigError, match="cannot read the broker's token"):
        broker_token({"SWT_BROKER_TOKEN_FILE": str(tmp_path / "none")}, embedded=False)


def test_a_text_too_short_to_be_a_secret_shreds_no_log() -> None:
    broker_token({"SWT_BROKER_TOKEN": "a"}, embedded=False)
    assert redact("a plain line") == "a plain line"
