"""Logs: one JSON object a line, with correlation ids and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from swt_core import logs
from swt_core.clock import ManualClock
from swt_core.logs import REDACTED, configure_logging, correlation, get_logger, redact, register_secret


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(True, stream=stream, service="live", clock=ManualClock(1_700_000_000.5))
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_injected_time(stream: io.StringIO) -> None:
    get_logger("swt.test").info("order filled", units=1, note="zwei\nZeilen")
    assert lines(stream) == [
        {
            "event": "order filled",
            "units": 1,
            "note": "zwei\nZeilen",
            "level": "info",
            "logger": "swt.test",
            "service": "live",
            "timestamp": "2023-11-14T22:13:20.500+00:00",
        }
    ]


def test_ids_are_on_every_line_inside_and_on_none_outside(stream: io.StringIO) -> None:
    log = get_logger("x")
    with correlation(order_id="a1", episode=7):
        log.info("inside")
        logging.getLogger("library").warning("inside too")
    log.info("outside")
    assert [line.get("order_id") for line in lines(stream)] == ["a1", "a1", None]
    assert lines(stream)[0]["episode"] == 7


def test_the_level_decides_what_is_shown_and_chatty_libraries_are_quiet(stream: io.StringIO) -> None:
    get_logger("x").debug("no")
    logging.getLogger("httpx").info("GET https://host/?token=1")
    logging.getLogger("httpx").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_secrets_never_reach_a_line(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_registered_secrets", set())
    register_secret("s3cr3t-value")
    register_secret("")
    log = get_logger("x")
    log.info(
        "sent s3cr3t-value", api_key="k", nested={"Authorization": "Bearer abc.def-1"}, list=["s3cr3t-value"]
    )
    log.info("with %s", "s3cr3t-value")
    logging.getLogger("library").error("header Bearer abc.def-1 %s", "s3cr3t-value")
    try:
        raise RuntimeError("refused s3cr3t-value")
    except RuntimeError:
        log.exception("failed")
    text = stream.getvalue()
    assert "s3cr3t" not in text
    assert "abc.def" not in text
    assert text.count(REDACTED) >= 7
    assert "RuntimeError" in lines(stream)[-1]["exception"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("token", "x", REDACTED),
        ("OANDA_API_KEY", "x", REDACTED),
        ("password", None, None),
        ("token_count", 3, 3),
        ("secret", b"x", REDACTED),
        ("units", 5, 5),
        ("path", ("a", "bearer q1"), ["a", f"bearer {REDACTED}"]),
        ("error", ValueError("Bearer q1"), f"Bearer {REDACTED}"),
    ],
)
def test_redaction_by_key_and_by_content(key: str, value: object, expected: object) -> None:
    assert redact(value, key) == expected


def test_a_terminal_gets_readable_text(stream: io.StringIO) -> None:
    console = io.StringIO()
    configure_logging(False, stream=console, clock=ManualClock(0.0), level="DEBUG")
    get_logger("x").debug("hello", token="t", n=1)
    assert "hello" in console.getvalue()
    assert "n=1" in console.getvalue()
    assert REDACTED in console.getvalue()
    assert not console.getvalue().startswith("{")
