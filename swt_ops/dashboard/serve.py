"""Serves the dashboard until SIGTERM or Ctrl-C."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from swt_core.errors import ConfigError, StateError
from swt_ops.dashboard.app import require_charts


def serve(app: Starlette, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Bind, say where, and serve.

    Args:
        port: 0 takes any free one.
        ready: is told the page's address once requests are accepted.

    Raises:
        StateError: the address cannot be listened on.
        ConfigError: the charts' library is missing.
    """
    require_charts()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        # The resolver's own numbers are negative: there is no such address.
        if error.errno is not None and error.errno < 0:
            raise ConfigError(
                f"--host {host}: there is no such address", remedy="name an address of this machine"
            ) from error
        raise StateError(
            f"--host {host} --port {port}: cannot listen there: {error.strerror or error}",
            remedy="stop what uses the port, or choose another with --port",
        ) from error
    with bound:
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        ready(f"http://{f'[{shown}]' if ':' in shown else shown}:{bound.getsockname()[1]}/")
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=3,
        )
        _Server(config).run(sockets=[bound])


class _Server(uvicorn.Server):
    """A server whose end is no error when somebody asked for it: uvicorn would raise the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        former = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
