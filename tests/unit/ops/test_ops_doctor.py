"""The doctor: each line says what is so, and what to do where it is wrong; the token is never shown."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import httpx
import numpy as np
import pytest
from rich.console import Console

from swt_broker.asgi import StreamingASGITransport
from swt_broker.records import BrokerSettings
from swt_core.clock import ManualClock
from swt_core.config import DataConfig, LiveConfig, SWTConfig
from swt_core.instruments import instrument
from swt_core.workspace import Workspace
from swt_data.bars import bars_from_mids
from swt_data.files import write_bars
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_ops.doctor import examination_view, examine
from swt_ops.doctor_broker import Sight, check_account, check_broker, check_clock, look_at_broker
from swt_ops.doctor_installation import check_data, check_state_directories
from swt_ops.doctor_machine import (
    check_cores,
    check_disk,
    check_gpu,
    check_kernels,
    check_libraries,
    check_memory,
    check_python,
)
from swt_ops.findings import Examination, Finding, Level, fail, ok, warn
from swt_ops.kernel_cache import cached_kernels, read_kernel_cache

NOW_S = 1_700_000_000.0
SECRET = "0123456789abcdef-do-not-print"
PAIR = instrument("GBP_JPY")
EMBEDDED = LiveConfig()
PRACTICE = LiveConfig(environment="practice", account_id="101-004-7-001")


class Dated(httpx.AsyncBaseTransport):
    """The practice server with a Date header; each request moves the clock by ``latency_s``."""

    def __init__(self, clock: ManualClock, *, ahead_s: float = 0.0, latency_s: float = 0.02) -> None:
        bars = bars_from_mids(PAIR, 1_704_672_000 + 60 * np.arange(700), np.full((700, 4), 36_000_000), 40)
        settings = PracticeSettings(SECRET, account_id=PRACTICE.account_id)
        server = PracticeServer(bars, settings, start_s=float(bars.time_s[600]))
        self.inner, self.clock = StreamingASGITransport(server.app), clock
        self.ahead_s, self.latency_s = ahead_s, latency_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.clock.advance(self.latency_s / 2)
        response = await self.inner.handle_async_request(request)
        response.headers["Date"] = formatdate(int(self.clock.time_s() + self.ahead_s), usegmt=True)
        self.clock.advance(self.latency_s / 2)
        return response


def look(token: str = SECRET, **options: float) -> Sight:
    clock = ManualClock(NOW_S)
    settings = BrokerSettings("http://practice", "http://practice", token, PRACTICE.account_id)
    return asyncio.run(look_at_broker(settings, clock, Dated(clock, **options)))


def test_a_broker_that_answers_tells_its_round_trip_its_currency_and_our_clocks_offset() -> None:
    sight = look(latency_s=0.3)
    assert sight.error is None
    assert sight.round_trip_ms == pytest.approx(300)
    assert sight.currency
    assert sight.offset_s is not None
    assert abs(sight.offset_s) <= sight.uncertainty_s == pytest.approx(1.15)
    assert check_broker(PRACTICE, sight).level is Level.OK
    assert check_clock(PRACTICE, sight).level is Level.OK


@pytest.mark.parametrize(
    ("ahead_s", "level"), [(0.0, Level.OK), (-6.0, Level.WARN), (5.0, Level.WARN), (-40.0, Level.FAIL)]
)
def test_a_clock_that_differs_from_the_brokers_is_noticed_either_way(ahead_s: float, level: Level) -> None:
    sight = look(ahead_s=ahead_s)
    assert sight.offset_s == pytest.approx(-ahead_s, abs=1.05)
    assert check_clock(PRACTICE, sight).level is level


def test_a_slow_broker_is_worth_a_look() -> None:
    assert check_broker(PRACTICE, look(latency_s=1.5)).level is Level.WARN


def test_a_refused_token_fails_and_still_tells_the_time() -> None:
    sight = look(token="another")
    assert sight.refused
    assert sight.offset_s is not None
    assert check_broker(PRACTICE, sight).level is Level.FAIL


def test_a_broker_that_is_not_there_fails_unless_it_is_the_one_we_start_ourselves() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    settings = BrokerSettings("http://gone", "http://gone", SECRET, "1")
    sight = asyncio.run(look_at_broker(settings, ManualClock(NOW_S), httpx.MockTransport(gone)))
    assert sight.error is not None
    assert not sight.refused
    assert check_broker(PRACTICE, sight).level is Level.FAIL
    embedded = check_broker(EMBEDDED, sight)
    assert embedded.level is Level.WARN
    assert "swt up" in embedded.remedy
    unknown = check_clock(PRACTICE, sight)
    assert unknown.level is Level.WARN
    assert "unknown" in unknown.text


def test_an_answer_without_a_date_leaves_the_offset_unknown() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(503))
    settings = BrokerSettings("http://x", "http://x", SECRET, "1")
    assert asyncio.run(look_at_broker(settings, ManualClock(NOW_S), transport)).offset_s is None


def test_the_account_line_names_the_mode_and_the_tokens_place_but_never_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    file.chmod(0o600)
    live = LiveConfig(environment="live", account_id="001-1", confirm_live_account=True)
    cases = (
        (EMBEDDED, {}, Level.OK, "embedded"),
        (PRACTICE, {"SWT_BROKER_TOKEN": SECRET}, Level.OK, "practice account"),
        (PRACTICE, {"SWT_BROKER_TOKEN_FILE": str(file)}, Level.OK, "from the file token"),
        (live, {"SWT_BROKER_TOKEN": SECRET}, Level.WARN, "REAL MONEY"),
        (PRACTICE, {}, Level.FAIL, "no broker token"),
        (LiveConfig(environment="live"), {"SWT_BROKER_TOKEN": SECRET}, Level.FAIL, "confirm_live_account"),
    )
    for config, environ, level, text in cases:
        finding, settings = check_account(config, environ)
        assert (finding.level, settings is None) == (level, level is Level.FAIL)
        assert text in finding.text
        assert SECRET not in str(finding)
    file.chmod(0o644)
    finding, _ = check_account(PRACTICE, {"SWT_BROKER_TOKEN_FILE": str(file)})
    assert finding.level is Level.WARN
    assert "chmod" in finding.remedy


def test_versions_are_held_against_what_the_distribution_requires() -> None:
    assert check_python().level is Level.OK
    assert check_python("3.9.1").level is Level.FAIL
    assert check_libraries().level is Level.OK
    found = check_libraries(["numpy>=99", "no-such-thing-at-all", 'rich>=99; extra == "x"', "pydantic"])
    assert found.level is Level.FAIL
    assert "numpy" in found.text
    assert "no-such-thing-at-all is missing" in found.text
    assert "rich" not in found.text


def test_little_of_a_machine_is_said_with_its_remedy(tmp_path: Path) -> None:
    assert check_cores(1).level is Level.WARN
    assert check_cores().level in (Level.OK, Level.WARN)
    assert check_memory(4.0, 16.0, 8.0).level is Level.OK
    assert check_memory(4.0, 16.0, 0.5).level is Level.WARN
    assert "maximum_memory_gb" in check_memory(32.0, 16.0, 8.0).remedy
    assert check_memory(1.0).name == "memory"
    levels = [check_disk(tmp_path / "not" / "yet", free_gb).level for free_gb in (50.0, 3.0, 0.2)]
    assert levels == [Level.OK, Level.WARN, Level.FAIL]
    assert str(tmp_path) in check_disk(tmp_path / "not" / "yet").text


@pytest.mark.parametrize("kind", ["cuda", "mps", "none"])
def test_the_gpu_that_torch_can_use_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Properties:
        total_memory = 80e9

    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Great Accelerator")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties())
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
    monkeypatch.setattr(Path, "exists", lambda _: False)
    wanted = {"cuda": "Great Accelerator, 80 GB", "mps": "Apple MPS", "none": "none"}[kind]
    assert wanted in check_gpu().text


def test_a_gpu_that_torch_cannot_use_is_worth_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    assert check_gpu().level is Level.WARN


def test_state_that_cannot_be_written_fails_and_state_that_is_not_there_yet_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "state")
    assert {finding.level for finding in check_state_directories(workspace)} == {Level.OK}
    assert not workspace.root.exists()
    workspace.live_state.mkdir(parents=True)

    def refuse(dir: Path) -> None:
        if dir == workspace.live_state:
            raise PermissionError(13, "Permission denied")
        raise FileNotFoundError if not dir.is_dir() else OSError(30, "Read-only file system")

    monkeypatch.setattr("swt_ops.doctor_installation.tempfile.TemporaryFile", refuse)
    levels = {finding.name: finding for finding in check_state_directories(workspace)}
    assert levels["write live_state"].level is Level.FAIL
    assert "uid" in levels["write live_state"].remedy
    flags = os.statvfs_result((0,) * 8 + (os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: flags)
    assert {finding.level for finding in check_state_directories(workspace)} == {Level.WARN}


def test_data_is_judged_by_the_market_minutes_that_are_missing(tmp_path: Path) -> None:
    assert check_data(DataConfig(), NOW_S).level is Level.OK
    # Friday 2024-01-05 19:00 … 20:59 UTC.
    bars = bars_from_mids(PAIR, 1_704_481_200 + 60 * np.arange(120), np.full((120, 4), 36_000_000), 40)
    path = tmp_path / "bars.parquet"
    write_bars(bars, path)
    data = DataConfig(bars_file=str(path))
    newest_s = float(bars.time_s[-1])
    # A weekend passes without a minute of market.
    assert check_data(data, newest_s + 48 * 3600).level is Level.OK
    assert check_data(data, newest_s + 5 * 86_400).level is Level.WARN
    old = check_data(data, newest_s + 40 * 86_400)
    assert "old" in old.text
    assert "2024-01-05T20:59" in old.text


def test_data_that_is_configured_and_not_there_fails(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing.parquet"):
        finding = check_data(DataConfig(bars_file=str(place)), NOW_S)
        assert finding.level is Level.FAIL
        assert finding.remedy


def test_kernels_are_cold_until_their_compiled_code_of_todays_sources_is_there(tmp_path: Path) -> None:
    sources, cache = tmp_path / "src", tmp_path / "cache"
    package = sources / "swt_toy"
    package.mkdir(parents=True)
    file = package / "kernels.py"
    file.write_text(
        "import numba as nb\n@nb.njit(cache=True)\ndef a_nb(x):\n    return x\n"
        "@nb.njit\ndef b_nb(x):\n    return x\n"
        '@nb.njit(cache=True, inline="always")\ndef c_nb(x):\n    return x\n'
    )
    assert list(cached_kernels(file.read_text())) == ["a_nb"]
    found = read_kernel_cache(cache, sources)
    assert (found.warm, found.cold) == ((), ("swt_toy.kernels.a_nb",))
    assert check_kernels(found).level is Level.WARN
    assert "--warm" in check_kernels(found).remedy

    from swt_core.numba_cache import sources_hash

    place = cache / f"swt_toy.kernels-{sources_hash(file, sources)[:16]}"
    place.mkdir(parents=True)
    (place / "kernels.a_nb-3.py311.nbi").touch()
    assert check_kernels(read_kernel_cache(cache, sources)).level is Level.OK
    file.write_text(file.read_text() + "\n# edited\n")
    assert read_kernel_cache(cache, sources).cold == ("swt_toy.kernels.a_nb",)


def test_the_whole_examination_runs_without_a_broker_and_shows_every_line(tmp_path: Path) -> None:
    clock = ManualClock(NOW_S)
    found = examine(SWTConfig(), Workspace(tmp_path), {}, clock, httpx.MockTransport(_unreachable))
    names = [finding.name for finding in found.findings]
    wanted = "python libraries cores memory disk gpu kernels data account broker clock"
    assert set(wanted.split()) < set(names)
    assert sum(name.startswith("write ") for name in names) == 5
    assert all(finding.remedy for finding in found.findings if finding.level is not Level.OK)
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(examination_view(found))
    text = console.export_text()
    assert all(name in text for name in names)


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(("make", "failed"), [(warn, False), (fail, True)])
def test_only_a_failure_fails_the_whole(make: Callable[[str, str, str], Finding], failed: bool) -> None:
    findings = (ok("a", "fine"), make("b", "odd", "mend it"))
    assert Examination(schema_version=1, findings=findings).failed is failed
