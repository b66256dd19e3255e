"""The simulated account: trades netted first in first out, fills, margin, financing.

Positions are not hedged: an order against the position first closes its oldest trades. Amounts are
`Decimal` in the home currency with four decimals, prices are points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from swt_core.instruments import Instrument
from swt_live.practice.settings import Conversion, PracticeSettings
from swt_live.practice.ticks import Tick
from swt_live.practice.transactions import JSONObject, TransactionLog

_CENT = Decimal("0.0001")
ZERO = Decimal("0.0000")


def money(amount: Decimal) -> Decimal:
    """Rounded to the account's four decimals."""
    return amount.quantize(_CENT, rounding=ROUND_HALF_EVEN)


@dataclass
class OpenTrade:
    """A trade, open or closed; units are signed."""

    trade_id: int
    open_time_s: float
    price: int
    initial_units: int
    units: int
    initial_margin: Decimal
    client_extensions: JSONObject | None = None
    realized: Decimal = ZERO
    financing: Decimal = ZERO
    closing_ids: list[int] = field(default_factory=list)
    closed_value: int = 0
    close_time_s: float | None = None
    take_profit_id: int | None = None
    stop_loss_id: int | None = None

    @property
    def is_open(self) -> bool:
        return self.units != 0


@dataclass
class SideTotals:
    """Lifetime results of one side of the position."""

    pl: Decimal = ZERO
    financing: Decimal = ZERO


@dataclass(frozen=True)
class Close:
    """One trade's share of a fill."""

    trade: OpenTrade
    units: int
    realized: Decimal
    half_spread: Decimal


