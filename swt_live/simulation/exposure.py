"""How long a position stayed that had to go, counted over the time in which the trader could act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swt_core.calendar import is_open
from swt_live.simulation.bad_day import BadDay

# A position that must go is closed within this much of the time in which it could be seen and closed.
OVERSIZE_S: Final = 5.0
EMERGENCY_S: Final = 30.0
# The trader knows what it holds: it need not look before it closes.
EMERGENCY_KNOWN_S: Final = 5.0
# After a fault on the wire the trader may be waiting for an answer, or for its next try.
_BLIND_AFTER_FAULT_S: Final = 45.0
_RETRY_S: Final = 30.0
_ON_THE_WIRE: Final = frozenset(
    {"request_lost", "answer_lost", "delay", "status", "non_json", "reset", "truncated"}
)
# From an order's leaving to its arrival.
_ARRIVAL_S: Final = 0.1

Interval = tuple[float, float]


@dataclass(frozen=True)
class Held:
    """So many units over ``[begin_s, end_s)``; ``known``: the trader was told of the fill that led there."""

    begin_s: float
    end_s: float
    units: int
    known: bool


def oversize(day: BadDay) -> int:
    """Positions over the limit that lasted too long."""
    limit = day.config.trading_safety.max_position_units
    # An urgent duty passes an undecided order, but on the way to a smaller position no undecided reduction.
    excuses = [*_unable(day), *_undecided_reductions(day)]
    return _too_long(day, held(day), limit, excuses, OVERSIZE_S, OVERSIZE_S)


def not_flat_after_emergency(day: BadDay) -> int:
    """Positions that EMERGENCY_STOP left open too long; an order that hangs is no excuse."""
    assert day.journal is not None
    excuses = _unable(day, hung_excuses=False)
    reduced_s = [intent.written_s for intent in day.journal.intents() if intent.kind.reduces]
    count = 0
    for begin_s, end_s in day.record.emergencies:
        inside = []
        for item in held(day):
            if item.end_s <= begin_s or item.begin_s >= end_s:
                continue
            # Who wanted to reduce it knew of it.
            known = item.known or any(item.begin_s <= at_s <= begin_s for at_s in reduced_s)
            inside.append(Held(max(item.begin_s, begin_s), min(item.end_s, end_s), item.units, known))
        count += _too_long(day, inside, 0, excuses, EMERGENCY_KNOWN_S, EMERGENCY_S)
    return count


def excused_share(day: BadDay) -> float:
    """Share of the day in which a position over the limit would have been excused."""
    length_s = day.end_s - day.start_s
    excuses = [*_unable(day), *_undecided_reductions(day)]
    return 1.0 - _unexcused(day.start_s, day.end_s, excuses) / length_s


def held(day: BadDay) -> list[Held]:
    """The broker's position over the day, from its log."""
    account, answered = day.server.exchange.account, _answered(day)
    found, units, since_s, known = list[Held](), 0, day.start_s, True
    for time_s, item in zip(account.log.times_s, account.log.entries, strict=True):
        if item["type"] != "ORDER_FILL":
            continue
        found.append(Held(since_s, time_s, units, known))
        units, since_s = units + int(float(item["units"])), time_s
        known = item.get("clientOrderID") in answered
    return [*found, Held(since_s, day.end_s, units, known)]


def _too_long(
    day: BadDay, holdings: list[Held], limit: int, excuses: list[Interval], known_s: float, unknown_s: float
) -> int:
    """Stretches over ``limit`` units that were longer than allowed; what is unknown has to be seen first."""
    check_s = day.config.trading_safety.position_check_seconds
    count, lasted_s, allowed_s = 0, 0.0, 0.0
    for item in [*holdings, Held(day.end_s, day.end_s, 0, known=True)]:
        if abs(item.units) <= limit:
            count += lasted_s > allowed_s
            lasted_s = allowed_s = 0.0
            continue
        allowed_s = max(allowed_s, known_s if item.known else unknown_s + check_s)
        lasted_s += _unexcused(item.begin_s, item.end_s, excuses)
    return count


def _answered(day: BadDay) -> set[str]:
    assert day.journal is not None
    return {detail for _, _, detail, _ in day.journal.audits("order_answered")}


def _unable(day: BadDay, *, hung_excuses: bool = True) -> list[Interval]:
    """When nobody could have closed anything: trader dead, wire broken, market halted, order refused."""
    found = [(begin, end + OVERSIZE_S) for begin, end in day.record.down]
    found += [(begin, end + _RETRY_S) for begin, end in day.record.halted]
    minutes = range(int(day.start_s), int(day.end_s), 60)
    found += [(float(t), t + 60.0 + 60.0) for t in minutes if not is_open(t)]
    for at_s, kind, _ in day.faults.struck:
        hung = kind == "delay" and any(left_s <= at_s <= left_s + _ARRIVAL_S for left_s in day.record.hung)
        if kind in _ON_THE_WIRE and (hung_excuses or not hung):
            found.append((at_s, at_s + _BLIND_AFTER_FAULT_S))
        if kind in ("cancel", "reject"):
            found.append((at_s, at_s + _RETRY_S))
    return found


def _undecided_reductions(day: BadDay) -> list[Interval]:
    quarantine_s = day.config.live.quarantine_seconds + OVERSIZE_S
    assert day.journal is not None
    answered = _answered(day)
    return [
        (intent.written_s, intent.written_s + quarantine_s)
        for intent in day.journal.intents()
        if intent.kind.reduces and intent.client_id not in answered
    ]


def _unexcused(begin_s: float, end_s: float, excuses: list[Interval]) -> float:
    """Seconds of ``[begin_s, end_s)`` outside all excuses."""
    total, at_s = 0.0, begin_s
    for start_s, stop_s in sorted(excuses):
        if stop_s <= at_s or start_s >= end_s:
            continue
        total += max(0.0, start_s - at_s)
        at_s = max(at_s, stop_s)
    return total + max(0.0, end_s - at_s)
