"""Instrument, quote and conversion as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from swt_broker.times import format_time
from swt_live.practice.account import ZERO, Account
from swt_live.practice.ticks import Tick
from swt_live.practice.transactions import JSONObject


class QuoteViews:
    """Renders what the market shows to one account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def instrument(self) -> JSONObject:
        """Metadata of the instrument."""
        instrument = self.account.instrument
        point = Decimal(1).scaleb(-instrument.display_precision)
        days = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
        return {
            "name": instrument.name,
            "type": "CURRENCY",
            "displayName": instrument.name.replace("_", "/"),
            "pipLocation": instrument.pip_location,
            "displayPrecision": instrument.display_precision,
            "tradeUnitsPrecision": 0,
            "minimumTradeSize": str(instrument.minimum_trade_size),
            "maximumTrailingStopDistance": str(100_000 * point),
            "minimumTrailingStopDistance": str(50 * point),
            "maximumPositionSize": "0",
            "maximumOrderUnits": str(instrument.maximum_order_units),
            "marginRate": str(instrument.margin_rate),
            "guaranteedStopLossOrderMode": "DISABLED",
            "tags": [{"type": "ASSET_CLASS", "name": "CURRENCY"}],
            "financing": {
                "longRate": str(self.account.settings.long_rate),
                "shortRate": str(self.account.settings.short_rate),
                "financingDaysOfWeek": [
                    {"dayOfWeek": day, "daysCharged": int(day not in ("SATURDAY", "SUNDAY"))} for day in days
                ],
            },
        }

    def price(
        self, tick: Tick, *, tradeable: bool, units_available: bool = False, skew_s: float = 0.0
    ) -> JSONObject:
        """A quote. A halted market repeats its last one, not tradeable."""
        account = self.account
        bid, ask = str(account.price(tick.bid)), str(account.price(tick.ask))
        liquidity = account.settings.liquidity_units
        body: JSONObject = {
            "type": "PRICE",
            "time": format_time(tick.time_s + skew_s),
            "bids": [{"price": bid, "liquidity": liquidity}],
            "asks": [{"price": ask, "liquidity": liquidity}],
            "closeoutBid": bid,
            "closeoutAsk": ask,
            "status": "tradeable" if tradeable else "non-tradeable",
            "tradeable": tradeable,
            "instrument": account.instrument.name,
        }
        if units_available:
            body["unitsAvailable"] = self._units_available(tick)
            body["quoteHomeConversionFactors"] = {
                "positiveUnits": str(account.conversion.gain),
                "negativeUnits": str(account.conversion.loss),
            }
        return body

    def _units_available(self, tick: Tick) -> JSONObject:
        account = self.account
        each = account.margin(1_000_000, tick) / 1_000_000
        free = max(account.nav(tick) - account.margin(account.units, tick), ZERO)
        room = int(free / each) if each else 0
        held = account.units

        def both(long_units: int, short_units: int) -> dict[str, str]:
            return {"long": str(max(long_units, 0)), "short": str(max(short_units, 0))}

        whole = both(room + max(-2 * held, 0), room + max(2 * held, 0))
        return {
            "default": whole,
            "reduceFirst": whole,
            "reduceOnly": both(-held, held),
            "openOnly": both(room if held >= 0 else 0, room if held <= 0 else 0),
        }

    def home_conversions(self) -> list[dict[str, Any]]:
        """Quote to home currency."""
        conversion = self.account.conversion
        return [
            {
                "currency": conversion.quote_currency,
                "accountGain": str(conversion.gain),
                "accountLoss": str(conversion.loss),
                "positionValue": str(conversion.mid),
            }
        ]
