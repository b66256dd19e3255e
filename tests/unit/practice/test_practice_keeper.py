"""A practice account outlives its server."""

from __future__ import annotations

from pathlib import Path

import pytest

from swt_core.clock import ManualClock
from swt_core.config import DataConfig
from swt_core.errors import StateError
from swt_core.state import StateDirectory
from swt_live.practice.opening import Opened, open_practice
from swt_live.practice.settings import PracticeSettings

DATA = DataConfig(market="realistic", market_days=12)
SETTINGS = PracticeSettings("token")


def opened(tmp_path: Path, data: DataConfig = DATA, mode: str = "lockstep", **options: object) -> Opened:
    settings = PracticeSettings("token", mode=mode)  # type: ignore[arg-type]
    clock = options.pop("clock", None) or ManualClock(1_700_000_000.0)
    return open_practice(data, settings, clock, StateDirectory(tmp_path), **options)  # type: ignore[arg-type]


def close(opened: Opened) -> None:
    """The server's process is gone: its file is closed, and nothing was said."""
    assert opened.server.keeper is not None
    opened.server.keeper.close()


def account_of(opened: Opened) -> dict[str, object]:
    """Everything a client can ask for."""
    exchange = opened.server.exchange
    return {
        "time": exchange.now_s,
        "details": exchange.views.details(),
        "log": list(exchange.account.log),
        "next": exchange.next_event_s,
        "price": exchange.current_price(),
    }


def test_a_killed_server_comes_back_as_the_same_account_at_the_same_time(tmp_path: Path) -> None:
    first = opened(tmp_path)
    exchange, keeper = first.server.exchange, first.server.keeper
    assert keeper is not None
    for minutes, units in ((3, 5), (90, -2), (2000, -3), (10, 1)):
        exchange.advance(exchange.now_s + 60 * minutes + 2.5)
        exchange.manual_trade(units)
        keeper.save(exchange)
    exchange.advance(exchange.now_s + 100.0)
    keeper.save(exchange)
    known = account_of(first)
    close(first)

    second = opened(tmp_path)
    assert second.resumed
    assert account_of(second) == known
    # and it goes on alike
    for server in (first.server, second.server):
        server.exchange.advance(server.exchange.now_s + 3600.0)
        server.exchange.manual_trade(-1)
    assert account_of(second) == account_of(first)


def test_what_was_not_answered_never_happened(tmp_path: Path) -> None:
    first = opened(tmp_path)
    known = account_of(first)
    first.server.exchange.manual_trade(7)
    close(first)
    assert account_of(opened(tmp_path)) == known


def test_another_recording_does_not_continue_an_account(tmp_path: Path) -> None:
    close(opened(tmp_path))
    with pytest.raises(StateError, match=r"seed1.*not to.*seed2"):
        opened(tmp_path, DataConfig(market="realistic", market_days=12, market_seed=2))
    assert not opened(
        tmp_path, DataConfig(market="realistic", market_days=12, market_seed=2), fresh=True
    ).resumed


def test_in_real_time_the_market_has_gone_on_meanwhile(tmp_path: Path) -> None:
    first = opened(tmp_path, mode="real_time")
    begun_s, bars = first.server.exchange.now_s, first.server.exchange.market.bars
    assert begun_s == 1_700_000_000.0
    close(first)
    later = opened(tmp_path, mode="real_time", clock=ManualClock(begun_s + 3 * 86_400.0))
    assert later.server.exchange.now_s == begun_s + 3 * 86_400.0
    assert later.server.exchange.market.bars.sha256 == bars.sha256


def test_the_test_range_is_what_no_model_has_seen(tmp_path: Path) -> None:
    from swt_environments.dataset import index_and_split, load_bars

    data = DataConfig(market="realistic", market_days=20, train_share=0.4, validation_share=0.3)
    bars = load_bars(data)[0]
    boundary_s = index_and_split(data, bars)[2].boundaries_s[1]
    server = opened(tmp_path, data, test_range=True).server
    assert 0 <= server.exchange.now_s - boundary_s < 60
    assert server.exchange.market.bars.time_s[-1] == bars.time_s[-1]
