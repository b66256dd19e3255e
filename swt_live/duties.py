"""What must be closed, whoever decided otherwise: the position's duties, derived anew at every step.

Nothing here is remembered in the process alone, so a restart comes to the same duty. The broker is asked
what is really held before anything is sent; an answer that does not come is not 'flat'.
"""

from __future__ import annotations

from dataclasses import dataclass

from swt_core.calendar import MINUTE_S, seconds_to_week_close
from swt_core.config import SWTConfig
from swt_live.book import PositionBook
from swt_live.journal import Journal
from swt_live.journal_records import IntentState
from swt_live.safety import SafetyMonitor

# The agent itself closes at the cut-off; this long after it, the trader does.
WEEK_CLOSE_GRACE_S = 90


@dataclass(frozen=True)
class Duty:
    """Bring the position down to ``target_units`` (unsigned).

    ``urgent``: an undecided entry or close does not hold it up, and a closed market is tried all the same.
    """

    target_units: int
    reason: str
    urgent: bool = False


def duty(
    config: SWTConfig,
    book: PositionBook,
    journal: Journal,
    safety: SafetyMonitor,
    *,
    now_s: float,
    started: bool,
    emergency: bool,
    orphaned: bool = False,
) -> Duty | None:
    """The strictest thing that must be done about the position now; None when nothing must.

    ``orphaned``: no model may trade, so nobody would ever close the position.
    """
    if emergency:
        return Duty(0, "EMERGENCY_STOP", urgent=True)
    if safety.memory.flatten_reason is not None:
        return Duty(0, f"shutdown: {safety.memory.flatten_reason}", urgent=True)
    holding = book.holding
    if holding is None:
        return None
    held = abs(holding.units)
    intent = journal.intent(holding.origin)
    if intent is not None:
        asked = abs(intent.units)
        filled = abs(journal.filled_units(intent.client_id))
        if intent.kind.reduces:
            return Duty(0, f"a closing order opened it: {filled} filled, {asked} asked for", urgent=True)
        if filled > asked * (1.0 + config.trading_safety.fill_tolerance) and held > asked:
            return Duty(asked, f"{filled} filled, {asked} asked for", urgent=True)
    if held > config.trading_safety.max_position_units:
        limit = config.trading_safety.max_position_units
        return Duty(limit, f"position limit of {limit} units", urgent=True)
    if not started and intent is None:
        return None  # somebody else's position, and nobody has told us to trade
    if not started and config.live.stop_flattens:
        return Duty(0, "START_TRADING is not set")
    if intent is not None and intent.state is IntentState.FILLED and journal.filled_late(intent.client_id):
        return Duty(0, "a late fill, no longer wanted")
    unfilled = None if intent is None else journal.unfilled_close(intent.client_id)
    if unfilled is not None:
        return Duty(0, f"a decided close did not fill: {unfilled}")
    if orphaned:
        return Duty(0, "no model may manage the position")
    limit_s = config.trading.flat_minutes_before_week_close * MINUTE_S - WEEK_CLOSE_GRACE_S
    if seconds_to_week_close(now_s) <= limit_s:
        return Duty(0, "the week is closing")
    return None
