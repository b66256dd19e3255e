"""A small exchange in virtual time, with faults on demand, and what else a trader needs in a test."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swt_broker.records import (
    AccountChanges,
    AccountSnapshot,
    Candle,
    CandlePrices,
    Heartbeat,
    OrderRequest,
    OrderResult,
    Position,
    PositionSide,
    Price,
    Transaction,
)
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef
from swt_core.config import SWTConfig
from swt_core.errors import OutcomeUnknown, Rejected, Unavailable
from swt_core.instruments import Instrument, instrument
from swt_core.position import HOLD
from swt_core.records import TradingDecision
from swt_core.state import StateDirectory
from swt_data.bars import Bars
from swt_live.journal import Journal
from swt_live.models import LoadedModel, ModelChoice, Selection
from swt_live.trader import LiveTrader
from swt_live.trader_parts import TraderParts

GBP_JPY: Instrument = instrument("GBP_JPY")
# Monday 2024-01-08 12:00 UTC: the middle of a trading day.
NOON_S = 1_704_715_200
OPEN_TICK_S, CLOSE_TICK_S = 2, 50


def market(minutes: int, start_s: int = NOON_S, seed: int = 1, spread: int = 24) -> Bars:
    """A random walk in whole points, one bar a minute without a gap, opens apart from closes."""
    rng = np.random.default_rng(seed)
    closes = 2 * (186_000 + np.cumsum(rng.integers(-30, 31, minutes)))
    opens = np.concatenate([[closes[0]], closes[:-1]]) + 2 * rng.integers(-4, 5, minutes)
    spreads = np.full(minutes, spread, np.int64)
    return Bars(
        GBP_JPY,
        np.arange(start_s, start_s + 60 * minutes, 60, dtype=np.int64),
        opens.astype(np.int64),
        np.maximum(opens, closes).astype(np.int64),
        np.minimum(opens, closes).astype(np.int64),
        closes.astype(np.int64),
        spreads,
        spreads.copy(),
        np.full(minutes, 2, np.int64),
        spread_recorded=True,
    )


class VirtualClock:
    """Time that passes only when somebody sleeps; the market moves along."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.on_advance: Callable[[float], None] = lambda _: None

    def time_s(self) -> float:
        return self.now_s

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep_until(self, time_s: float) -> None:
        if time_s > self.now_s:
            self.on_advance(time_s)
            for _ in range(6):
                await asyncio.sleep(0)
            self.now_s = time_s
        await asyncio.sleep(0)


@dataclass
class Stream:
    """One price stream: a queue of events; None ends it, an exception breaks it."""

    queue: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Price | Heartbeat:
        event = await self.queue.get()
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, Exception):
            raise event
        return event


def transaction(number: int, kind: str, time_s: float, **fields: Any) -> Transaction:
    """A transaction with everything absent that is not named."""
    empty = dict.fromkeys(Transaction.__dataclass_fields__)
    values = empty | {"trades_closed": (), "raw": {}, "time": "", "instrument": GBP_JPY.name}
    return Transaction(**(values | {"transaction_id": number, "type": kind, "time_s": time_s} | fields))


