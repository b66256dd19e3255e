"""The practice server: a local look-alike of OANDA's v20 API over recorded or synthetic bars."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from swt_broker.credentials import EMBEDDED_TOKEN, TOKEN_VARIABLE
from swt_core.errors import ConfigError
from swt_data.bars import Bars
from swt_live.practice.account_routes import AccountRoutes
from swt_live.practice.control import ControlRoutes
from swt_live.practice.exchange import Exchange
from swt_live.practice.faults import FaultPlan
from swt_live.practice.http import Gate, Replies
from swt_live.practice.keeper import AccountKeeper, Recording
from swt_live.practice.lockstep import ClockDriver
from swt_live.practice.market_routes import MarketRoutes
from swt_live.practice.position_routes import PositionRoutes
from swt_live.practice.refusal import Refusal
from swt_live.practice.settings import PracticeSettings
from swt_live.practice.trading_routes import TradingRoutes

_MINIMUM_HISTORY = 600
_HEARTBEAT_S = 5.0


class PracticeServer:
    """One exchange behind the v20 API.

    Args:
        bars: the recording.
        settings: account, mode, margin.
        start_s: market time at which the replay begins; None: after 600 bars of history (or half of a
            shorter recording).
        faults: what is to go wrong.
        keeper: keeps the account on disk; one that is kept already goes on at `AccountKeeper.minute_s`.
        recording: what a new kept account trades.

    Attributes:
        beat: called with "serving" every few seconds, and with "stopped" at the end.
        app: the ASGI application, for uvicorn or for `swt_broker.asgi.StreamingASGITransport`.
    """

    def __init__(
        self,
        bars: Bars,
        settings: PracticeSettings,
        *,
        start_s: float | None = None,
        faults: FaultPlan | None = None,
        keeper: AccountKeeper | None = None,
        recording: Recording | None = None,
    ) -> None:
        if start_s is None:
            start_s = float(bars.time_s[min(_MINIMUM_HISTORY, len(bars) // 2)])
        self.settings = settings
        self.faults = faults or FaultPlan()
        self.exchange = Exchange(bars, settings, start_s, self.faults)
        self.clock = ClockDriver(self.exchange)
        self.beat: Callable[[str], None] = lambda _: None
        self.keeper = keeper
        if keeper is not None and recording is not None:
            keeper.attach(self.exchange, recording)
        self.app: ASGIApp = Gate(self._starlette(), self.exchange, self._keep)

    def _keep(self) -> None:
        if self.keeper is not None:
            self.keeper.save(self.exchange)

    def _starlette(self) -> Starlette:
        replies = Replies()

        async def refuse(request: Request, error: Exception) -> Response:
            assert isinstance(error, Refusal)
            return replies.json(request, error.body, error.status)

        async def http_error(request: Request, error: Exception) -> Response:
            assert isinstance(error, HTTPException)
            return replies.json(request, {"errorMessage": error.detail}, error.status_code)

        trading = TradingRoutes(self.exchange, replies)
        account = AccountRoutes(self.exchange, replies)
        market = MarketRoutes(self.exchange, replies)
        positions = PositionRoutes(self.exchange, replies)
        # What is asked most stands first: routes are tried one after the other.
        routes = [*account.routes(), *market.routes(), *trading.routes(), *positions.routes()]
        return Starlette(
            routes=[
                *ControlRoutes(self.exchange, self.clock).routes(),
                *(self._own_account_only(route) for route in routes),
            ],
            exception_handlers={Refusal: refuse, HTTPException: http_error},
            lifespan=self._lifespan,
        )

    def _own_account_only(self, route: Route) -> Route:
        if "{account}" not in route.path:
            return route
        inner = route.endpoint

        async def guarded(request: Request) -> Response:
            if request.path_params["account"] != self.settings.account_id:
                raise Refusal(403, "The provided request was forbidden.")
            response: Response = await inner(request)
            return response

        return Route(route.path, guarded, methods=list(route.methods or ["GET"]))

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        beating = asyncio.create_task(self._heartbeat())
        try:
            async with self.running():
                yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
            self.beat("stopped")

    async def _heartbeat(self) -> None:
        while True:
            self.beat("serving")
            await asyncio.sleep(_HEARTBEAT_S)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let time run in the free-running modes; in lock-step there is nothing to run."""
        if self.settings.mode == "lockstep":
            yield
            return
        task = asyncio.create_task(self.clock.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def serve(self, host: str = "127.0.0.1", port: int = 8095) -> None:
        """Serve until interrupted.

        Raises:
            ConfigError: an address that is not loopback without a token of its own, or a port that is taken.
        """
        server = _Uvicorn(self, host, port)
        # uvicorn would only log a taken port and exit; asked first, it is a sentence with a remedy.
        try:
            socket.create_server((host, port)).close()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                remedy="stop what uses the port, or give another one with --port",
            ) from error
        server.run()

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """Serve from a thread of this process; yields the base URL. For tests and benchmarks."""
        server = _Uvicorn(self, "127.0.0.1", port)
        thread = threading.Thread(target=server.run, name="practice-server", daemon=True)
        thread.start()
        server.ready.wait(timeout=30)
        try:
            if not server.started:
                raise ConfigError("the practice server did not start")
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


class _Uvicorn(uvicorn.Server):
    """uvicorn on loopback, elsewhere only with a token that is no secret of this source; open streams are
    ended when it stops.
    """

    def __init__(self, practice: PracticeServer, host: str, port: int) -> None:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        if not loopback and practice.settings.token == EMBEDDED_TOKEN:
            raise ConfigError(
                f"without a token of its own the practice server listens on loopback only, not {host}",
                remedy=f"use 127.0.0.1, or set {TOKEN_VARIABLE}",
            )
        super().__init__(
            uvicorn.Config(
                practice.app,
                host=host,
                port=port,
                log_level="critical",
                access_log=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._practice = practice
        self.ready = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self.ready.set()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._practice.exchange.streams.close_all()
        await super().shutdown(sockets)  # type: ignore[arg-type]
