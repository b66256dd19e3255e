"""What the trader is made of, and what it keeps in mind between two steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from swt_core.clock import AsyncClock
from swt_core.config import SWTConfig
from swt_core.instruments import Instrument
from swt_core.state import StateDirectory
from swt_live.decider import DecisionPoint
from swt_live.emergency_watch import EMERGENCY_FLAG
from swt_live.journal import Journal
from swt_live.models import ModelSource
from swt_live.ports import Alerts, Broker, Features, PriceStream
from swt_live.self_check import SelfCheck
from swt_live.shadow import Shadow

if TYPE_CHECKING:
    from swt_live.ledger import LedgerEvent
    from swt_live.reconciler import Reconciliation
    from swt_live.trader import LiveTrader

START_FLAG = "START_TRADING"
__all__ = ["EMERGENCY_FLAG", "START_FLAG", "Flags", "Timers", "TraderCounters", "TraderParts"]


@dataclass(frozen=True)
class TraderParts:
    """What the trader is made of; everything that touches the world comes from outside.

    Attributes:
        shadow: a candidate's paper ledger beside the trader; it has no way to the broker.
        self_check: recomputes decisions from the journal.
        guard_clock: the clock by which EMERGENCY_STOP is watched while the trader waits for an answer;
            None: it is seen between two steps only (in lock-step, where waiting takes no market time).
    """

    config: SWTConfig
    instrument: Instrument
    broker: Broker
    clock: AsyncClock
    journal: Journal
    directory: StateDirectory
    features: Features
    models: ModelSource
    alerts: Alerts
    rng: np.random.Generator
    lookback: int = 256
    shadow: Shadow | None = None
    self_check: SelfCheck | None = None
    on_decision: Callable[[DecisionPoint], None] = lambda _: None
    on_stream: Callable[[PriceStream | None], None] = lambda _: None
    on_step: Callable[[LiveTrader], None] = lambda _: None
    on_reconciled: Callable[[Reconciliation], None] = lambda _: None
    on_fill: Callable[[LedgerEvent], None] = lambda _: None
    guard_clock: AsyncClock | None = None


@dataclass
class Flags:
    """What the person wants, as last seen; ``readable``: whether the last look succeeded."""

    started: bool = False
    emergency: bool = False
    readable: bool = False


@dataclass
class Timers:
    """When each thing is due next, UTC epoch seconds."""

    reconcile_s: float = -math.inf
    position_check_s: float = -math.inf
    duty_s: float = -math.inf
    collect_s: float = -math.inf
    compare_s: float = math.inf
    tries: int = 0


@dataclass
class TraderCounters:
    """What the trader has done since it was started."""

    decisions: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    vetoes: dict[str, int] = field(default_factory=dict)
