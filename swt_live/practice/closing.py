"""When a close is checked: on arrival and again where it fills."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from swt_live.practice.exchange import Exchange

T = TypeVar("T")


def at_fill_time(exchange: Exchange, closing: Callable[[], T]) -> T:
    """What is to be closed, checked when the request arrives and again at the tick that fills it.

    In lock-step the market moves in between, and a stop-loss may have closed it already.
    """
    closing()
    exchange.reach_fill_time()
    return closing()
