"""What the trader asks of its surroundings; `swt_broker.client.OandaClient` and the inference engine fit."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from swt_broker.records import (
    AccountChanges,
    AccountSnapshot,
    Candle,
    Heartbeat,
    OrderRequest,
    OrderResult,
    Position,
    Price,
    Transaction,
)
from swt_core.records import TradingDecision
from swt_data.bars import Bars


class PriceStream(Protocol):
    """One connection of prices and heartbeats; it ends or raises `Unavailable`, and never reconnects."""

    async def __aenter__(self) -> PriceStream: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> PriceStream: ...

    async def __anext__(self) -> Price | Heartbeat: ...


class OrderBroker(Protocol):
    """The part of the broker that orders need. Reads raise `Unavailable` or `Rejected`, never lie."""

    async def create_order(self, order: OrderRequest) -> OrderResult: ...

    async def transactions_since(self, transaction_id: int) -> tuple[Transaction, ...]: ...

    async def open_positions(self) -> tuple[Position, ...]: ...

    async def account(self) -> AccountSnapshot: ...

    async def changes(self, since_id: int) -> AccountChanges: ...


class Broker(OrderBroker, Protocol):
    """The whole broker as the trader uses it."""

    async def candles(
        self,
        instrument: str,
        *,
        granularity: str = "M1",
        count: int | None = None,
        from_s: float | None = None,
        to_s: float | None = None,
        price: str = "BA",
        include_first: bool = True,
    ) -> tuple[Candle, ...]: ...

    def price_stream(self, instruments: Sequence[str], *, snapshot: bool = True) -> PriceStream: ...


class Engine(Protocol):
    """`swt_inference.engine.InferenceEngine`, or a scripted policy."""

    def decide(
        self, observation: NDArray[np.float32], mask: NDArray[np.bool_], *, minimum_confidence: float = 0.0
    ) -> TradingDecision: ...


class Features(Protocol):
    """`swt_features.processor.FeatureProcessor`."""

    @property
    def version(self) -> str: ...

    def market_rows(self, bars: Bars, rows: NDArray[np.int64]) -> NDArray[np.float32]: ...

    def observe(
        self,
        market: NDArray[np.float32],
        positions: NDArray[np.float64],
        close_hp: NDArray[np.int64],
    ) -> NDArray[np.float32]: ...


class Alerts(Protocol):
    """Tells a person."""

    def alert(self, event: str, detail: str) -> None: ...
