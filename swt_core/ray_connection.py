"""Ray itself: whether it is installed, and the way into a cluster."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any, Final

from swt_core.errors import ConfigError

_QUIET: Final = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
_KNOCK_S: Final = 10.0


def import_ray() -> Any:
    """The module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "pool.kind is ray, but Ray is not installed",
            remedy="in the clone: pip install -c requirements.lock -e '.[ray]'",
        ) from error
    return ray


def connect(ray: Any, address: str | None) -> None:
    """Join the cluster at ``address``, or `$RAY_ADDRESS`, or start one of this machine alone.

    Raises:
        ConfigError: nobody answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    stop = signal.getsignal(signal.SIGTERM)
    wanted = address or os.environ.get("RAY_ADDRESS") or "this machine"
    try:
        _knock(wanted)
        ray.init(address=address, **_QUIET)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConfigError(
            f"the Ray cluster at {wanted} does not answer: {first_line(error)}",
            remedy="start it with `ray start --head`, or set pool.ray_address",
        ) from error
    finally:
        # Ray ends its driver at SIGTERM; a daemon stops gracefully.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)


def _knock(address: str) -> None:
    """Ray itself waits for minutes for somebody to answer at ``host:port``."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=_KNOCK_S).close()


def first_line(error: BaseException) -> str:
    """What an error says, without the pages that Ray adds."""
    return (str(error).splitlines() or [type(error).__name__])[0]
