"""How the server says no: a status and the broker's words, as an exception on its way to the answer."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An error answer: HTTP status, ``errorMessage``, perhaps ``errorCode`` and reject transactions."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = dict(body) | {"errorMessage": message}
        if code is not None:
            self.body["errorCode"] = code

    @classmethod
    def bad_value(cls, name: str) -> Refusal:
        """400 for a parameter."""
        return cls(400, f"Invalid value specified for '{name}'")


def sentence(code: str) -> str:
    """An error code in words."""
    return code.replace("_", " ").capitalize()
