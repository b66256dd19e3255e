"""A practice server in this process, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from swt_broker.asgi import StreamingASGITransport
from swt_broker.client import OandaClient
from swt_broker.records import BrokerSettings
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.synthetic import synthetic_bars
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings

TOKEN = "test-token"


@dataclass(frozen=True)
class Desk:
    """Server, client and the control port."""

    server: PracticeServer
    client: OandaClient
    http: httpx.AsyncClient

    async def advance(self, until_s: float, participant: str = "trader") -> dict[str, Any]:
        body = {"until_s": until_s, "participant": participant}
        return (await self.http.post("/control/clock/advance", json=body)).json()

    async def get(self, path: str, **params: str) -> httpx.Response:
        return await self.http.get(f"/v3/accounts/{self.server.settings.account_id}{path}", params=params)


@pytest.fixture(scope="session")
def bars() -> Bars:
    """Eight synthetic days with moving spreads."""
    return synthetic_bars("realistic", 8, 3, instrument("GBP_JPY"))


@pytest.fixture(scope="session")
def open_row(bars: Bars) -> int:
    """A row on a quiet Tuesday: the ten minutes around it have a bar each."""
    for row in range(1000, len(bars)):
        if np.all(np.diff(bars.time_s[row - 5 : row + 30]) == 60):
            return row
    raise AssertionError("no ten minutes without a gap")


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def open_desk(bars: Bars, open_row: int) -> OpenDesk:
    """Open a desk whose market stands at the close of the bar before ``open_row``."""

    @asynccontextmanager
    async def desk(
        request_timeout_s: float = 5.0, start_s: float | None = None, **settings: Any
    ) -> AsyncIterator[Desk]:
        server = PracticeServer(
            bars,
            PracticeSettings(TOKEN, **settings),
            start_s=float(bars.time_s[open_row]) if start_s is None else start_s,
        )
        transport = StreamingASGITransport(server.app)
        broker = BrokerSettings(
            "http://practice", "http://practice", TOKEN, server.settings.account_id, request_timeout_s
        )
        async with (
            OandaClient(broker, transport) as client,
            httpx.AsyncClient(
                transport=transport,
                base_url="http://practice",
                headers={"Authorization": f"Bearer {TOKEN}"},
            ) as http,
        ):
            yield Desk(server, client, http)

    return desk
