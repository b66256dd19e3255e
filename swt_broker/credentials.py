"""Where the broker's token comes from: environment or a secret file, never a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swt_core.errors import ConfigError
from swt_core.logs import register_secret

TOKEN_VARIABLE = "SWT_BROKER_TOKEN"  # noqa: S105 - the variable's name, not a secret
TOKEN_FILE_VARIABLE = "SWT_BROKER_TOKEN_FILE"  # noqa: S105
# The embedded practice server listens on loopback and trades nothing real; it still wants a token,
# so that a client with none, or with a real one by mistake, is noticed.
EMBEDDED_TOKEN = "embedded-practice"  # noqa: S105


def broker_token(environ: Mapping[str, str], *, embedded: bool) -> str:
    """The token in ``SWT_BROKER_TOKEN``, or in the file that ``SWT_BROKER_TOKEN_FILE`` names.

    No log of this process shows it from now on.

    Raises:
        ConfigError: none is set and the broker is not the embedded practice server.
    """
    if environ.get(TOKEN_VARIABLE):
        return _kept_secret(environ[TOKEN_VARIABLE].strip())
    if environ.get(TOKEN_FILE_VARIABLE):
        path = Path(environ[TOKEN_FILE_VARIABLE])
        try:
            token = path.read_text().strip()
        except OSError as error:
            raise ConfigError(
                f"cannot read the broker's token: {error}", remedy=f"check {TOKEN_FILE_VARIABLE}"
            ) from error
        if token:
            return _kept_secret(token)
    if embedded:
        return EMBEDDED_TOKEN
    raise ConfigError(
        "no broker token", remedy=f"set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a file with the token"
    )


def _kept_secret(token: str) -> str:
    if token != EMBEDDED_TOKEN:  # everybody knows that one, and it is a word of our own messages
        register_secret(token)
    return token
