"""Trading limits and three states: ACTIVE, REDUCING (no entries), HALTED (none until a person acts).

Reducing a position is always allowed. What must outlive a crash (halt, violations, losses) is kept in the
journal. A halt is lifted by a person: ``START_TRADING`` is removed and created again, after the halt. A
reason that comes while it is removed has been seen by nobody: it has to be created, removed and created.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from swt_core.calendar import trading_day
from swt_core.clock import Clock
from swt_core.config import TradingSafetyConfig
from swt_live.book import ClosedTrade
from swt_live.journal import Journal
from swt_live.ports import Alerts

SAFETY_KEY = "safety"
# The first reason of a halt is kept, and the latest of those that followed.
_MOST_REASONS = 6
_BETWEEN = "; "
_DRAWDOWN = "drawdown"


class TradingState(StrEnum):
    """What is allowed."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class SafetyMemory(BaseModel):
    """What survives a crash; money in pips at the configured order size."""

    model_config = ConfigDict(frozen=True)

    halt_reason: str | None = None
    halted_s: float = 0.0
    stop_seen: bool = False  # START_TRADING was seen absent since the halt
    press_ignored: bool = False  # a reason came while START_TRADING was absent: the next press lifts nothing
    flatten_reason: str | None = None  # a shutdown that still has to close the position
    violations: int = 0
    day: int = 0
    realised_today_pips: float = 0.0
    realised_pips: float = 0.0
    peak_pips: float = 0.0
    day_loss_hit: bool = False
    losses_in_a_row: int = 0
    cooldown_until_s: float = 0.0


