"""A taken port is a sentence with a remedy."""

from __future__ import annotations

import socket

import pytest

from swt_core.errors import ConfigError
from swt_core.instruments import instrument
from swt_data.synthetic import synthetic_bars
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings


def test_a_taken_port_is_named() -> None:
    bars = synthetic_bars("regimes", 2, 1, instrument("GBP_JPY"))
    server = PracticeServer(bars, PracticeSettings(token="t"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            server.serve("127.0.0.1", port)
