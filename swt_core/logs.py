"""Structured logs: one JSON object a line, correlation ids, no secrets.

Everything goes through one pipeline, the libraries' own loggers (uvicorn, httpx) too.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from swt_core.clock import Clock, SystemClock, utc_datetime

REDACTED: Final = "[redacted]"
_SECRET_KEY = re.compile(r"token|secret|password|passwd|api_?key|authorization|credential", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w\-.~+/]+=*")
_LEAST_SECRET_CHARACTERS: Final = 8
_registered_secrets: set[str] = set()


def configure_logging(
    json: bool = True,
    *,
    level: str = "INFO",
    service: str | None = None,
    clock: Clock | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send all logs through one pipeline to ``stream`` (default: standard error).

    Args:
        json: one JSON object a line; else coloured text for a terminal.
        level: lowest level that is shown.
        service: name of the daemon, on every line.
        clock: where timestamps come from.
    """
    target = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _stamp(clock or SystemClock(), service),
    ]
    if json:
        ending: list[Processor] = [
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ]
    else:
        ending = [
            structlog.processors.format_exc_info,
            _redact,
            structlog.dev.ConsoleRenderer(colors=target.isatty()),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # They log each request, with its query, or each glyph at INFO.
    for chatty in ("httpx", "httpcore", "uvicorn.access", "fontTools", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: ``log.info("order filled", units=1)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def correlation(**ids: str | int) -> Iterator[None]:
    """Put ids (``order_id=…``, ``episode=…``) on every line logged inside, also across awaits."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def register_secret(secret: str) -> None:
    """Never let this text reach a log, whatever field or message it hides in.

    Less than `_LEAST_SECRET_CHARACTERS` are no secret: replacing them would shred every line.
    """
    if len(secret) >= _LEAST_SECRET_CHARACTERS:
        _registered_secrets.add(secret)


def redact(value: Any, key: str = "") -> Any:
    """``value`` without registered secrets, bearer tokens and values of keys that name a secret."""
    if key and _SECRET_KEY.search(key) and value is not None and not isinstance(value, bool | int | float):
        return REDACTED
    if isinstance(value, str):
        for secret in _registered_secrets:
            value = value.replace(secret, REDACTED)
        return _BEARER.sub(rf"\g<1>{REDACTED}", value)
    if isinstance(value, Mapping):
        return {name: redact(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: redact(value, name) for name, value in event.items()}


def _stamp(clock: Clock, service: str | None) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["timestamp"] = utc_datetime(clock.time_s()).isoformat(timespec="milliseconds")
        if service is not None:
            event["service"] = service
        return event

    return stamp
