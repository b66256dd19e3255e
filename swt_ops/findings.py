"""What a check of the installation found: ok, worth a look, or in the way; with what to do about it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, computed_field

from swt_core.state import StateRecord


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(StateRecord):
    """One line of `swt doctor`."""

    name: str
    level: Level
    text: str = Field(description="what was found; never a secret")
    remedy: str = Field("", description="what to do about it; empty when nothing is to be done")


class Examination(StateRecord):
    """All lines, in the order they are shown."""

    findings: tuple[Finding, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def failed(self) -> bool:
        """Whether something is in the way."""
        return any(finding.level is Level.FAIL for finding in self.findings)


def ok(name: str, text: str) -> Finding:
    return Finding(schema_version=1, name=name, level=Level.OK, text=text, remedy="")


def warn(name: str, text: str, remedy: str) -> Finding:
    return Finding(schema_version=1, name=name, level=Level.WARN, text=text, remedy=remedy)


def fail(name: str, text: str, remedy: str) -> Finding:
    return Finding(schema_version=1, name=name, level=Level.FAIL, text=text, remedy=remedy)
