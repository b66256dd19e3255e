"""Alerts: a local SMTP server with TLS, a webhook, limits, and silence about secrets."""

from __future__ import annotations

import asyncio
import base64
import logging
import shutil
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from swt_core.clock import ManualClock
from swt_core.errors import ConfigError
from swt_live.alert_mail import mail_settings, send_mail
from swt_live.alerts import Alert, AlertFailed, AlertRouter, Mail, Webhook, alerts_from

PASSWORD = "correct horse battery"
HOOK = "https://hook.example/T0-secret-path"


@dataclass
class Certificate:
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate for the local mail server")
    directory = tmp_path_factory.mktemp("tls")
    found = Certificate(directory / "cert.pem", directory / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(found.key), "-out", str(found.certificate)]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = [openssl, "req", "-x509", *curve, "-nodes", "-days", "2", *files, *subject]
    subprocess.run(command, check=True, capture_output=True)
    return found


@dataclass
class MailSink:
    """A mail server of one mailbox, which keeps what it was told and whether it was told under TLS."""

    tls: ssl.SSLContext | None
    implicit: bool = False
    refuse_login: bool = False
    mails: list[str] = field(default_factory=list)
    logins: list[tuple[str, bool]] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> MailSink:
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure = self.implicit

        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        await say("220 sink")
        while line := (await reader.readline()).decode().strip():
            word = line.upper()
            if word.startswith("EHLO"):
                offers = [] if secure or self.tls is None else ["STARTTLS"]
                for offer in ["sink", *offers]:
                    await say(f"250-{offer}")
                await say("250 AUTH PLAIN")
            elif word == "STARTTLS" and self.tls is not None:
                await say("220 go on")
                await writer.start_tls(self.tls)
                secure = True
            elif word.startswith("AUTH PLAIN"):
                self.logins.append((base64.b64decode(line.split()[2]).decode(), secure))
                await say(f"535 no {PASSWORD}" if self.refuse_login else "235 welcome")
            elif word == "DATA":
                await say("354 tell")
                body = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.mails.append(body)
                await say("250 kept")
            elif word == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 ok")
        writer.close()


def context(certificate: Certificate) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(certificate.certificate, certificate.key)
    return found


def environ(sink: MailSink, certificate: Certificate, **more: str) -> dict[str, str]:
    return {
        "SWT_ALERT_SMTP_HOST": "localhost",
        "SWT_ALERT_SMTP_PORT": str(sink.port),
        "SWT_ALERT_SMTP_FROM": "swt@example.org",
        "SWT_ALERT_SMTP_TO": "a@example.org, b@example.org",
        "SWT_ALERT_SMTP_USER": "trader",
        "SWT_ALERT_SMTP_PASSWORD": PASSWORD,
        "SWT_ALERT_SMTP_CA_FILE": str(certificate.certificate),
    } | more


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_alert_arrives_by_mail_and_the_password_only_under_tls(
    certificate: Certificate, security: str
) -> None:
    async with MailSink(context(certificate), implicit=security == "tls") as sink:
        told: list[tuple[str, str]] = []
        alerts = alerts_from(
            environ(sink, certificate, SWT_ALERT_SMTP_SECURITY=security), lambda *what: told.append(what)
        )
        alerts.alert("halt", "66 filled, 1 asked for")
        await alerts.drain(10.0)
    assert told == [("email", "sent")]
    assert "Subject: SWT: halt" in sink.mails[0]
    assert "66 filled" in sink.mails[0]
    assert "To: a@example.org, b@example.org" in sink.mails[0]
    assert sink.logins == [(f"\0trader\0{PASSWORD}", True)]


async def test_a_server_nobody_vouches_for_gets_neither_password_nor_mail(certificate: Certificate) -> None:
    async with MailSink(context(certificate)) as sink:
        settings = mail_settings(environ(sink, certificate, SWT_ALERT_SMTP_CA_FILE=""))
        assert settings is not None
        failure = await asyncio.to_thread(send_mail, settings, "s", "t")
    assert failure == "SSLCertVerificationError"
    assert (sink.logins, sink.mails) == ([], [])


async def test_a_server_without_tls_gets_neither_password_nor_mail(certificate: Certificate) -> None:
    async with MailSink(None) as sink:
        settings = mail_settings(environ(sink, certificate))
        assert settings is not None
        failure = await asyncio.to_thread(send_mail, settings, "s", "t")
    assert failure == "SMTPNotSupportedError"
    assert (sink.logins, sink.mails) == ([], [])


