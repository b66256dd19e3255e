"""The account as JSON, field for field as OANDA's specification names them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from swt_broker.times import format_time
from swt_live.practice.account import ZERO, Account, OpenTrade
from swt_live.practice.market import ReplayMarket
from swt_live.practice.transactions import JSONObject

_RATIO = Decimal("0.00001")


class AccountViews:
    """Renders an account at the market's current quote."""

    def __init__(self, account: Account, market: ReplayMarket) -> None:
        self.account = account
        self.market = market

    # Account ---------------------------------------------------------------------------------------

    def state(self) -> JSONObject:
        """The price-dependent figures."""
        account, tick = self.account, self.market.tick
        unrealized = sum((account.unrealized(trade, tick) for trade in account.open_trades), ZERO)
        nav = account.balance + unrealized
        used = account.margin(account.units, tick)
        closeout = used / 2 / nav if nav > 0 else Decimal(1 if used else 0)
        value = str(account.position_value(tick))
        return {
            "unrealizedPL": str(unrealized),
            "NAV": str(nav),
            "marginUsed": str(used),
            "marginAvailable": str(max(nav - used, ZERO)),
            "positionValue": value,
            "marginCloseoutUnrealizedPL": str(unrealized),
            "marginCloseoutNAV": str(nav),
            "marginCloseoutMarginUsed": str(used),
            "marginCloseoutPercent": str(closeout.quantize(_RATIO)),
            "marginCloseoutPositionValue": value,
            "withdrawalLimit": str(max(min(nav - used, account.balance), ZERO)),
            "marginCallMarginUsed": str(used),
            "marginCallPercent": str((closeout / 2).quantize(_RATIO)),
        }

    def summary(self) -> JSONObject:
        """The account without trades, positions and orders."""
        account = self.account
        return {
            "id": account.settings.account_id,
            "alias": account.alias,
            "currency": account.conversion.home_currency,
            "balance": str(account.balance),
            "createdByUserID": account.settings.user_id,
            "createdTime": format_time(account.created_s),
            "guaranteedStopLossOrderMode": "DISABLED",
            "pl": str(account.pl),
            "resettablePL": str(account.pl),
            "resettablePLTime": "0",
            "financing": str(account.financing),
            "commission": "0.0000",
            "guaranteedExecutionFees": "0.0000",
            "marginRate": str(account.margin_rate),
            "openTradeCount": len(account.open_ids),
            "openPositionCount": int(account.units != 0),
            "pendingOrderCount": len(account.pending_ids),
            "hedgingEnabled": False,
            "lastTransactionID": str(account.log.last_id),
            **self.state(),
        }

    def details(self) -> JSONObject:
        """The whole account."""
        return self.summary() | {
            "trades": [self.trade_summary(trade) for trade in self.account.open_trades],
            "positions": self.positions(),
            "orders": self.pending_orders(),
        }

    def changes(self, since_id: int) -> JSONObject:
        """What happened after a transaction, and the state now."""
        account = self.account

        def orders(state: str, key: str) -> list[JSONObject]:
            chosen = (order for order in account.orders.values() if order["state"] == state)
            return [order for order in chosen if int(order[key]) > since_id]

        def closed_after(trade: OpenTrade) -> bool:
            return bool(trade.closing_ids) and trade.closing_ids[-1] > since_id

        def summaries(wanted: Callable[[OpenTrade], bool]) -> list[JSONObject]:
            return [self.trade_summary(trade) for trade in account.trades.values() if wanted(trade)]

        return {
            "changes": {
                "ordersCreated": orders("PENDING", "id"),
                "ordersCancelled": orders("CANCELLED", "cancellingTransactionID"),
                "ordersFilled": orders("FILLED", "fillingTransactionID"),
                "ordersTriggered": [],
                "tradesOpened": summaries(lambda trade: trade.is_open and trade.trade_id > since_id),
                "tradesReduced": summaries(lambda trade: trade.is_open and closed_after(trade)),
                "tradesClosed": summaries(lambda trade: not trade.is_open and closed_after(trade)),
                "positions": self.positions() if account.position_touched_id > since_id else [],
                "transactions": account.log.since(since_id),
            },
            "state": self.state()
            | {
                "orders": [],
                "trades": [
                    {
                        "id": str(trade.trade_id),
                        "unrealizedPL": str(account.unrealized(trade, self.market.tick)),
                        "marginUsed": str(account.margin(trade.units, self.market.tick)),
                    }
                    for trade in account.open_trades
                ],
                "positions": [self._calculated_position()] if account.units else [],
            },
        }

    # Trades ----------------------------------------------------------------------------------------

    def trade_summary(self, trade: OpenTrade) -> JSONObject:
        """A trade as accounts list it: dependent orders by id."""
        body = self._trade(trade)
        if trade.take_profit_id is not None:
            body["takeProfitOrderID"] = str(trade.take_profit_id)
        if trade.stop_loss_id is not None:
            body["stopLossOrderID"] = str(trade.stop_loss_id)
        return body

    def trade(self, trade: OpenTrade) -> JSONObject:
        """A trade with its dependent orders."""
        body = self._trade(trade)
        if trade.take_profit_id is not None:
            body["takeProfitOrder"] = self.account.orders[trade.take_profit_id]
        if trade.stop_loss_id is not None:
            body["stopLossOrder"] = self.account.orders[trade.stop_loss_id]
        return body

    def _trade(self, trade: OpenTrade) -> JSONObject:
        account, tick = self.account, self.market.tick
        body: JSONObject = {
            "id": str(trade.trade_id),
            "instrument": account.instrument.name,
            "price": str(account.price(trade.price)),
            "openTime": format_time(trade.open_time_s),
            "state": "OPEN" if trade.is_open else "CLOSED",
            "initialUnits": str(trade.initial_units),
            "initialMarginRequired": str(trade.initial_margin),
            "currentUnits": str(trade.units),
            "realizedPL": str(trade.realized),
            "financing": str(trade.financing),
        }
        if trade.is_open:
            body["unrealizedPL"] = str(account.unrealized(trade, tick))
            body["marginUsed"] = str(account.margin(trade.units, tick))
        if trade.closing_ids:
            closed_units = abs(trade.initial_units - trade.units)
            average = Decimal(trade.closed_value) / closed_units
            body["averageClosePrice"] = str(self._average(average))
            body["closingTransactionIDs"] = [str(item) for item in trade.closing_ids]
        if trade.close_time_s is not None:
            body["closeTime"] = format_time(trade.close_time_s)
        if trade.client_extensions:
            body["clientExtensions"] = trade.client_extensions
        return body

    def _average(self, points: Decimal) -> Decimal:
        return self.account.price(int(points.to_integral_value()))

    # Positions -------------------------------------------------------------------------------------

    def position(self) -> JSONObject:
        """The position in the one instrument, flat or not."""
        account, tick = self.account, self.market.tick
        sides = {side: self._side(side) for side in ("long", "short")}
        unrealized = sum((account.unrealized(trade, tick) for trade in account.open_trades), ZERO)
        financing = sum((totals.financing for totals in account.totals.values()), ZERO)
        return {
            "instrument": account.instrument.name,
            "pl": str(account.pl),
            "unrealizedPL": str(unrealized),
            "marginUsed": str(account.margin(account.units, tick)),
            "resettablePL": str(account.pl),
            "financing": str(financing),
            "commission": "0.0000",
            "guaranteedExecutionFees": "0.0000",
            **sides,
        }

    def positions(self) -> list[JSONObject]:
        """Positions ever held."""
        return [self.position()] if self.account.trades else []

    def open_positions(self) -> list[JSONObject]:
        """Positions that are not flat."""
        return [self.position()] if self.account.units else []

    def _side(self, side: str) -> JSONObject:
        account, tick = self.account, self.market.tick
        trades = [trade for trade in account.open_trades if (trade.units > 0) == (side == "long")]
        units = sum(trade.units for trade in trades)
        totals = account.totals[side]
        body: JSONObject = {
            "units": str(units),
            "pl": str(totals.pl),
            "resettablePL": str(totals.pl),
            "financing": str(totals.financing),
            "guaranteedExecutionFees": "0.0000",
            "unrealizedPL": str(sum((account.unrealized(trade, tick) for trade in trades), ZERO)),
        }
        if trades:
            average = Decimal(sum(trade.price * trade.units for trade in trades)) / units
            body["averagePrice"] = str(self._average(average))
            body["tradeIDs"] = [str(trade.trade_id) for trade in trades]
        return body

    def _calculated_position(self) -> JSONObject:
        body = self.position()
        return {
            "instrument": body["instrument"],
            "netUnrealizedPL": body["unrealizedPL"],
            "longUnrealizedPL": body["long"]["unrealizedPL"],
            "shortUnrealizedPL": body["short"]["unrealizedPL"],
            "marginUsed": body["marginUsed"],
        }

    # Orders ----------------------------------------------------------------------------------------

    def pending_orders(self) -> list[JSONObject]:
        """Orders that wait, newest first."""
        return [self.account.orders[order_id] for order_id in reversed(self.account.pending_ids)]