class Account:
    """State of the account; `swt_live.practice.execution` is what changes it."""

    def __init__(self, settings: PracticeSettings, instrument: Instrument, start_s: float) -> None:
        self.settings = settings
        self.instrument = instrument
        self.conversion = Conversion.of(settings, instrument)
        self.created_s = start_s
        self.log = TransactionLog(settings.account_id, settings.user_id)
        self.alias = "Practice"
        self.margin_rate = Decimal(str(instrument.margin_rate))
        self.balance = ZERO
        self.trades: dict[int, OpenTrade] = {}
        self.open_ids: list[int] = []
        self.orders: dict[int, JSONObject] = {}
        self.pending_ids: list[int] = []
        self.totals = {"long": SideTotals(), "short": SideTotals()}
        self.financing = ZERO
        self.pl = ZERO
        self.position_touched_id = 0
        site, division, user, number = (int(part) for part in settings.account_id.split("-"))
        self.log.begin_batch(None)
        self.log.add(
            start_s,
            "CREATE",
            divisionID=division,
            siteID=site,
            accountUserID=user,
            accountNumber=number,
            homeCurrency=self.conversion.home_currency,
        )
        self.balance = money(settings.balance)
        self.log.add(
            start_s,
            "TRANSFER_FUNDS",
            amount=str(self.balance),
            fundingReason="CLIENT_FUNDING",
            accountBalance=str(self.balance),
        )

    # What it holds ---------------------------------------------------------------------------------

    @property
    def open_trades(self) -> list[OpenTrade]:
        """Open trades, oldest first."""
        return [self.trades[trade_id] for trade_id in self.open_ids]

    @property
    def units(self) -> int:
        """Net signed units."""
        return sum(trade.units for trade in self.open_trades)

    def price(self, points: int) -> Decimal:
        """Points as a price."""
        return Decimal(points).scaleb(-self.instrument.display_precision)

    def unrealized(self, trade: OpenTrade, tick: Tick | None) -> Decimal:
        """P/L of an open trade at the price it could be closed at."""
        if tick is None or not trade.units:
            return ZERO
        exit_points = tick.bid if trade.units > 0 else tick.ask
        return money(self.conversion.profit(self.price(exit_points - trade.price) * trade.units))

    def margin(self, units: int, tick: Tick | None) -> Decimal:
        """Margin that ``units`` need at the mid."""
        if tick is None:
            return ZERO
        value = self.price(tick.bid + tick.ask) / 2 * abs(units) * self.conversion.mid
        return money(value * self.margin_rate)

    def position_value(self, tick: Tick | None) -> Decimal:
        """Market value of the position in home currency."""
        if tick is None:
            return ZERO
        return money(self.price(tick.bid + tick.ask) / 2 * abs(self.units) * self.conversion.mid)

    def nav(self, tick: Tick | None) -> Decimal:
        """Balance plus unrealized P/L."""
        return self.balance + sum((self.unrealized(trade, tick) for trade in self.open_trades), ZERO)

    def set_margin_rate(self, rate: Decimal) -> None:
        """The client's own margin rate; the instrument's is the least."""
        self.margin_rate = max(rate, Decimal(str(self.instrument.margin_rate)))

    # What changes it -------------------------------------------------------------------------------

    def open_trade(
        self, units: int, points: int, tick: Tick, time_s: float, extensions: JSONObject | None
    ) -> OpenTrade:
        """Open a trade; it takes the id of the fill that is about to be logged."""
        trade = OpenTrade(
            trade_id=self.log.next_id,
            open_time_s=time_s,
            price=points,
            initial_units=units,
            units=units,
            initial_margin=self.margin(units, tick),
            client_extensions=extensions,
        )
        self.trades[trade.trade_id] = trade
        self.open_ids.append(trade.trade_id)
        return trade

    def close_units(self, trade: OpenTrade, units: int, points: int, tick: Tick, time_s: float) -> Close:
        """Take ``units`` (positive) off a trade at a price, realising its share of P/L."""
        sign = 1 if trade.units > 0 else -1
        realized = money(self.conversion.profit(self.price(points - trade.price) * units * sign))
        trade.units -= sign * units
        trade.realized += realized
        trade.closed_value += units * points
        trade.closing_ids.append(self.log.next_id)
        if not trade.is_open:
            trade.close_time_s = time_s
            self.open_ids.remove(trade.trade_id)
        self.balance += realized
        self.pl += realized
        self.totals["long" if sign > 0 else "short"].pl += realized
        return Close(trade, -sign * units, realized, self.half_spread_cost(units, tick))

    def half_spread_cost(self, units: int, tick: Tick) -> Decimal:
        """What half the spread costs on ``units``."""
        return money(self.price(tick.ask - tick.bid) / 2 * abs(units) * self.conversion.loss)

    def accrue_financing(self, tick: Tick | None, time_s: float, days: int) -> None:
        """Book ``days`` of financing on every open trade (the 17:00 New York rollover)."""
        parts = []
        total = ZERO
        for trade in self.open_trades:
            rate = self.settings.long_rate if trade.units > 0 else self.settings.short_rate
            value = self.position_value(tick) * abs(trade.units) / abs(self.units)
            amount = money(value * rate * days / 365)
            trade.financing += amount
            self.totals["long" if trade.units > 0 else "short"].financing += amount
            parts.append({"tradeID": str(trade.trade_id), "financing": str(amount)})
            total += amount
        if not parts:
            return
        self.balance += total
        self.financing += total
        self.log.begin_batch(None)
        entry = self.log.add(
            time_s,
            "DAILY_FINANCING",
            financing=str(total),
            accountBalance=str(self.balance),
            accountFinancingMode="DAILY",
            positionFinancings=[
                {"instrument": self.instrument.name, "financing": str(total), "openTradeFinancings": parts}
            ],
        )
        self.position_touched_id = int(entry["id"])

    def record_order(self, transaction: JSONObject, kind: str, **fields: Any) -> JSONObject:
        """An order object beside its creating transaction; pending until it is settled."""
        order: JSONObject = {
            "id": transaction["id"],
            "createTime": transaction["time"],
            "type": kind,
            "state": "PENDING",
        }
        order |= {key: value for key, value in fields.items() if value is not None}
        self.orders[int(order["id"])] = order
        self.pending_ids.append(int(order["id"]))
        return order

    def settle_order(self, order_id: int, state: str, transaction: JSONObject) -> None:
        """FILLED or CANCELLED by a transaction."""
        order = self.orders[order_id]
        order["state"] = state
        verb = "filling" if state == "FILLED" else "cancelling"
        order[f"{verb}TransactionID"] = transaction["id"]
        order["filledTime" if state == "FILLED" else "cancelledTime"] = transaction["time"]
        self.pending_ids.remove(order_id)

    def trade_by(self, specifier: str) -> OpenTrade | None:
        """A trade by id or ``@client id``."""
        if specifier.startswith("@"):
            named = (
                t for t in self.trades.values() if (t.client_extensions or {}).get("id") == specifier[1:]
            )
            return max(named, key=lambda trade: trade.trade_id, default=None)
        return self.trades.get(int(specifier)) if specifier.isdecimal() else None

    def order_by(self, specifier: str) -> JSONObject | None:
        """An order by id or ``@client id``."""
        if specifier.startswith("@"):
            named = (
                order
                for order in self.orders.values()
                if order.get("clientExtensions", {}).get("id") == specifier[1:]
            )
            return max(named, key=lambda order: int(order["id"]), default=None)
        return self.orders.get(int(specifier)) if specifier.isdecimal() else None