class FakeBroker:
    """An exchange that replays bars (a tick at the open, one at the close) and fills at the next tick.

    ``order_faults``: what happens to the next orders: ``ok``, ``lost``, ``applied_lost``, ``delayed N``
    (applied N s later, answer lost), ``reject``, ``halt``, ``oversize N``, ``misreport N``.
    ``read_faults``: how many of the next reads fail.
    """

    def __init__(self, bars: Bars, clock: VirtualClock) -> None:
        self.bars = bars
        self.clock = clock
        clock.on_advance = self.advance
        self.order_faults: deque[str] = deque()
        self.read_faults = 0
        self.changes_read = 0
        self.accounts_read = 0
        self.candle_delay_s = 0.0
        self.candles_fail = False
        self.streams_fail = False
        self.silent = False
        self.orders: list[OrderRequest] = []
        self.log: list[Transaction] = []
        self.units = 0
        self.average_points = 0
        self.streams: list[Stream] = []
        self.pending: list[tuple[float, OrderRequest, int]] = []
        self.before_order: Callable[[OrderRequest], None] = lambda _: None
        self.market_s = clock.now_s
        self._ticks = self._make_ticks()
        self._next_tick = int(np.searchsorted([t[0] for t in self._ticks], clock.now_s, side="right"))

    def _make_ticks(self) -> list[tuple[float, int, int]]:
        bars, ticks = self.bars, []
        for i, start_s in enumerate(bars.time_s.tolist()):
            ticks.append((start_s + OPEN_TICK_S, int(bars.bid_open[i]), int(bars.ask_open[i])))
            ticks.append((start_s + CLOSE_TICK_S, int(bars.bid_close[i]), int(bars.ask_close[i])))
        return ticks

    # -- market ----------------------------------------------------------------------------------

    def advance(self, until_s: float) -> None:
        """Replay ticks and heartbeats up to ``until_s`` and apply delayed orders that have come due."""
        while self._next_tick < len(self._ticks) and self._ticks[self._next_tick][0] <= until_s:
            self._emit(self._ticks[self._next_tick])
            self._next_tick += 1
        self.market_s = max(self.market_s, until_s)
        self._emit_event(Heartbeat(until_s, "", None, {}))
        for due in [item for item in self.pending if item[0] <= until_s]:
            self.pending.remove(due)
            self._fill(due[1], due[2], due[0])

    def _emit(self, tick: tuple[float, int, int]) -> None:
        time_s, bid, ask = tick
        prices = [Decimal(p).scaleb(-GBP_JPY.display_precision) for p in (bid, ask)]
        self._emit_event(Price(GBP_JPY.name, time_s, "", prices[0], prices[1], True, (), (), {}))

    def _emit_event(self, event: Price | Heartbeat) -> None:
        if not self.silent:
            for stream in self.streams:
                stream.queue.put_nowait(event)

    def quote(self) -> tuple[int, int]:
        _, bid, ask = self._ticks[max(0, self._next_tick - 1)]
        return bid, ask

    # -- reads -----------------------------------------------------------------------------------

    def _read(self) -> None:
        if self.read_faults > 0:
            self.read_faults -= 1
            raise Unavailable("no answer")

    async def account(self) -> AccountSnapshot:
        await asyncio.sleep(0)
        self._read()
        self.accounts_read += 1
        zero = Decimal(0)
        return AccountSnapshot(
            "001",
            "JPY",
            zero,
            zero,
            zero,
            zero,
            zero,
            zero,
            0,
            0,
            0,
            False,
            self.last_id,
            self._positions(),
            (),
            {},
        )

    async def changes(self, since_id: int) -> AccountChanges:
        await asyncio.sleep(0)
        self._read()
        self.changes_read += 1
        zero, new = Decimal(0), tuple(item for item in self.log if item.transaction_id > since_id)
        flat = PositionSide(zero, None, (), zero, zero)
        changed = self._positions() or (Position(GBP_JPY.name, flat, flat, {}),)
        positions = changed if any(item.is_fill for item in new) else ()
        return AccountChanges(new, (), (), (), positions, zero, zero, zero, self.last_id, {})

    async def open_positions(self) -> tuple[Position, ...]:
        await asyncio.sleep(0)
        self._read()
        return self._positions()

    async def transactions_since(self, transaction_id: int) -> tuple[Transaction, ...]:
        await asyncio.sleep(0)
        self._read()
        return tuple(item for item in self.log if item.transaction_id > transaction_id)

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
    ) -> tuple[Candle, ...]:
        await asyncio.sleep(0)
        if self.candles_fail:
            raise Unavailable("no candles")
        bars = self.bars
        assert from_s is not None
        assert to_s is not None
        rows = np.flatnonzero(
            (bars.time_s >= from_s) & (bars.time_s < to_s) & (bars.time_s + 60 <= self.market_s)
        )
        return tuple(self._candle(int(row)) for row in rows)

    def _candle(self, row: int) -> Candle:
        bars = self.bars

        def side(sign: int) -> CandlePrices:
            values = []
            for mids, spread in (
                (bars.open_hp, bars.spread_open),
                (bars.high_hp, bars.spread_close),
                (bars.low_hp, bars.spread_close),
                (bars.close_hp, bars.spread_close),
            ):
                points = int(mids[row] + sign * spread[row]) // 2
                values.append(Decimal(points).scaleb(-GBP_JPY.display_precision))
            return CandlePrices(*values)

        time_s = int(bars.time_s[row])
        complete = self.market_s >= time_s + 60 + self.candle_delay_s
        return Candle(GBP_JPY.name, "M1", time_s, "", complete, 2, None, side(-1), side(1), {})

    def _positions(self) -> tuple[Position, ...]:
        if self.units == 0:
            return ()
        average = Decimal(self.average_points).scaleb(-GBP_JPY.display_precision)
        none = PositionSide(Decimal(0), None, (), Decimal(0), Decimal(0))
        held = PositionSide(Decimal(self.units), average, (1,), Decimal(0), Decimal(0))
        return (
            Position(GBP_JPY.name, held if self.units > 0 else none, none if self.units > 0 else held, {}),
        )

    def price_stream(self, instruments: Any, *, snapshot: bool = True) -> Stream:
        if self.streams_fail:
            raise Unavailable("no stream")
        stream = Stream()
        self.streams.append(stream)
        return stream

    # -- orders ----------------------------------------------------------------------------------

    @property
    def last_id(self) -> int:
        return self.log[-1].transaction_id if self.log else 100

    def _append(self, kind: str, time_s: float, **fields: Any) -> Transaction:
        item = transaction(self.last_id + 1, kind, time_s, **fields)
        self.log.append(item)
        return item

    async def create_order(self, order: OrderRequest) -> OrderResult:
        self.before_order(order)
        await asyncio.sleep(0)
        self.orders.append(order)
        fault, _, number = (self.order_faults.popleft() if self.order_faults else "ok").partition(" ")
        now_s = self.clock.now_s
        if fault == "lost":
            raise OutcomeUnknown("no answer")
        if fault == "delayed":
            self.pending.append((now_s + float(number), order, order.units))
            raise OutcomeUnknown("no answer")
        if fault == "reject":
            self._append(
                "MARKET_ORDER_REJECT", now_s, client_order_id=order.client_id, reject_reason="UNITS_INVALID"
            )
            raise Rejected("refused", status=400, code="UNITS_INVALID")
        if fault == "halt":
            create = self._create(order, now_s)
            cancel = self._append(
                "ORDER_CANCEL",
                now_s,
                order_id=create.transaction_id,
                client_order_id=order.client_id,
                reason="MARKET_HALTED",
            )
            return OrderResult(create, None, cancel, (), self.last_id, None, {})
        units = int(number) * (1 if order.units > 0 else -1) if fault == "oversize" else order.units
        reported = int(number) * (1 if order.units > 0 else -1) if fault == "misreport" else units
        if self._next_tick < len(self._ticks):
            tick = self._ticks[self._next_tick]
            self._next_tick += 1
            self._emit(tick)
            now_s = self.market_s = tick[0]
        create, fill = self._fill(order, units, now_s, reported)
        if fault == "applied_lost":
            raise OutcomeUnknown("no answer")
        cancel = self.log[-1] if fill is None else None
        return OrderResult(create, fill, cancel, (), self.last_id, None, {})

    def _create(self, order: OrderRequest, time_s: float) -> Transaction:
        create = self._append(
            "MARKET_ORDER", time_s, client_order_id=order.client_id, units=Decimal(order.units)
        )
        numbered = transaction(
            create.transaction_id,
            "MARKET_ORDER",
            time_s,
            client_order_id=order.client_id,
            units=Decimal(order.units),
            order_id=create.transaction_id,
        )
        self.log[-1] = numbered
        return numbered

    def _fill(
        self, order: OrderRequest, units: int, time_s: float, reported: int | None = None
    ) -> tuple[Transaction, Transaction | None]:
        create = self._create(order, time_s)
        if order.position_fill == "REDUCE_ONLY":
            room = -self.units
            units = max(min(units, max(room, 0)), min(room, 0))
            reported = units
            if units == 0:
                self._append(
                    "ORDER_CANCEL", time_s, order_id=create.transaction_id, client_order_id=order.client_id
                )
                return create, None
        shown = units if reported is None else reported
        return create, self.trade(
            units, time_s, client_id=order.client_id, order_id=create.transaction_id, reported=shown
        )

    def trade(
        self,
        units: int,
        time_s: float,
        *,
        client_id: str | None = None,
        order_id: int | None = None,
        reported: int | None = None,
        reason: str = "MARKET_ORDER",
    ) -> Transaction:
        """Fill ``units`` at the present quote, for whomever."""
        bid, ask = self.quote()
        points = ask if units > 0 else bid
        opening = self.units == 0 or (self.units > 0) == (units > 0)
        self.average_points = points if opening else self.average_points
        self.units += units
        quoted = {
            "fullPrice": {
                "closeoutBid": GBP_JPY.price_string(bid),
                "closeoutAsk": GBP_JPY.price_string(ask),
                "bids": [{"price": GBP_JPY.price_string(bid), "liquidity": "1"}],
                "asks": [{"price": GBP_JPY.price_string(ask), "liquidity": "1"}],
            }
        }
        return self._append(
            "ORDER_FILL",
            time_s,
            client_order_id=client_id,
            order_id=order_id,
            units=Decimal(units if reported is None else reported),
            price=Decimal(points).scaleb(-GBP_JPY.display_precision),
            reason=reason,
            raw=quoted,
        )


