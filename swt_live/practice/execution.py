"""How orders become transactions: fills, cancellations, dependent orders, margin closeout.

Where OANDA documents no reason the nearest is used: a reduce-only order with nothing to reduce is
cancelled INSUFFICIENT_LIQUIDITY, an open-only order against the position FIFO_VIOLATION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swt_live.practice.account import Account, Close, OpenTrade
from swt_live.practice.faults import FaultPlan
from swt_live.practice.fills import Fill, log_fill
from swt_live.practice.market import ReplayMarket
from swt_live.practice.orders import MarketOrder
from swt_live.practice.ticks import Tick
from swt_live.practice.transactions import JSONObject


@dataclass(frozen=True)
class Execution:
    """What became of a market order; ``first_id`` begins the batch."""

    create: JSONObject
    fill: JSONObject | None
    cancel: JSONObject | None
    first_id: int


class ExecutionEngine:
    """Fills orders of one account at the replayed market's current quote."""

    def __init__(self, account: Account, market: ReplayMarket, faults: FaultPlan) -> None:
        self.account = account
        self.market = market
        self.faults = faults

    def execute(self, order: MarketOrder, request_id: str | None, *, batch: int | None = None) -> Execution:
        """Create the order and fill or cancel it at once."""
        account, now_s = self.account, self.market.now_s
        first_id = account.log.begin_batch(request_id) if batch is None else batch
        fields: JSONObject = {
            "instrument": order.instrument,
            "units": str(order.units),
            "timeInForce": order.time_in_force,
            "priceBound": None if order.price_bound is None else str(account.price(order.price_bound)),
            "positionFill": order.position_fill,
            "clientExtensions": order.client_extensions,
            "tradeClientExtensions": order.trade_client_extensions,
            "takeProfitOnFill": self._on_fill(order.take_profit, order.take_profit_extensions),
            "stopLossOnFill": self._on_fill(order.stop_loss, order.stop_loss_extensions),
            **(order.closing or {}),
        }
        create = account.log.add(now_s, "MARKET_ORDER", reason=order.reason, **fields)
        account.record_order(create, "MARKET", **fields)
        fault = self.faults.take("fill", now_s)
        reason = fault.reason if fault is not None and fault.kind == "cancel" else None
        tick = self.market.tick
        if reason is None:
            reason = self._cancel_reason(order, tick)
        if reason is not None:
            return Execution(create, None, self._cancel(create, reason), first_id)
        assert tick is not None
        units = self._fillable(order)
        if fault is not None and fault.kind == "partial_fill":
            units = max(1, min(abs(units), fault.units)) * (1 if units > 0 else -1)
        if fault is not None and fault.kind == "oversize_fill":
            units = fault.units * (1 if units > 0 else -1)
        fill = self._fill(create, order, units, tick)
        return Execution(create, fill, None, first_id)

    def _on_fill(self, points: int | None, extensions: JSONObject | None) -> JSONObject | None:
        if points is None:
            return None
        details: JSONObject = {"price": str(self.account.price(points)), "timeInForce": "GTC"}
        return details | ({"clientExtensions": extensions} if extensions else {})

    def _fillable(self, order: MarketOrder) -> int:
        """Signed units that may be filled, of those asked for."""
        held = self.account.units
        opposite = abs(held) if held * order.units < 0 else 0
        wanted = min(abs(order.units), self.account.settings.liquidity_units)
        if order.only_trade_id is not None:
            wanted = min(wanted, abs(self.account.trades[order.only_trade_id].units))
        elif order.position_fill == "REDUCE_ONLY":
            wanted = min(wanted, opposite)
        elif order.position_fill == "OPEN_ONLY" and opposite:
            wanted = 0
        return wanted if order.units > 0 else -wanted

    def _cancel_reason(self, order: MarketOrder, tick: Tick | None) -> str | None:
        if tick is None or self.market.halted:
            return "MARKET_HALTED"
        units = self._fillable(order)
        if units == 0:
            return "FIFO_VIOLATION" if order.position_fill == "OPEN_ONLY" else "INSUFFICIENT_LIQUIDITY"
        if order.time_in_force == "FOK" and units != order.units:
            return "INSUFFICIENT_LIQUIDITY"
        price = tick.ask if units > 0 else tick.bid
        if order.price_bound is not None:
            beyond = price > order.price_bound if units > 0 else price < order.price_bound
            if beyond:
                return "BOUNDS_VIOLATION"
        for name, points, sign in (("TAKE_PROFIT", order.take_profit, 1), ("STOP_LOSS", order.stop_loss, -1)):
            if points is None:
                continue
            exit_price = tick.bid if units > 0 else tick.ask
            direction = 1 if units > 0 else -1
            if (points - exit_price) * direction * sign <= 0:
                return f"{name}_ON_FILL_LOSS"
        trade_id = (order.trade_client_extensions or {}).get("id")
        open_ids = {(t.client_extensions or {}).get("id") for t in self.account.open_trades}
        if trade_id is not None and trade_id in open_ids:
            return "CLIENT_TRADE_ID_ALREADY_EXISTS"
        return None if self._margin_suffices(order, units, tick) else "INSUFFICIENT_MARGIN"

    def _margin_suffices(self, order: MarketOrder, units: int, tick: Tick) -> bool:
        held = self.account.units
        after = held + units
        if order.only_trade_id is not None or abs(after) <= abs(held):
            return True
        return self.account.margin(after, tick) <= self.account.nav(tick)

    def _cancel(self, order: JSONObject, reason: str, **fields: Any) -> JSONObject:
        entry = self.account.log.add(
            self.market.now_s,
            "ORDER_CANCEL",
            orderID=order["id"],
            clientOrderID=order.get("clientExtensions", {}).get("id"),
            reason=reason,
            **fields,
        )
        self.account.settle_order(int(order["id"]), "CANCELLED", entry)
        return entry

    def _fill(self, create: JSONObject, order: MarketOrder, units: int, tick: Tick) -> JSONObject:
        """Close what stands against the order, oldest first, open the rest; log it; settle dependents."""
        account, now_s = self.account, self.market.now_s
        points = tick.ask if units > 0 else tick.bid
        left = abs(units)
        against = [trade for trade in account.open_trades if trade.units * units < 0]
        if order.only_trade_id is not None:
            against = [account.trades[order.only_trade_id]]
        closes: list[Close] = []
        for trade in against:
            if left:
                part = min(left, abs(trade.units))
                closes.append(account.close_units(trade, part, points, tick, now_s))
                left -= part
        opened: OpenTrade | None = None
        if left:
            signed = left if units > 0 else -left
            opened = account.open_trade(signed, points, tick, now_s, order.trade_client_extensions)
        fill = log_fill(
            account,
            now_s,
            create,
            Fill(order.fill_reason, order.units, units, points, tick, closes, opened),
        )
        account.settle_order(int(create["id"]), "FILLED", fill)
        settled = account.orders[int(create["id"])]
        settled["tradeClosedIDs"] = [str(c.trade.trade_id) for c in closes if not c.trade.is_open]
        if opened is not None:
            settled["tradeOpenedID"] = str(opened.trade_id)
        self._cancel_dependents([c.trade for c in closes if not c.trade.is_open], fill)
        if opened is not None:
            for kind, price, extensions in (
                ("TAKE_PROFIT", order.take_profit, order.take_profit_extensions),
                ("STOP_LOSS", order.stop_loss, order.stop_loss_extensions),
            ):
                if price is not None:
                    self.attach(opened, kind, price, "ON_FILL", extensions, fill["id"])
        return fill

    # Dependent orders and margin -------------------------------------------------------------------

    def attach(
        self,
        trade: OpenTrade,
        kind: str,
        points: int,
        reason: str,
        extensions: JSONObject | None,
        fill_id: str | None = None,
        replaces: int | None = None,
    ) -> JSONObject:
        """Create a take-profit or stop-loss order on a trade."""
        account = self.account
        fields: JSONObject = {
            "tradeID": str(trade.trade_id),
            "clientTradeID": (trade.client_extensions or {}).get("id"),
            "price": str(account.price(points)),
            "timeInForce": "GTC",
            "triggerCondition": "DEFAULT",
            "clientExtensions": extensions,
        }
        replaced = {"replacesOrderID": None if replaces is None else str(replaces)}
        entry = account.log.add(
            self.market.now_s,
            f"{kind}_ORDER",
            reason=reason,
            orderFillTransactionID=fill_id,
            **replaced,
            **fields,
        )
        account.record_order(entry, kind, **replaced, **fields)
        order_id = int(entry["id"])
        if kind == "TAKE_PROFIT":
            trade.take_profit_id = order_id
        else:
            trade.stop_loss_id = order_id
        return entry

    def cancel_order(
        self, order: JSONObject, reason: str = "CLIENT_REQUEST", *, replaced_by: int | None = None
    ) -> JSONObject:
        """Cancel a pending dependent order."""
        successor = None if replaced_by is None else str(replaced_by)
        entry = self._cancel(order, reason, replacedByOrderID=successor)
        if successor is not None:
            order["replacedByOrderID"] = successor
        trade = self.account.trades[int(order["tradeID"])]
        if trade.take_profit_id == int(order["id"]):
            trade.take_profit_id = None
        if trade.stop_loss_id == int(order["id"]):
            trade.stop_loss_id = None
        return entry

    def _cancel_dependents(self, trades: list[OpenTrade], fill: JSONObject) -> None:
        for trade in trades:
            for order_id in (trade.take_profit_id, trade.stop_loss_id):
                if order_id is not None and order_id in self.account.pending_ids:
                    self._cancel(
                        self.account.orders[order_id],
                        "LINKED_TRADE_CLOSED",
                        closedTradeID=str(trade.trade_id),
                        tradeCloseTransactionID=fill["id"],
                    )

    def on_tick(self, tick: Tick) -> None:
        """Trigger dependent orders and check margin at a new quote."""
        if not self.account.open_ids:
            return
        for trade in self.account.open_trades:
            self._trigger(trade, tick)
        self._check_margin(tick)

    def _trigger(self, trade: OpenTrade, tick: Tick) -> None:
        account = self.account
        exit_points = tick.bid if trade.units > 0 else tick.ask
        side = 1 if trade.units > 0 else -1
        for order_id, sign in ((trade.stop_loss_id, -1), (trade.take_profit_id, 1)):
            if order_id is None or not trade.is_open:
                continue
            order = account.orders[order_id]
            trigger = account.instrument.to_points(order["price"])
            if (exit_points - trigger) * side * sign < 0:
                continue
            account.log.begin_batch(None)
            kind = f"{order['type']}_ORDER"
            close = account.close_units(trade, abs(trade.units), exit_points, tick, self.market.now_s)
            fill = log_fill(
                account,
                self.market.now_s,
                order,
                Fill(kind, close.units, close.units, exit_points, tick, [close], None),
            )
            account.settle_order(order_id, "FILLED", fill)
            order["tradeClosedIDs"] = [str(trade.trade_id)]
            self._cancel_dependents([trade], fill)

    def _check_margin(self, tick: Tick) -> None:
        account = self.account
        if not account.open_ids or account.margin(account.units, tick) / 2 < account.nav(tick):
            return
        order = MarketOrder(
            instrument=account.instrument.name,
            units=-account.units,
            position_fill="REDUCE_ONLY",
            reason="MARGIN_CLOSEOUT",
            fill_reason="MARKET_ORDER_MARGIN_CLOSEOUT",
            closing={"marginCloseout": {"reason": "MARGIN_CHECK_VIOLATION"}},
        )
        self.execute(order, None)
