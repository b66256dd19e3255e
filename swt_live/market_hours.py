"""Whether the market is open, asked many times a minute: one calendar answer lasts until it changes."""

from __future__ import annotations

from swt_core.calendar import is_open, next_close, next_open


class MarketHours:
    """The calendar with a memory; time may only go forwards cheaply."""

    def __init__(self) -> None:
        self._from_s = self._until_s = 0.0
        self._open = False

    def is_open(self, now_s: float) -> bool:
        """As `swt_core.calendar.is_open`."""
        self._look(now_s)
        return self._open

    def opens_within(self, now_s: float, seconds: float) -> bool:
        """Whether the market is open, or will be before ``seconds`` have passed."""
        self._look(now_s)
        return self._open or self._until_s - now_s <= seconds

    def _look(self, now_s: float) -> None:
        if self._from_s <= now_s < self._until_s:
            return
        self._from_s, self._open = now_s, bool(is_open(now_s))
        self._until_s = float(next_close(now_s) if self._open else next_open(now_s))
