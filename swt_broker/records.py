"""What the broker said, as frozen records: numbers as `Decimal`, times as epoch seconds beside their text.

Every record keeps the raw JSON in ``raw`` for the journal. Ids of transactions, orders and trades are
integers here (strings of integers on the wire), so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class BrokerSettings:
    """Where the broker is and who is asking.

    Attributes:
        base_url, stream_url: without ``/v3``; the practice server serves both from one address.
        request_timeout_s: a request without a whole answer after this is given up.
        requests_per_second: own limit, below the broker's 120; ``inf`` in lock-step, where waiting
            is lost time.
    """

    base_url: str
    stream_url: str
    token: str = field(repr=False)
    account_id: str
    request_timeout_s: float = 10.0
    requests_per_second: float = 100.0


@dataclass(frozen=True)
class PriceLevel:
    """One rung of the order book."""

    price: Decimal
    liquidity: int


@dataclass(frozen=True)
class Price:
    """A quote: best executable bid and ask, and the book below them."""

    instrument: str
    time_s: float
    time: str
    bid: Decimal
    ask: Decimal
    tradeable: bool
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    raw: JSON = field(repr=False)


@dataclass(frozen=True)
class Heartbeat:
    """The stream is alive; on the transaction stream with the last transaction's id."""

    time_s: float
    time: str
    last_transaction_id: int | None
    raw: JSON = field(repr=False)


@dataclass(frozen=True)
class CandlePrices:
    """Open, high, low, close of one side."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True)
class Candle:
    """One candle; the sides that were not asked for are None."""

    instrument: str
    granularity: str
    time_s: int
    time: str
    complete: bool
    volume: int
    mid: CandlePrices | None
    bid: CandlePrices | None
    ask: CandlePrices | None
    raw: JSON = field(repr=False)


@dataclass(frozen=True)
class InstrumentDetails:
    """Metadata that decides precision, sizes and margin."""

    name: str
    pip_location: int
    display_precision: int
    trade_units_precision: int
    minimum_trade_size: Decimal
    maximum_order_units: Decimal
    margin_rate: Decimal
    raw: JSON = field(repr=False)


@dataclass(frozen=True)
class PositionSide:
    """Long or short half of a position; ``units`` is negative on the short side."""

    units: Decimal
    average_price: Decimal | None
    trade_ids: tuple[int, ...]
    pl: Decimal
    unrealized_pl: Decimal


@dataclass(frozen=True)
class Position:
    """The account's position in one instrument."""

    instrument: str
    long: PositionSide
    short: PositionSide
    raw: JSON = field(repr=False)

    @property
    def units(self) -> Decimal:
        """Net units, signed."""
        return self.long.units + self.short.units


@dataclass(frozen=True)
class Trade:
    """An open (or closed) trade; units are signed."""

    trade_id: int
    instrument: str
    price: Decimal
    open_time_s: float
    initial_units: Decimal
    current_units: Decimal
    state: str
    realized_pl: Decimal
    unrealized_pl: Decimal | None
    client_id: str | None
    raw: JSON = field(repr=False)


@dataclass(frozen=True)
class TradePart:
    """What one fill did to one trade."""

    trade_id: int
    units: Decimal
    price: Decimal | None
    realized_pl: Decimal | None


@dataclass(frozen=True)
class Transaction:
    """One entry of the account's log, the fields that trading needs named, the rest in ``raw``.

    ``client_order_id`` is the client id of the order concerned, on the create, the fill, the cancel and
    the reject alike. ``price`` is the volume-weighted price of a fill.
    """

    transaction_id: int
    type: str
    time_s: float
    time: str
    batch_id: int | None
    order_id: int | None
    client_order_id: str | None
    instrument: str | None
    units: Decimal | None
    requested_units: Decimal | None
    price: Decimal | None
    reason: str | None
    reject_reason: str | None
    pl: Decimal | None
    financing: Decimal | None
    commission: Decimal | None
    half_spread_cost: Decimal | None
    account_balance: Decimal | None
    trade_opened: TradePart | None
    trade_reduced: TradePart | None
    trades_closed: tuple[TradePart, ...]
    raw: JSON = field(repr=False)

    @property
    def is_fill(self) -> bool:
        return self.type == "ORDER_FILL"

    @property
    def is_cancel(self) -> bool:
        return self.type == "ORDER_CANCEL"

    @property
    def is_reject(self) -> bool:
        return self.type.endswith("_REJECT")

    @property
    def is_market_order(self) -> bool:
        return self.type == "MARKET_ORDER"


@dataclass(frozen=True)
class AccountSnapshot:
    """The whole account at ``last_transaction_id``, in the home currency.

    ``GET /accounts/{id}`` fills trades and positions; a summary leaves them empty.
    """

    account_id: str
    currency: str
    balance: Decimal
    nav: Decimal
    pl: Decimal
    unrealized_pl: Decimal
    margin_used: Decimal
    margin_available: Decimal
    open_trade_count: int
    open_position_count: int
    pending_order_count: int
    hedging_enabled: bool
    last_transaction_id: int
    positions: tuple[Position, ...]
    trades: tuple[Trade, ...]
    raw: JSON = field(repr=False)

    def units(self, instrument: str) -> Decimal:
        """Net signed units held in ``instrument``."""
        return sum((p.units for p in self.positions if p.instrument == instrument), Decimal(0))


@dataclass(frozen=True)
class AccountChanges:
    """What happened since a transaction id, and the price-dependent state now."""

    transactions: tuple[Transaction, ...]
    trades_opened: tuple[Trade, ...]
    trades_reduced: tuple[Trade, ...]
    trades_closed: tuple[Trade, ...]
    positions: tuple[Position, ...]
    nav: Decimal
    unrealized_pl: Decimal
    margin_used: Decimal
    last_transaction_id: int
    raw: JSON = field(repr=False)


@dataclass(frozen=True)
class OrderRequest:
    """A market order. Prices are already rounded strings of the instrument's precision.

    ``units`` is signed. Entries go ``OPEN_ONLY``, closes ``REDUCE_ONLY``.
    """

    instrument: str
    units: int
    client_id: str
    position_fill: Literal["DEFAULT", "OPEN_ONLY", "REDUCE_FIRST", "REDUCE_ONLY"] = "DEFAULT"
    time_in_force: Literal["FOK", "IOC"] = "FOK"
    price_bound: str | None = None
    tag: str | None = None
    comment: str | None = None
    take_profit_price: str | None = None
    stop_loss_price: str | None = None


@dataclass(frozen=True)
class OrderResult:
    """A 201 (orders) or 200 (closes): the order was taken, and then filled **or cancelled**.

    Attributes:
        create: the order's creation; fill: set when filled; cancel: set when cancelled (``cancel.reason``:
            MARKET_HALTED, INSUFFICIENT_MARGIN, BOUNDS_VIOLATION, FIFO_VIOLATION, ...).
    """

    create: Transaction | None
    fill: Transaction | None
    cancel: Transaction | None
    related_transaction_ids: tuple[int, ...]
    last_transaction_id: int
    request_id: str | None
    raw: JSON = field(repr=False)

    @property
    def filled(self) -> bool:
        return self.fill is not None

    @property
    def filled_units(self) -> Decimal:
        """Signed units really filled; 0 for a cancelled order."""
        if self.fill is None or self.fill.units is None:
            return Decimal(0)
        return self.fill.units

    @property
    def price(self) -> Decimal | None:
        """Volume-weighted fill price."""
        return None if self.fill is None else self.fill.price
