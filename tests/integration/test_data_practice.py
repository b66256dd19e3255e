"""Downloads from the practice server, over HTTP and in process: the recording comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from swt_broker.asgi import StreamingASGITransport
from swt_broker.client import OandaClient
from swt_broker.records import BrokerSettings
from swt_cli.data import app
from swt_core.clock import ManualClock
from swt_core.errors import StateError
from swt_core.instruments import instrument
from swt_core.state import StateDirectory
from swt_data.bars import Bars
from swt_data.download import Downloader
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars
from swt_features.master import open_master
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings

GBP_JPY = instrument("GBP_JPY")
TOKEN = "test-token"


@pytest.fixture(scope="module")
def bars() -> Bars:
    return synthetic_bars("realistic", 45, 3, GBP_JPY)


def assert_recorded(stored: Bars, bars: Bars) -> None:
    """Everything that trading sees is exact; a published mid is rounded to whole points."""
    for name in ("time_s", "open_hp", "close_hp", "spread_open", "spread_close", "volume"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(bars, name))
    assert np.abs(stored.high_hp - bars.high_hp).max() <= 1
    assert np.abs(stored.low_hp - bars.low_hp).max() <= 1


async def test_a_download_and_its_top_up_repeat_the_recording(tmp_path: Path, bars: Bars) -> None:
    now_s = float(bars.time_s[30_000]) + 30.0
    server = PracticeServer(bars, PracticeSettings(TOKEN), start_s=now_s)
    transport = StreamingASGITransport(server.app)
    settings = BrokerSettings("http://practice", "http://practice", TOKEN, server.settings.account_id)
    store = BarStore(tmp_path, GBP_JPY)
    async with OandaClient(settings, transport) as client, httpx.AsyncClient(transport=transport) as http:
        downloader = Downloader(client, store, ManualClock(1.0), "practice")
        result = await downloader.fetch(int(bars.time_s[0]) - 86_400)
        # The newest minute is still growing, and so is the one that no later tick has closed yet.
        assert result.new in (29_999, 30_000)
        assert_recorded(store.read(0.0), bars.rows(slice(0, result.new)))
        await http.post(
            "http://practice/control/clock/advance",
            json={"until_s": now_s + 40_000.0, "participant": "test"},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        topped = await downloader.top_up()
    stored = store.read(0.0)
    assert topped.new > 100
    assert_recorded(stored, bars.rows(slice(0, result.new + topped.new)))
    assert now_s + 40_000.0 - int(stored.time_s[-1]) < 300


def command(*arguments: str, url: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "SWT_BROKER_TOKEN": TOKEN, "SWT_LIVE__BROKER_URL": url}
    return [sys.executable, "-m", "swt_cli.main", "data", *arguments], environment


def test_commands_download_update_and_build_over_http(tmp_path: Path, bars: Bars) -> None:
    week = bars.rows(slice(0, 7000))
    server = PracticeServer(week, PracticeSettings(TOKEN), start_s=float(week.time_s[-1]) + 3600.0)
    runner = CliRunner()

    def run(*arguments: str) -> dict[str, object]:
        environment = {"SWT_BROKER_TOKEN": TOKEN, "SWT_LIVE__BROKER_URL": url}
        result = runner.invoke(app, [*arguments, "--data-dir", str(tmp_path), "--json"], env=environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    with server.serving() as url:
        first = run("download", "--from", "2015-01-01", "--to", "2015-01-07T12:00:00")
        assert first["complete_until"] == "2015-01-07T12:00:00Z"
        rest = run("update")
    stored = BarStore(tmp_path, GBP_JPY).read(0.0)
    assert_recorded(stored, week.rows(slice(0, len(stored))))
    assert first["new"] + rest["new"] == len(stored) >= len(week) - 1  # type: ignore[operator]
    assert run("build")["bars"] == len(stored)
    assert run("build")["days_written"] == 0
    assert run("build", "--set", "features.scaling=window_std")["days_written"] == 5
    # One writer of the whole directory: who comes second is told so.
    with StateDirectory(tmp_path).writer():
        refused = runner.invoke(app, ["build", "--data-dir", str(tmp_path)])
    assert isinstance(refused.exception, StateError)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_the_master_follows(tmp_path: Path, bars: Bars) -> None:
    server = PracticeServer(bars, PracticeSettings(TOKEN), start_s=float(bars.time_s[-1]) + 3600.0)
    data = tmp_path / "data"
    manifest = data / "GBP_JPY" / "current.json"
    with server.serving() as url:
        asked = ("download", "--from", "2015-01-01", "--data-dir", str(data))
        arguments, environment = command(*asked, url=url)
        with subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL) as process:
            while not manifest.exists() and process.poll() is None:
                threading.Event().wait(0.005)
            process.send_signal(signal.SIGKILL)
        for more in (asked, ("update", "--build", "--data-dir", str(data))):
            arguments, environment = command(*more, url=url)
            subprocess.run(arguments, env=environment, check=True, capture_output=True)
    stored = BarStore(data, GBP_JPY).read(0.0)
    assert len(stored) >= len(bars) - 1
    assert_recorded(stored, bars.rows(slice(0, len(stored))))
    with open_master(data / "GBP_JPY" / "master") as master:
        assert master.execute("SELECT count(*) FROM bars").fetchone() == (len(stored),)
