"""Instruments and their units: pips, points and half-points.

A *point* is the last displayed decimal (0.001 for GBP_JPY). Prices inside SWT are integers: executable
bid and ask in points, mids in half-points (``mid = bid + ask``), so every P&L is exact and the same in
training and live trading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from swt_core.errors import ConfigError


@dataclass(frozen=True)
class Instrument:
    """A currency pair as OANDA describes it."""

    name: str
    pip_location: int
    display_precision: int
    minimum_trade_size: int = 1
    maximum_order_units: int = 50_000_000
    margin_rate: float = 0.05

    @property
    def pip_size(self) -> float:
        """One pip in price units: ``10 ** pipLocation``."""
        return 10.0**self.pip_location

    @property
    def points_per_pip(self) -> int:
        """How many displayed points make a pip (10 for GBP_JPY)."""
        return int(10 ** (self.display_precision + self.pip_location))

    @property
    def half_points_per_pip(self) -> int:
        """How many half-points make a pip: mids are counted in half-points."""
        return 2 * self.points_per_pip

    def to_points(self, price: str | Decimal | float) -> int:
        """A price rounded to the displayed precision, in points."""
        exact = price if isinstance(price, Decimal) else Decimal(str(price))
        scaled = exact.scaleb(self.display_precision)
        return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))

    def price_string(self, points: int) -> str:
        """Points as the broker's decimal string, e.g. ``186.123``."""
        return str(Decimal(points).scaleb(-self.display_precision))

    def mid_price(self, half_points: int) -> float:
        """A mid in half-points as a float price."""
        return half_points / 2 / 10**self.display_precision

    def spread_points(self, spread_pips: float) -> int:
        """A spread in pips as an even number of points, so that both halves are whole."""
        # Half a point rounds up: an assumed cost is never understated.
        return 2 * math.floor(spread_pips * self.points_per_pip / 2 + 0.5)


_KNOWN = {
    name: Instrument(name, pip_location, precision)
    for name, pip_location, precision in (
        ("GBP_JPY", -2, 3),
        ("EUR_JPY", -2, 3),
        ("USD_JPY", -2, 3),
        ("EUR_USD", -4, 5),
        ("GBP_USD", -4, 5),
        ("EUR_GBP", -4, 5),
        ("AUD_USD", -4, 5),
        ("USD_CAD", -4, 5),
        ("USD_CHF", -4, 5),
    )
}


def instrument(name: str) -> Instrument:
    """The built-in metadata of ``name``.

    Raises:
        ConfigError: for a pair SWT has no metadata for.
    """
    try:
        return _KNOWN[name]
    except KeyError:
        raise ConfigError(
            f"unknown instrument {name!r}", remedy=f"use one of {', '.join(sorted(_KNOWN))}"
        ) from None
