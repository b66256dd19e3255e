"""The price bound that every order carries, and the price its slippage is measured against.

An entry asks for the price it was decided at: without a fresh quote there is none, and its bound is narrow.
A closing order must fill, as it does in the environment, at whatever price the market opens after a gap:
its bound is wide (`live.close_bound_pips`) and doubles with every try, so that a market that has moved on
is caught up with after a few seconds, while one mad price is not taken. Without a fresh quote it counts
from the last one known, else from the last bar's close, and is doubled once more. Where no price at all is
known (a position found at the very first start, before the first price) there is no bound: being flat
matters more than the price.
"""

from __future__ import annotations

from swt_core.instruments import Instrument

_MOST_DOUBLINGS = 10
Quote = tuple[int, int]


def entry_prices(
    units: int, fresh: Quote | None, distance_pips: float, instrument: Instrument
) -> tuple[int, int | None]:
    """Executable price and worst acceptable one, in points; ``(0, None)`` without a fresh quote."""
    if fresh is None:
        return 0, None
    reference = _executable(units, fresh)
    return reference, _bound(units, reference, distance_pips, instrument)


def closing_prices(
    units: int,
    *,
    fresh: Quote | None,
    last: Quote | None,
    marked_points: int,
    distance_pips: float,
    tries: int,
    instrument: Instrument,
) -> tuple[int, int | None]:
    """As `entry_prices`, for an order that must fill.

    Args:
        fresh, last: the quote now, the last one however old; bid and ask in points.
        marked_points: executable exit price at the last bar, 0 when there is none.
        tries: how often it was tried before.

    Returns: the reference is 0 unless the quote is fresh: slippage against an old price means nothing.
    """
    distance_pips *= 2.0 ** min(tries, _MOST_DOUBLINGS)
    if fresh is not None:
        reference = _executable(units, fresh)
        return reference, _bound(units, reference, distance_pips, instrument)
    known = marked_points if last is None else _executable(units, last)
    return 0, _bound(units, known, 2.0 * distance_pips, instrument) if known else None


def _executable(units: int, quote: Quote) -> int:
    return quote[1] if units > 0 else quote[0]


def _bound(units: int, points: int, distance_pips: float, instrument: Instrument) -> int:
    """The distance farther in the order's direction; a price stays above zero."""
    distance = round(distance_pips * instrument.points_per_pip)
    return points + distance if units > 0 else max(1, points - distance)
