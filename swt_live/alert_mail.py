"""One e-mail over SMTP, encrypted."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Literal

from swt_core.errors import ConfigError
from swt_live.alert_secrets import secret

PREFIX = "SWT_ALERT_SMTP_"
_TIMEOUT_S = 10.0
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class MailSettings:
    """Where mail goes.

    Attributes:
        security: ``starttls`` (default), ``tls`` from the first byte, or ``none``, on loopback only.
        ca_file: a certificate authority beside the system's, for a private mail server.
    """

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None


def mail_settings(environ: Mapping[str, str]) -> MailSettings | None:
    """Settings from ``SWT_ALERT_SMTP_HOST``, ``_PORT``, ``_SECURITY``, ``_FROM``, ``_TO`` (comma-separated),
    ``_USER``, ``_PASSWORD`` (or ``_PASSWORD_FILE``), ``_CA_FILE``; None without a host.

    Raises:
        ConfigError: naming the variable.
    """
    host = environ.get(f"{PREFIX}HOST", "").strip()
    if not host:
        return None
    security = environ.get(f"{PREFIX}SECURITY", "starttls").strip().lower()
    if security not in _PORTS:
        raise ConfigError(f"{PREFIX}SECURITY is not one of starttls, tls, none", remedy="correct it")
    sender = environ.get(f"{PREFIX}FROM", "").strip()
    recipients = tuple(part.strip() for part in environ.get(f"{PREFIX}TO", "").split(",") if part.strip())
    if not sender or not recipients:
        missing = "FROM" if not sender else "TO"
        raise ConfigError(f"{PREFIX}{missing} is not set", remedy=f"set it, or unset {PREFIX}HOST")
    port = environ.get(f"{PREFIX}PORT", "").strip() or str(_PORTS[security])
    if not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigError(f"{PREFIX}PORT is no port", remedy="a number from 1 to 65535")
    if security == "none" and not _is_loopback(host):
        raise ConfigError(
            f"{PREFIX}SECURITY is none, and {PREFIX}HOST is not this machine",
            remedy="use starttls or tls: alerts and password would cross the network in clear",
        )
    user, password = environ.get(f"{PREFIX}USER") or None, secret(environ, f"{PREFIX}PASSWORD")
    if (user is None) != (password is None):
        raise ConfigError(f"{PREFIX}USER and {PREFIX}PASSWORD go together", remedy="set both, or neither")
    return MailSettings(
        host=host,
        port=int(port),
        security=security,  # type: ignore[arg-type]
        sender=sender,
        recipients=recipients,
        user=user,
        password=password,
        ca_file=environ.get(f"{PREFIX}CA_FILE") or None,
    )


def send_mail(settings: MailSettings, subject: str, text: str) -> str | None:
    """Send one mail, blocking; returns why it was not sent, without anything secret, or None."""
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"], message["To"] = settings.sender, ", ".join(settings.recipients)
    message.set_content(text)
    try:
        with _connected(settings) as server:
            if settings.user is not None and settings.password is not None:
                server.login(settings.user, settings.password)
            server.send_message(message)
    except smtplib.SMTPResponseException as error:
        # Its text is the server's, which may quote what it was sent.
        return f"{type(error).__name__} {error.smtp_code}"
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return type(error).__name__
    return None


def _connected(settings: MailSettings) -> smtplib.SMTP:
    """A connection on which a password may be said."""
    if settings.security == "none":
        return smtplib.SMTP(settings.host, settings.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=_TIMEOUT_S, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=_TIMEOUT_S)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