class SafetyMonitor:
    """Watches the limits of ``trading_safety.yaml``."""

    def __init__(
        self,
        config: TradingSafetyConfig,
        journal: Journal,
        clock: Clock,
        alerts: Alerts,
        *,
        units: int,
        open_pips: Callable[[], float],
    ) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock
        self._alerts = alerts
        self._units = units
        self._open_pips = open_pips
        self.memory = journal.load(SAFETY_KEY, SafetyMemory) or SafetyMemory()

    @property
    def halted(self) -> bool:
        return self.memory.halt_reason is not None

    def entry_refusal(self) -> str | None:
        """Why no position may be opened now; None when one may."""
        self.roll_day()
        memory, now_s = self.memory, self._clock.time_s()
        if memory.halt_reason is not None:
            return f"halted: {memory.halt_reason}"
        if memory.day_loss_hit:
            return "daily loss limit reached"
        if now_s < memory.cooldown_until_s:
            return "cooling down after losses"
        if self._journal.entries_since(now_s - 3600.0) >= self._config.max_trades_per_hour:
            return "trades per hour"
        return None

    def state(self, *, started: bool) -> TradingState:
        """The state to show; ``started``: whether START_TRADING is there."""
        if self.halted:
            return TradingState.HALTED
        return TradingState.ACTIVE if started and self.entry_refusal() is None else TradingState.REDUCING

    def on_closed(self, trade: ClosedTrade) -> None:
        """A trade, or part of one, was closed."""
        self.roll_day()
        pips = trade.result.pnl_pips * abs(trade.units) / self._units
        losses = self.memory.losses_in_a_row + 1 if pips < 0 else 0
        changes: dict[str, object] = {
            "realised_today_pips": self.memory.realised_today_pips + pips,
            "realised_pips": self.memory.realised_pips + pips,
            "losses_in_a_row": losses,
        }
        if losses >= self._config.max_consecutive_losses:
            until_s = self._clock.time_s() + 60.0 * self._config.cooldown_minutes
            changes |= {"losses_in_a_row": 0, "cooldown_until_s": until_s}
            self._note("cooldown", f"{losses} losses in a row", action="entries pause")
        self._remember(**changes)
        self.check_losses()

    def check_losses(self) -> None:
        """Compare today's loss and the drawdown, the open position included, with their limits."""
        self.roll_day()
        equity = self.memory.realised_pips + self._open_pips()
        if equity > self.memory.peak_pips:
            self._remember(peak_pips=equity)
        today = self.memory.realised_today_pips + self._open_pips()
        if today <= -self._config.max_daily_loss_pips and not self.memory.day_loss_hit:
            self._remember(day_loss_hit=True)
            self._note("daily_loss", f"{today:.1f} pips today", action="no entries before the next day")
        drawdown = self.memory.peak_pips - equity
        if drawdown >= self._config.max_drawdown_pips and _DRAWDOWN not in (self.memory.halt_reason or ""):
            self.halt(f"{_DRAWDOWN} of {drawdown:.1f} pips")

    def check_slippage(self, slippage_pips: float) -> None:
        """A fill worse than the limit is a violation."""
        if slippage_pips > self._config.max_slippage_pips:
            self.violation("slippage", f"{slippage_pips:.1f} pips")

    def check_position(self, units: int) -> bool:
        """Whether the broker's position is within the limit; a larger one is a violation."""
        if abs(units) <= self._config.max_position_units:
            return True
        self.violation("position", f"{units} units held, {self._config.max_position_units} allowed")
        return False

    def violation(self, what: str, detail: str) -> None:
        """Count a violation; at the limit trading shuts down: flatten, halt."""
        self.roll_day()
        count = self.memory.violations + 1
        self._remember(violations=count)
        self._note(f"violation_{what}", f"{detail} (violation {count})", action="counted")
        if count >= self._config.emergency_violations:
            self.shut_down(f"{count} safety violations, the last: {what}, {detail}")

    def halt(self, reason: str, *, by_person: bool = False) -> None:
        """No entries until a person removes START_TRADING and creates it again.

        A further reason is added to the first. One that comes after START_TRADING was removed may be
        unknown to the person who is about to create it: that press lifts nothing, the next one does.

        Args:
            by_person: the person is the reason, and knows it.
        """
        known = self.memory.halt_reason
        if known is None:
            self._remember(
                halt_reason=reason, halted_s=self._clock.time_s(), stop_seen=False, press_ignored=False
            )
            self._note("halt", reason, action="entries halt")
            return
        reasons, reason = known.split(_BETWEEN), reason.replace(_BETWEEN, ", ")
        if reason in reasons:
            return
        ignored = self.memory.press_ignored or (self.memory.stop_seen and not by_person)
        self._remember(
            halt_reason=_BETWEEN.join([*reasons[:1], *reasons[1:][2 - _MOST_REASONS :], reason]),
            stop_seen=self.memory.stop_seen and not ignored,
            press_ignored=ignored,
        )
        self._note("halt", reason, action=f"entries stay halted, since: {reasons[0]}")

    def shut_down(self, reason: str) -> None:
        """Halt, and close whatever is open."""
        if self.memory.flatten_reason is None:
            self._remember(flatten_reason=reason)
        self.halt(reason)

    def flattened(self) -> None:
        """The shutdown's position is closed."""
        if self.memory.flatten_reason is not None:
            self._remember(flatten_reason=None)

    def on_flags(self, *, started: bool, emergency: bool) -> None:
        """See the person's flags; START_TRADING created anew after a halt lifts it."""
        if not self.halted:
            return
        if self.memory.press_ignored:
            if started and not emergency:
                self._remember(press_ignored=False)
                self._note(
                    "still_halted", f"a reason came after START_TRADING went: {self.memory.halt_reason}"
                )
            return
        if not started and not self.memory.stop_seen:
            self._remember(stop_seen=True)
        if started and self.memory.stop_seen and not emergency:
            self._note("resume", f"START_TRADING was set again after: {self.memory.halt_reason}")
            self._remember(
                halt_reason=None,
                flatten_reason=None,
                stop_seen=False,
                violations=0,
                peak_pips=self.memory.realised_pips + self._open_pips(),
            )

    def roll_day(self) -> None:
        """At 17:00 New York the day's loss and the violations start anew (a halt does not end)."""
        today = int(trading_day(self._clock.time_s()))
        if today != self.memory.day:
            self._remember(day=today, realised_today_pips=0.0, day_loss_hit=False, violations=0)

    def _remember(self, **changes: object) -> None:
        self.memory = self.memory.model_copy(update=changes)
        self._journal.save(SAFETY_KEY, self.memory)

    def _note(self, event: str, detail: str, *, action: str = "") -> None:
        self._journal.audit(self._clock.time_s(), event, detail, action=action)
        self._alerts.alert(event, detail)
