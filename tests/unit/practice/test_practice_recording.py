from __future__ import annotations

import socket

import numpy as np
import pytest

from swt_broker.credentials import EMBEDDED_TOKEN
from swt_core.calendar import new_york_seconds, week_position
from swt_core.errors import ConfigError, DataError
from swt_data.bars import Bars
from swt_live.practice.recording import HISTORY_BARS, moved_to
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings


@pytest.mark.parametrize("now_s", [1_750_000_000.0, 1_762_000_000.0])
def test_a_moved_recording_keeps_its_hours_of_the_week(bars: Bars, now_s: float) -> None:
    moved = moved_to(bars, now_s)
    assert np.array_equal(new_york_seconds(moved.time_s) % 604_800, new_york_seconds(bars.time_s) % 604_800)
    assert np.array_equal(week_position(moved.time_s), week_position(bars.time_s))
    assert moved.time_s[HISTORY_BARS] <= now_s < moved.time_s[HISTORY_BARS] + 8 * 86_400
    assert np.all(np.diff(moved.time_s) > 0)


def test_a_recording_without_history_is_refused(bars: Bars) -> None:
    with pytest.raises(DataError):
        moved_to(bars.rows(slice(0, 100)), 1_750_000_000.0)


def test_with_the_token_that_everybody_knows_the_server_listens_on_loopback_only(bars: Bars) -> None:
    server = PracticeServer(bars, PracticeSettings(EMBEDDED_TOKEN))
    with pytest.raises(ConfigError, match="loopback"):
        server.serve("0.0.0.0", 0)


def test_with_a_token_of_its_own_it_may_listen_elsewhere(bars: Bars) -> None:
    server = PracticeServer(bars, PracticeSettings("t"))
    with (
        socket.create_server(("0.0.0.0", 0)) as taken,
        pytest.raises(ConfigError, match="cannot listen on 0"),
    ):
        server.serve("0.0.0.0", taken.getsockname()[1])
