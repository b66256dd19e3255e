"""Secrets of the alert channels: from the environment, or from the file that ``…_FILE`` names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swt_core.errors import ConfigError
from swt_core.logs import register_secret


def secret(environ: Mapping[str, str], name: str) -> str | None:
    """The value of ``name``, else the content of the file ``name_FILE`` names; None when neither is set.

    No log of this process shows it from now on.

    Raises:
        ConfigError: the file cannot be read.
    """
    if environ.get(name):
        return _kept_secret(environ[name].strip())
    path = environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return _kept_secret(Path(path).read_text().strip()) or None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"cannot read {name}_FILE: {reason}", remedy=f"check {name}_FILE") from None


def _kept_secret(value: str) -> str:
    register_secret(value)
    return value
