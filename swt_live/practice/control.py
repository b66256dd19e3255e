"""The control port: clock, faults, halts and other people's trades. Nothing of it exists at a real broker."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swt_live.practice.exchange import Exchange
from swt_live.practice.faults import Fault
from swt_live.practice.http import json_body, until_disconnect
from swt_live.practice.lockstep import ClockDriver
from swt_live.practice.refusal import Refusal


class ControlRoutes:
    """Handlers over one exchange and its clock."""

    def __init__(self, exchange: Exchange, clock: ClockDriver) -> None:
        self._exchange = exchange
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health),
            Route("/control/clock", self.time),
            Route("/control/clock/advance", self.advance, methods=["POST"]),
            Route("/control/clock/leave", self.leave, methods=["POST"]),
            Route("/control/faults", self.faults, methods=["GET"]),
            Route("/control/faults", self.add_faults, methods=["POST"]),
            Route("/control/faults", self.clear_faults, methods=["DELETE"]),
            Route("/control/halt", self.halt, methods=["POST"]),
            Route("/control/skew", self.skew, methods=["POST"]),
            Route("/control/trade", self.trade, methods=["POST"]),
        ]

    async def health(self, _request: Request) -> Response:
        market = self._exchange.market
        return JSONResponse({"healthy": True, "time_s": market.now_s, "ended": market.ended})

    async def time(self, _request: Request) -> Response:
        return JSONResponse(self._clock.reply())

    async def advance(self, request: Request) -> Response:
        body = await json_body(request)
        participant = str(body.get("participant", "trader"))
        try:
            until_s = float(body["until_s"])
        except (KeyError, TypeError, ValueError):
            raise Refusal.bad_value("until_s") from None
        gone = asyncio.Event()

        async def watch() -> None:
            await until_disconnect(request.receive)
            gone.set()

        watcher = asyncio.ensure_future(watch())
        try:
            return JSONResponse(await self._clock.advance(participant, until_s, gone))
        finally:
            watcher.cancel()

    async def leave(self, request: Request) -> Response:
        body = await json_body(request)
        self._clock.leave(str(body.get("participant", "trader")))
        return JSONResponse(self._clock.reply())

    async def faults(self, _request: Request) -> Response:
        plan = self._exchange.faults
        struck = [{"time_s": t, "kind": kind, "occasion": occasion} for t, kind, occasion in plan.struck]
        return JSONResponse({"waiting": [fault.to_json() for fault in plan.waiting], "struck": struck})

    async def add_faults(self, request: Request) -> Response:
        """``{"faults": [{"kind": ..., ...}]}``: see `faults.Fault`."""
        try:
            for item in (await json_body(request))["faults"]:
                self._exchange.faults.add(Fault.from_json(item))
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal(400, f"faults: {error}") from None
        return await self.faults(request)

    async def clear_faults(self, request: Request) -> Response:
        self._exchange.faults.clear()
        return await self.faults(request)

    async def halt(self, request: Request) -> Response:
        """``{"until_s": ...}``: no trading until then."""
        try:
            self._exchange.market.forced_halt_until_s = float((await json_body(request))["until_s"])
        except (KeyError, TypeError, ValueError):
            raise Refusal.bad_value("until_s") from None
        return JSONResponse(self._clock.reply())

    async def skew(self, request: Request) -> Response:
        """``{"seconds": -3}``: the times of prices and heartbeats are off by so much from now on."""
        try:
            self._exchange.skew_s = float((await json_body(request))["seconds"])
        except (KeyError, TypeError, ValueError):
            raise Refusal.bad_value("seconds") from None
        return JSONResponse(self._clock.reply())

    async def trade(self, request: Request) -> Response:
        """``{"units": -3}``: someone else trades on this account, now."""
        try:
            units = int((await json_body(request))["units"])
        except (KeyError, TypeError, ValueError):
            raise Refusal.bad_value("units") from None
        execution = self._exchange.manual_trade(units)
        return JSONResponse({"create": execution.create, "fill": execution.fill, "cancel": execution.cancel})