class FakeFeatures:
    """Two market numbers and the position row: enough to tell observations apart."""

    version = "fake-features"

    def market_rows(self, bars: Bars, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.stack([bars.close_hp[rows], bars.spread_close[rows]], axis=1).astype(np.float32)

    def observe(
        self, market: NDArray[np.float32], positions: NDArray[np.float64], close_hp: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        return np.concatenate([market, positions.astype(np.float32)], axis=1)


class ScriptedEngine:
    """Plays a script: the n-th decision, where legal; HOLD (or CLOSE, if HOLD is not legal) else."""

    def __init__(self, script: Callable[[int], int]) -> None:
        self.script = script
        self.decisions = 0

    def decide(
        self, observation: NDArray[np.float32], mask: NDArray[np.bool_], *, minimum_confidence: float = 0.0
    ) -> TradingDecision:
        action = self.script(self.decisions)
        self.decisions += 1
        if not mask[action]:
            action = HOLD if mask[HOLD] else int(np.argmax(mask))
        visits = tuple(15 if i == action else 0 for i in range(4))
        return TradingDecision(action, 1.0, 0.0, visits, (0.25,) * 4, (0.0,) * 4, action, "f" * 64)


def checkpoint_ref(sha256: str = "f" * 64, synthetic: bool = True) -> CheckpointRef:
    data = CheckpointData(
        source="s", sha256="0" * 64, instrument=GBP_JPY.name, synthetic=synthetic,
        train_start_s=0, train_end_s=1, validation_start_s=2, validation_end_s=3,
        test_start_s=4, test_end_s=5,
    )  # fmt: skip
    metadata = CheckpointMetadata(
        architecture="swt", feature_profile="swt", feature_version="fake-features", episode=1,
        version="1.0.0", config_hash="c", data=data, created_s=0.0,
    )  # fmt: skip
    return CheckpointRef(Path(metadata.file_name), sha256, metadata)


class FixedModel:
    """A model source with one model, or none."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.choice: ModelChoice | None = ModelChoice(checkpoint_ref(), None, float("inf"))

    def select(self, now_s: float) -> Selection:
        return Selection(self.choice, () if self.choice else ("no verdict",))

    def load(self, choice: ModelChoice) -> LoadedModel:
        return LoadedModel(self.engine, choice, choice.ref.sha256)


class RecordedAlerts:
    """Keeps what a person would have been told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def alert(self, event: str, detail: str) -> None:
        self.sent.append((event, detail))


def configured(**sections: dict[str, Any]) -> SWTConfig:
    """The default configuration with changes by section."""
    return SWTConfig.model_validate(sections)


class World:
    """An exchange, a directory and a trader that can be killed and started again."""

    def __init__(
        self,
        directory: Path,
        script: Callable[[int], int] = lambda _: HOLD,
        *,
        minutes: int = 400,
        start_row: int = 300,
        config: SWTConfig | None = None,
        bars: Bars | None = None,
        seconds: float = 0.5,
    ) -> None:
        self.bars = market(minutes) if bars is None else bars
        self.clock = VirtualClock(float(self.bars.time_s[start_row]) + seconds)
        self.broker = FakeBroker(self.bars, self.clock)
        self.directory = StateDirectory(directory)
        self.engine = ScriptedEngine(script)
        self.models = FixedModel(self.engine)
        self.alerts = RecordedAlerts()
        self.config = config or configured()
        self.points: list[Any] = []
        self.lookback = 32
        self.features: Any = FakeFeatures()
        self.trader = self.start_trader()

    def start_trader(self) -> LiveTrader:
        """A new process: nothing survives but the journal and the directory."""
        self.journal = Journal(self.directory.file("journal.db"))
        self.broker.streams.clear()
        self.trader = LiveTrader(
            TraderParts(
                config=self.config,
                instrument=GBP_JPY,
                broker=self.broker,  # type: ignore[arg-type]
                clock=self.clock,
                journal=self.journal,
                directory=self.directory,
                features=self.features,
                models=self.models,  # type: ignore[arg-type]
                alerts=self.alerts,
                rng=np.random.default_rng(0),
                lookback=self.lookback,
                on_decision=self.points.append,
                **self.parts(),
            )
        )
        return self.trader

    def parts(self) -> dict[str, Any]:
        """Parts that a special world adds to its trader."""
        return {}

    def press_start(self) -> None:
        self.directory.raise_flag("START_TRADING")

    async def run(self, minutes: float) -> None:
        """Let the trader live for some minutes of market time."""
        until_s = self.clock.now_s + 60.0 * minutes
        while self.clock.now_s < until_s:
            await self.trader.step()
            await self.clock.sleep_until(min(self.trader.next_wake_s(), until_s))
        await self.trader.step()
