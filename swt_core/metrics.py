"""Metrics registry, and the small server that shows /health and /metrics."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import psutil
import uvicorn
from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swt_core.clock import Clock
from swt_core.errors import StateError
from swt_core.json_text import to_json
from swt_core.staleness import is_silent, longest_silence_s, of_the_future
from swt_core.state import StateDirectory

# In a container loopback is the container's own; there it is an address of the stack's network.
HEALTH_HOST_VARIABLE: Final = "SWT_HEALTH_HOST"


@dataclass(frozen=True)
class Health:
    """Whether a daemon does what it should; an idle one that says why is healthy."""

    healthy: bool
    status: str
    detail: dict[str, Any] = field(default_factory=dict)


HealthCheck = Callable[[], Health]


def metrics_registry(service: str) -> CollectorRegistry:
    """A registry of its own (never prometheus' global one) with the process's and its children's use.

    ``process_*`` (memory, CPU, start, descriptors) are `prometheus_client`'s own and of the process alone.

    Args:
        service: ``trainer``, ``validator``, ``live``, …; shown in ``swt_service_info``.
    """
    registry = CollectorRegistry()
    Info("swt_service", "Which daemon this is", registry=registry).info({"service": service})
    ProcessCollector(registry=registry)
    registry.register(ProcessTreeCollector(psutil.Process()))
    return registry


def register_state(registry: CollectorRegistry, state: StateDirectory, clock: Clock) -> None:
    """Show in ``registry`` how old the heartbeat in ``state`` is, and what room its disk has."""
    registry.register(StateCollector(state, clock))


def while_it_beats(health: HealthCheck, state: StateDirectory, clock: Clock) -> HealthCheck:
    """``health``, and unhealthy once the heartbeat in ``state`` is stale, or is of the future.

    The health server answers from a thread of its own: it goes on when the daemon's loop hangs, and what it
    knows is then what was true before.
    """

    def checked() -> Health:
        found = health()
        if not found.healthy:
            return found
        try:
            heartbeat = state.heartbeat()
        except StateError as error:
            return Health(False, error.message, found.detail)
        if heartbeat is None:
            return found
        age_s, ahead_s = heartbeat.age_s(clock), heartbeat.ahead_s(clock)
        if not is_silent(age_s, ahead_s, longest_silence_s(heartbeat.status)):
            return found
        if ahead_s > 0:
            return Health(False, f"the heartbeat is {of_the_future(ahead_s)}", found.detail)
        return Health(False, f"hangs: no heartbeat for {age_s:.0f} s", found.detail)

    return checked


class ProcessTreeCollector(Collector):
    """The process with its workers, measured at each scrape."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Threads, children, memory and CPU time of the tree."""
        resident, cpu_s, alive = 0, 0.0, 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
            except psutil.Error:
                continue  # it ended between the list and the look
            alive += 1
            # Children that ended and were waited for go on counting with their parent.
            cpu_s += times.user + times.system + times.children_user + times.children_system
        threads = float(self._process.num_threads())
        yield GaugeMetricFamily("swt_process_threads", "Threads of the process", value=threads)
        yield GaugeMetricFamily(
            "swt_process_children", "Processes that the daemon has started", value=float(alive - 1)
        )
        yield GaugeMetricFamily(
            "swt_process_tree_resident_memory_bytes",
            "Resident memory of the process and its children",
            value=float(resident),
        )
        yield CounterMetricFamily(
            "swt_process_tree_cpu_seconds", "CPU time used by the process and its children", value=cpu_s
        )


class StateCollector(Collector):
    """The state directory at each scrape, so that the heartbeat ages when the loop hangs.

    What cannot be read (no heartbeat yet, no directory) is left out.
    """

    def __init__(self, state: StateDirectory, clock: Clock) -> None:
        self._state, self._clock = state, clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Age of the heartbeat; free and whole size of the disk."""
        # All names are shown at any time; without a value there is no series.
        age = GaugeMetricFamily("swt_heartbeat_age_seconds", "Age of the daemon's heartbeat", labels=())
        free = GaugeMetricFamily("swt_state_disk_free_bytes", "Free where the daemon's state lies", labels=())
        size = GaugeMetricFamily(
            "swt_state_disk_size_bytes", "Size of the disk where its state lies", labels=()
        )
        try:
            heartbeat = self._state.heartbeat()
        except StateError:
            heartbeat = None
        if heartbeat is not None:
            age.add_metric((), max(0.0, heartbeat.age_s(self._clock)))
        try:
            disk = shutil.disk_usage(self._state.path)
        except OSError:
            pass
        else:
            free.add_metric((), float(disk.free))
            size.add_metric((), float(disk.total))
        yield from (age, free, size)


def health_app(registry: CollectorRegistry, health: HealthCheck) -> Starlette:
    """The ASGI application with ``/health`` (200 or 503, JSON) and ``/metrics`` (Prometheus).

    ``health`` is called in the server's event loop: it reads what is known and does not wait.
    """

    async def show_health(_request: Request) -> Response:
        result = health()
        body = {"healthy": result.healthy, "status": result.status, **result.detail}
        return Response(to_json(body), 200 if result.healthy else 503, media_type="application/json")

    async def show_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    async def failed(_request: Request, error: Exception) -> Response:
        return JSONResponse({"healthy": False, "status": f"health check failed: {error}"}, 503)

    return Starlette(
        routes=[Route("/health", show_health), Route("/metrics", show_metrics)],
        exception_handlers={Exception: failed},
    )


class HealthServer:
    """Serves `health_app` from a thread of its own: on ``host``, else ``$SWT_HEALTH_HOST``, else loopback."""

    def __init__(
        self, registry: CollectorRegistry, health: HealthCheck, host: str | None = None, port: int = 0
    ) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(health_app(registry, health), log_config=None, access_log=False, lifespan="off")
        )
        self._host = host or os.environ.get(HEALTH_HOST_VARIABLE) or "127.0.0.1"
        self._port = port
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="health-server", daemon=True)

    @property
    def port(self) -> int:
        """The port really used (the one asked for, or a free one for 0)."""
        if self._socket is None:
            raise StateError("the health server has not been started")
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    def start(self) -> Self:
        """Bind and serve; requests are accepted from the moment this returns.

        Raises:
            StateError: the port is taken.
        """
        try:
            self._socket = socket.create_server((self._host, self._port), backlog=64)
        except OSError as error:
            raise StateError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror or error}",
                remedy="stop what uses the port, or configure another one",
            ) from error
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving; safe to call twice."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        assert self._socket is not None
        self._server.run(sockets=[self._socket])