async def test_a_refused_login_is_told_without_the_servers_words(
    certificate: Certificate, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with MailSink(context(certificate), refuse_login=True) as sink:
        told: list[tuple[str, str]] = []
        settings = environ(sink, certificate)
        alerts = alerts_from(settings, lambda *what: told.append(what))
        alerts.alert("halt", "why")
        await alerts.drain(10.0)
    assert told == [("email", "failed")]
    out = capsys.readouterr()
    said = caplog.text + out.out + out.err
    assert "SMTPAuthenticationError 535" in said
    assert PASSWORD not in said
    assert PASSWORD not in repr(mail_settings(settings))


async def test_a_webhook_is_told_and_its_address_stays_secret(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(500 if len(bodies) > 1 else 200)

    told: list[tuple[str, str]] = []
    hook = Webhook(HOOK, httpx.MockTransport(answer))
    alerts = AlertRouter([hook], clock=ManualClock(), count=lambda *what: told.append(what))
    alerts.alert("halt", "why")
    alerts.alert("again", "fails")
    await alerts.drain()
    assert b'"halt"' in bodies[0]
    assert told == [("webhook", "sent"), ("webhook", "failed")]
    out = capsys.readouterr()
    warnings = "".join(r.getMessage() for r in caplog.records if not r.name.startswith("httpx"))
    assert "secret-path" not in warnings + out.out + out.err


class Recorder:
    name = "recorder"

    def __init__(self) -> None:
        self.got: list[Alert] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def send(self, alert: Alert) -> None:
        await self.gate.wait()
        if self.broken:
            raise AlertFailed("broken")
        self.got.append(alert)


async def test_the_same_event_is_told_once_a_minute_and_the_rest_is_counted() -> None:
    clock, channel = ManualClock(), Recorder()
    alerts = AlertRouter([channel], clock=clock)
    for number in range(10):
        alerts.alert("cooldown", f"again {number}")
    alerts.alert("resume", "another event passes")
    clock.advance(60.0)
    alerts.alert("cooldown", "a minute later")
    await alerts.drain()
    assert [(a.event, a.held_back) for a in channel.got] == [("cooldown", 0), ("resume", 9), ("cooldown", 0)]


async def test_minor_events_cannot_keep_a_halt_from_being_told() -> None:
    clock, channel = ManualClock(), Recorder()
    alerts = AlertRouter([channel], clock=clock)
    for number in range(200):
        alerts.alert(f"event {number}", "")
    alerts.alert("halt", "somebody else traded")
    alerts.alert("halt", "somebody else traded")
    alerts.alert("halt", "oversize fill")
    await alerts.drain()
    told = [(alert.event, alert.detail) for alert in channel.got]
    assert told[:2] == [("halt", "somebody else traded"), ("halt", "oversize fill")]
    assert len(told) == 32


async def test_what_is_urgent_cannot_flood_a_person_either() -> None:
    channel = Recorder()
    alerts = AlertRouter([channel], clock=ManualClock())
    for number in range(200):
        alerts.alert("drift", f"{number} units")
    alerts.alert("resume", "has room of its own")
    await alerts.drain()
    assert len(channel.got) == 31


async def test_no_channel_says_more_than_thirty_things_an_hour() -> None:
    clock, channel, told = ManualClock(), Recorder(), list[tuple[str, str]]()
    alerts = AlertRouter([channel], clock=clock, count=lambda *what: told.append(what))
    for number in range(40):
        alerts.alert(f"event {number}", "")
        await asyncio.sleep(0)
    clock.advance(3600.0)
    alerts.alert("later", "")
    await alerts.drain()
    assert len(channel.got) == 31
    assert channel.got[-1].held_back == 10
    assert told.count(("recorder", "suppressed")) == 10


async def test_a_channel_that_hangs_holds_up_neither_the_trader_nor_the_other_channel() -> None:
    stuck, well = Recorder(), Recorder()
    stuck.gate.clear()
    alerts = AlertRouter([stuck, well], clock=ManualClock())
    alerts.alert("halt", "why")  # returns although nothing was delivered
    await asyncio.wait_for(alerts._outboxes[1].drain(), 5.0)
    assert [alert.event for alert in well.got] == ["halt"]
    await alerts.drain(0.0)
    assert stuck.got == []
    stuck.gate.set()
    await alerts.drain()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"SWT_ALERT_SMTP_FROM": ""}, "_FROM"),
        ({"SWT_ALERT_SMTP_TO": " , "}, "_TO"),
        ({"SWT_ALERT_SMTP_PORT": "smtp"}, "_PORT"),
        ({"SWT_ALERT_SMTP_SECURITY": "maybe"}, "_SECURITY"),
        ({"SWT_ALERT_SMTP_SECURITY": "none", "SWT_ALERT_SMTP_HOST": "mail.example.org"}, "_SECURITY"),
        ({"SWT_ALERT_SMTP_PASSWORD": ""}, "_PASSWORD"),
        ({"SWT_ALERT_SMTP_PASSWORD": "", "SWT_ALERT_SMTP_PASSWORD_FILE": "/nowhere"}, "_PASSWORD_FILE"),
    ],
)
def test_a_mail_setting_that_cannot_work_is_refused_by_name(changes: dict[str, str], names: str) -> None:
    settings = environ(MailSink(None, port=2525), Certificate(Path("c"), Path("k")))
    with pytest.raises(ConfigError) as refusal:
        mail_settings(settings | changes)
    assert names in f"{refusal.value.message} {refusal.value.remedy}"


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(f"{HOOK}\n")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    settings = environ(MailSink(None, port=25), Certificate(Path("c"), Path("k")))
    del settings["SWT_ALERT_SMTP_PASSWORD"]
    settings["SWT_ALERT_SMTP_PASSWORD_FILE"] = str(tmp_path / "password")
    found = mail_settings(settings)
    assert found is not None
    assert found.password == PASSWORD
    router = alerts_from(settings | {"SWT_ALERT_WEBHOOK_FILE": str(tmp_path / "hook")})
    assert router.channels == ("webhook", "email")
    assert alerts_from({}).channels == ()


def test_this_machine_may_be_mailed_in_clear() -> None:
    settings = environ(MailSink(None, port=25), Certificate(Path("c"), Path("k")))
    for host in ("localhost", "127.0.0.1", "::1"):
        found = mail_settings(settings | {"SWT_ALERT_SMTP_HOST": host, "SWT_ALERT_SMTP_SECURITY": "none"})
        assert found is not None
        assert Mail(found).name == "email"
