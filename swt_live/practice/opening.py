"""From configuration to a practice server: which bars, from when on, and whose account."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swt_core.clock import Clock, iso_utc
from swt_core.config import DataConfig
from swt_core.errors import StateError
from swt_core.state import StateDirectory
from swt_data.bars import Bars
from swt_environments.dataset import index_and_split, load_bars
from swt_live.practice.keeper import AccountKeeper, Recording
from swt_live.practice.recording import HISTORY_BARS, moved_to
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings


@dataclass(frozen=True)
class Opened:
    """A server ready to serve, and what it replays."""

    server: PracticeServer
    source: str
    bars: int
    resumed: bool


def open_practice(
    data: DataConfig,
    settings: PracticeSettings,
    clock: Clock,
    directory: StateDirectory,
    *,
    start_s: float | None = None,
    test_range: bool = False,
    fresh: bool = False,
) -> Opened:
    """The account kept in ``directory`` at its market time; without one, a new account.

    Args:
        start_s: market time at which a new account's replay begins.
        test_range: a new account's replay begins where the test range does: no model was trained or
            chosen on what follows.
        fresh: forget the kept account.

    Raises:
        DataError: the bars cannot be read, or are too few.
        StateError: the kept account belongs to other bars or another account.
    """
    keeper = AccountKeeper(directory.path, fresh=fresh)
    bars, source, _ = load_bars(data)
    kept = keeper.recording
    if kept is None:
        if test_range:
            bars = _test_range(data, bars)
        moved_s = clock.time_s() if settings.mode == "real_time" and start_s is None else None
        first_s = int(bars.time_s[0])
        kept = Recording(
            source=source,
            instrument=bars.instrument.name,
            account_id=settings.account_id,
            first_s=first_s,
            moved_to_s=moved_s,
        )
    else:
        _require_same(kept, source, bars, settings, directory)
        if start_s is not None:
            raise StateError(
                f"{directory.path} keeps an account that has begun already",
                remedy="leave --start away to go on, or begin a new account with --fresh",
            )
        bars = bars.rows(slice(int(np.searchsorted(bars.time_s, kept.first_s)), None))
    if kept.moved_to_s is not None:
        bars = moved_to(bars, kept.moved_to_s)
    resumed = keeper.recording is not None and keeper.time_s is not None
    if resumed:
        start_s = keeper.minute_s
    elif start_s is None:
        start_s = kept.moved_to_s
    server = PracticeServer(bars, settings, start_s=start_s, keeper=keeper, recording=kept)
    if settings.mode == "real_time" and kept.moved_to_s is not None:
        # What happened while nobody served: prices, financing, closeouts.
        server.exchange.advance(clock.time_s())
        keeper.save(server.exchange)
    server.beat = lambda status: _beat(status, server, directory, clock)
    return Opened(server, source, len(bars), resumed)


def _beat(status: str, server: PracticeServer, directory: StateDirectory, clock: Clock) -> None:
    exchange = server.exchange
    ended = ", the recording has ended" if exchange.market.ended else ""
    directory.beat(
        clock,
        f"{status}: market time {iso_utc(exchange.now_s)}{ended}",
        {
            "market_time_s": exchange.now_s,
            "transactions": float(exchange.account.log.last_id),
            "units": float(exchange.account.units),
        },
    )


def _test_range(data: DataConfig, bars: Bars) -> Bars:
    """The bars of the test range, with the history that candles and the first window need."""
    _, _, splits = index_and_split(data, bars)
    first = int(np.searchsorted(bars.time_s, splits.boundaries_s[1]))
    return bars.rows(slice(max(0, first - HISTORY_BARS), None))


def _require_same(
    kept: Recording, source: str, bars: Bars, settings: PracticeSettings, directory: StateDirectory
) -> None:
    here = kept.model_copy(
        update={"source": source, "instrument": bars.instrument.name, "account_id": settings.account_id}
    )
    if here != kept:
        raise StateError(
            f"the practice account in {directory.path} belongs to {kept.source} ({kept.instrument}, account "
            f"{kept.account_id}), not to {source} ({here.instrument}, account {here.account_id})",
            remedy="use another --state-dir, or begin a new account with --fresh",
        )
