"""What a practice server is: account, market replay, margin, financing."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from swt_core.instruments import Instrument
from swt_live.practice.ticks import TickTiming

Mode = Literal["lockstep", "real_time", "accelerated"]
DEFAULT_ACCOUNT_ID = "101-001-0000001-001"


@dataclass(frozen=True)
class PracticeSettings:
    """Settings of one practice server.

    Attributes:
        token: bearer token that requests must carry.
        mode, speed: lock-step with the trader, or free-running at ``speed`` market seconds a second.
        fill_at_next_tick: None: True in lock-step, False elsewhere (see `lockstep`).
        halt_gap_s: None: 600 in lock-step, 0 elsewhere (see `ReplayMarket`).
        home_currency: the account's; None: the instrument's quote currency, so that conversion is 1.
        quote_home_rate: home units for one unit of quote currency, mid; gains convert
            ``conversion_cost`` below it, losses above.
        long_rate, short_rate: yearly financing rates, positive is earned.
        liquidity_units: depth of the book at the best price.
        requests_per_second: None: 120 in a market second when free-running, no limit in lock-step.
    """

    token: str = field(repr=False)
    account_id: str = DEFAULT_ACCOUNT_ID
    user_id: int = 1
    mode: Mode = "lockstep"
    speed: float = 1.0
    fill_at_next_tick: bool | None = None
    halt_gap_s: float | None = None
    timing: TickTiming = field(default_factory=TickTiming)
    heartbeat_s: float = 5.0
    completion_delay_s: float = 45.0
    home_currency: str | None = None
    quote_home_rate: Decimal = Decimal(1)
    conversion_cost: Decimal = Decimal("0.005")
    balance: Decimal = Decimal("100000.0000")
    long_rate: Decimal = Decimal("0.0444")
    short_rate: Decimal = Decimal("-0.0664")
    liquidity_units: int = 10_000_000
    requests_per_second: float | None = None

    @property
    def fills_at_next_tick(self) -> bool:
        if self.fill_at_next_tick is not None:
            return self.fill_at_next_tick
        return self.mode == "lockstep"

    @property
    def resolved_halt_gap_s(self) -> float:
        if self.halt_gap_s is not None:
            return self.halt_gap_s
        return 600.0 if self.mode == "lockstep" else 0.0

    @property
    def resolved_rate_limit(self) -> float | None:
        if self.requests_per_second is not None:
            return self.requests_per_second
        if self.mode == "lockstep":
            return None
        return 120.0 * (self.speed if self.mode == "accelerated" else 1.0)


@dataclass(frozen=True)
class Conversion:
    """Quote currency to home currency, with different factors for gains and losses."""

    home_currency: str
    quote_currency: str
    mid: Decimal
    gain: Decimal
    loss: Decimal

    @classmethod
    def of(cls, settings: PracticeSettings, instrument: Instrument) -> Conversion:
        quote = instrument.name.split("_")[1]
        home = settings.home_currency or quote
        if home == quote:
            return cls(home, quote, Decimal(1), Decimal(1), Decimal(1))
        rate, cost = settings.quote_home_rate, settings.conversion_cost
        return cls(home, quote, rate, rate * (1 - cost), rate * (1 + cost))

    def profit(self, quote_amount: Decimal) -> Decimal:
        """A profit or loss in home currency."""
        return quote_amount * (self.gain if quote_amount >= 0 else self.loss)
