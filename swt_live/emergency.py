"""Close everything now, with nothing but a broker account: no journal, no model, no daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from swt_broker.records import OrderResult, Position
from swt_core.clock import AsyncClock
from swt_core.errors import BrokerError

_PAUSE_S = 2.0


class ClosingBroker(Protocol):
    """The two calls that closing needs."""

    async def open_positions(self) -> tuple[Position, ...]: ...

    async def close_position(
        self, instrument: str, *, side: str, units: int | None = None, client_id: str | None = None
    ) -> OrderResult: ...


@dataclass(frozen=True)
class EmergencyReport:
    """What was closed; ``flat`` only if the broker itself said so at the end."""

    flat: bool
    closed: tuple[str, ...]
    errors: tuple[str, ...]


async def close_everything(
    broker: ClosingBroker,
    clock: AsyncClock,
    *,
    instruments: Sequence[str] | None = None,
    attempts: int = 30,
    tell: Callable[[str], None] = lambda _: None,
) -> EmergencyReport:
    """Close every open position (or those of ``instruments``) until the broker says there is none.

    Closing names the open side and ALL of it, so repeating it after an unknown outcome cannot open
    anything: it closes what is there.
    """
    closed: list[str] = []
    errors: list[str] = []
    for attempt in range(attempts):
        if attempt:
            await clock.sleep_until(clock.time_s() + _PAUSE_S)
        try:
            positions = await broker.open_positions()
        except BrokerError as error:
            errors.append(f"positions: {error.message}")
            tell(errors[-1])
            continue
        wanted = [p for p in positions if instruments is None or p.instrument in instruments]
        if not any(side.units for p in wanted for side in (p.long, p.short)):
            return EmergencyReport(True, tuple(closed), tuple(errors))
        for position in wanted:
            for name, side in (("long", position.long), ("short", position.short)):
                if not side.units:
                    continue
                text = f"{position.instrument} {name} {side.units}"
                try:
                    result = await broker.close_position(position.instrument, side=name)
                except BrokerError as error:
                    errors.append(f"{text}: {error.message}")
                    tell(errors[-1])
                    continue
                if result.filled:
                    closed.append(text)
                    tell(f"closed {text}")
                else:
                    reason = "no fill" if result.cancel is None else str(result.cancel.reason)
                    errors.append(f"{text}: {reason}")
                    tell(errors[-1])
    return EmergencyReport(False, tuple(closed), tuple(errors))
