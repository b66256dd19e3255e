"""A scripted trader on the shared clock: what it saw and paid is what the recording says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import numpy as np
import pytest

from swt_broker.asgi import StreamingASGITransport
from swt_broker.client import OandaClient
from swt_broker.records import BrokerSettings, Heartbeat, OrderRequest, Price
from swt_data.bars import Bars
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_live.replay_clock import HttpClockControl, ReplayClock

_MINUTES = 40


@asynccontextmanager
async def connected(
    server: PracticeServer, *, over_http: bool
) -> AsyncIterator[tuple[OandaClient, ReplayClock]]:
    async def session(
        url: str, transport: httpx.AsyncBaseTransport | None
    ) -> tuple[OandaClient, HttpClockControl]:
        account_id = server.settings.account_id
        settings = BrokerSettings(url, url, "token", account_id, requests_per_second=float("inf"))
        return OandaClient(settings, transport), HttpClockControl(url, "token", transport)

    if over_http:
        with server.serving() as url:
            client, control = await session(url, None)
            async with client, ReplayClock(control, wait_idle=client.wait_idle) as clock:
                yield client, clock
            await control.close()
    else:
        client, control = await session("http://practice", StreamingASGITransport(server.app))
        async with client, ReplayClock(control, wait_idle=client.wait_idle) as clock:
            yield client, clock


@pytest.mark.parametrize("over_http", [False, True])
async def test_fills_and_stream_bars_are_the_recordings(bars: Bars, open_row: int, over_http: bool) -> None:
    first_s = float(bars.time_s[open_row])
    server = PracticeServer(bars, PracticeSettings("token"), start_s=first_s)
    quotes: dict[int, list[Price]] = {}
    fills: list[tuple[int, int]] = []
    async with AsyncExitStack() as stack:
        client, clock = await stack.enter_async_context(connected(server, over_http=over_http))
        stream = await stack.enter_async_context(client.price_stream(["GBP_JPY"], snapshot=False))
        clock.watch(stream)

        async def feed() -> None:
            async for event in stream:
                if not isinstance(event, Heartbeat):
                    quotes.setdefault(int(event.time_s) // 60 * 60, []).append(event)

        async def nosy() -> None:
            """Other duties on the same clock, at moments of their own."""
            while True:
                await clock.sleep_until(clock.time_s() + 7.3)
                await client.open_positions()
                await client.account()

        others = [asyncio.create_task(feed()), asyncio.create_task(nosy())]
        held = 0
        for minute in range(1, _MINUTES):
            await clock.sleep_until(first_s + 60.0 * minute + 1.0)
            row = open_row + minute - 1
            last = quotes[int(bars.time_s[row])][-1]
            assert last.bid * 1000 == int(bars.bid_close[row])
            if minute % 3 == 0:
                units = -1 if held else 1
                fill_kind = "REDUCE_ONLY" if held else "OPEN_ONLY"
                order = OrderRequest("GBP_JPY", units, f"o{minute}", position_fill=fill_kind)
                result = await client.create_order(order)
                expected = bars.ask_open[row + 1] if units > 0 else bars.bid_open[row + 1]
                fills.append((int(result.price * 1000), int(expected)))
                held += units
        for task in others:
            task.cancel()
    assert len(fills) == 13
    assert [paid for paid, _ in fills] == [expected for _, expected in fills]
    for row in range(open_row, open_row + _MINUTES - 2):
        path = quotes[int(bars.time_s[row])]
        assert (path[0].bid * 1000, path[0].ask * 1000) == (int(bars.bid_open[row]), int(bars.ask_open[row]))
        assert (path[-1].bid * 1000, path[-1].ask * 1000) == (
            int(bars.bid_close[row]),
            int(bars.ask_close[row]),
        )
        mids = np.array([int((quote.bid + quote.ask) * 1000) for quote in path])
        assert (mids.max(), mids.min()) == (bars.high_hp[row], bars.low_hp[row])
