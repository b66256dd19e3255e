"""Metrics registry, and the small server that shows /health and /metrics."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psutil
import uvicorn
from prometheus_client import CollectorRegistry, Gauge, Info
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swt_core.errors import StateError
from swt_core.json_text import to_json


@dataclass(frozen=True)
class Health:
    """Whether a daemon does what it should; an idle one that says why is healthy."""

    healthy: bool
    status: str
    detail: dict[str, Any] = field(default_factory=dict)


HealthCheck = Callable[[], Health]


def metrics_registry(service: str) -> CollectorRegistry:
    """A registry of its own (never prometheus' global one) with the process's memory, CPU and threads.

    Args:
        service: ``trainer``, ``validator``, ``live``, …; shown in ``swt_service_info``.
    """
    registry = CollectorRegistry()
    process = psutil.Process()
    Info("swt_service", "Which daemon this is", registry=registry).info({"service": service})
    memory = Gauge("swt_process_resident_memory_bytes", "Resident memory of the process", registry=registry)
    memory.set_function(lambda: float(process.memory_info().rss))
    cpu = Gauge("swt_process_cpu_seconds", "CPU time used by the process", registry=registry)
    cpu.set_function(lambda: float(sum(process.cpu_times()[:2])))
    threads = Gauge("swt_process_threads", "Threads of the process", registry=registry)
    threads.set_function(lambda: float(process.num_threads()))
    return registry


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
    """Serves `health_app` from a thread of its own, on loopback unless told otherwise."""

    def __init__(
        self, registry: CollectorRegistry, health: HealthCheck, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(health_app(registry, health), log_config=None, access_log=False, lifespan="off")
        )
        self._host, self._port = host, port
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
