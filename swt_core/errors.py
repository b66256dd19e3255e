"""Every error SWT raises on purpose; the class decides what happens next.

``SWTError`` carries what the user needs: what is wrong, and the remedy. The command line prints it
without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Mapping


class SWTError(Exception):
    """Base of all expected errors: a sentence for the user and a remedy."""

    exit_code: int = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message if self.remedy is None else f"{self.message}\n  remedy: {self.remedy}"


class ConfigError(SWTError):
    """A configuration value is unknown, of the wrong type or out of bounds."""

    exit_code = 2


class DataError(SWTError):
    """Market data cannot be read or cannot be trusted."""

    exit_code = 2


class CheckpointError(SWTError):
    """A checkpoint cannot be used."""

    exit_code = 2


class IncompatibleModelError(CheckpointError):
    """The checkpoint is sound but belongs to another architecture or feature profile."""


class CorruptCheckpointError(CheckpointError):
    """The checkpoint's bytes are not what its manifest promised."""


class StateError(SWTError):
    """A state file exists but cannot be understood; readers report it and go on."""


class BrokerError(SWTError):
    """Talking to the broker failed."""


class Rejected(BrokerError):
    """The broker refused definitively: nothing happened, and retrying will not help.

    ``body`` is the broker's raw JSON, for the journal.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        body: Mapping[str, object] | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.code = code
        self.body = body or {}


class OutcomeUnknown(BrokerError):
    """A request may or may not have been applied; only the transaction log can tell."""


class Unavailable(BrokerError):
    """A read failed for a passing reason: it may be retried."""


class SafetyViolation(SWTError):
    """A trading limit was broken; entries stop."""


class LimitReached(SWTError):
    """A managed process met one of its hard limits."""
