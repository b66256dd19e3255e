"""When a container is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from swt_core.state import Heartbeat, write_json
from swt_ops import container_health
from swt_ops.container_health import ask, check, confirmed, main

NOW_S = 10_000.0


def beat(root: Path, directory: str, age_s: float, status: str = "running") -> None:
    write_json(
        root / directory / "heartbeat.json",
        Heartbeat(schema_version=1, time_s=NOW_S - age_s, pid=1, status=status),
    )


def well(_url: str) -> tuple[int, str]:
    return 200, "{}"


def nobody(_url: str) -> tuple[int, str]:
    raise ConnectionRefusedError("refused")


@pytest.mark.parametrize(
    ("role", "directory"),
    [("trainer", "training_state"), ("validator", "validation_state"), ("live", "live_state")],
)
def test_a_daemon_is_well_when_it_answers_and_beats(tmp_path: Path, role: str, directory: str) -> None:
    beat(tmp_path, directory, 30.0)
    assert check(role, tmp_path, NOW_S, well).well
    assert not check(role, tmp_path, NOW_S, nobody).well
    assert not check(role, tmp_path, NOW_S, lambda _: (503, "feed stale")).well


def test_a_stale_heartbeat_is_unhealthy_though_health_answers(tmp_path: Path) -> None:
    beat(tmp_path, "training_state", 181.0)
    found = check("trainer", tmp_path, NOW_S, well)
    assert not found.well
    assert found.stale_s == NOW_S - 181.0


def test_a_daemon_that_starts_may_take_longer(tmp_path: Path) -> None:
    beat(tmp_path, "training_state", 600.0, "starting")
    assert check("trainer", tmp_path, NOW_S, well).well
    beat(tmp_path, "training_state", 901.0, "starting")
    assert not check("trainer", tmp_path, NOW_S, well).well


@pytest.mark.parametrize(("status", "confirm_s"), [("training", 240.0), ("starting", 960.0)])
def test_a_heartbeat_of_the_future_is_unhealthy_and_watched_for_as_long_as_one_may_take(
    tmp_path: Path, status: str, confirm_s: float
) -> None:
    beat(tmp_path, "training_state", -60.0, status)
    assert check("trainer", tmp_path, NOW_S, well).well
    beat(tmp_path, "training_state", -3600.0, status)
    found = check("trainer", tmp_path, NOW_S, well)
    assert not found.well
    assert "stamped 3600 s in the future" in found.sentence
    assert (found.stale_s, found.confirm_s) == (NOW_S + 3600.0, confirm_s)
    memory = tmp_path / "stale"
    assert not confirmed(memory, found.stale_s, 100.0, found.confirm_s)
    assert not confirmed(memory, found.stale_s, 99.0 + confirm_s, found.confirm_s)
    assert confirmed(memory, found.stale_s, 100.0 + confirm_s, found.confirm_s)


def test_a_daemon_without_a_heartbeat_is_judged_by_its_answer(tmp_path: Path) -> None:
    assert check("trainer", tmp_path, NOW_S, well).well
    assert not check("trainer", tmp_path, NOW_S, nobody).well


def test_waiting_for_bars_is_well(tmp_path: Path) -> None:
    assert check("trainer", tmp_path, NOW_S, nobody, waits=True).well
    beat(tmp_path, "training_state", 90_000.0, "training")  # of the run before
    assert check("trainer", tmp_path, NOW_S, nobody, waits=True).well


def test_an_idle_container_is_well_while_it_beats(tmp_path: Path) -> None:
    beat(tmp_path, "practice_state", 20.0, "off: an account at OANDA is configured")
    beat(tmp_path, "data", 20.0, "idle: a recording")
    assert check("practice", tmp_path, NOW_S, nobody).well
    assert check("data", tmp_path, NOW_S, nobody).well
    beat(tmp_path, "data", 200.0, "idle: a recording")
    assert not check("data", tmp_path, NOW_S, nobody).well
    assert not check("data", tmp_path / "empty", NOW_S, nobody).well


def test_the_practice_server_is_well_when_it_refuses_strangers(tmp_path: Path) -> None:
    beat(tmp_path, "practice_state", 4.0, "serving: market time 2016-12-19")
    assert check("practice", tmp_path, NOW_S, lambda _: (401, "")).well
    assert not check("practice", tmp_path, NOW_S, lambda _: (500, "")).well
    assert not check("practice", tmp_path, NOW_S, nobody).well


@pytest.mark.parametrize(("role", "directory"), [("practice", "practice_state"), ("data", "data")])
def test_a_practice_server_or_data_service_that_hangs_is_noticed(
    tmp_path: Path, role: str, directory: str
) -> None:
    beat(tmp_path, directory, 181.0, "serving: market time 2016-12-19")
    found = check(role, tmp_path, NOW_S, well)
    assert (found.well, found.stale_s) == (False, NOW_S - 181.0)


def test_the_dashboard_is_asked_and_writes_no_heartbeat(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(url: str) -> tuple[int, str]:
        asked.append(url)
        return 503, "the state directories cannot be read"

    assert not check("dashboard", tmp_path, NOW_S, answer).well
    assert asked == ["http://127.0.0.1:8090/health"]
    assert check("dashboard", tmp_path, NOW_S, well).well
    assert not check("dashboard", tmp_path, NOW_S, nobody).well


def test_a_memory_that_cannot_be_written_ends_nobody(tmp_path: Path) -> None:
    memory = tmp_path / "no directory" / "stale"
    assert not confirmed(memory, 5.0, 100.0)
    assert not confirmed(memory, 5.0, 900.0)


def test_a_broken_heartbeat_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "heartbeat.json").write_text('{"time_s": "soon"}')
    assert not check("data", tmp_path, NOW_S, nobody).well


def test_what_is_no_daemon_is_well(tmp_path: Path) -> None:
    assert check("shell", tmp_path, NOW_S, nobody).well


def test_a_hang_must_be_seen_for_a_minute_before_it_is_ended(tmp_path: Path) -> None:
    memory = tmp_path / "stale"
    assert not confirmed(memory, 5.0, 100.0)
    assert not confirmed(memory, 5.0, 159.0)
    assert confirmed(memory, 5.0, 160.0)
    assert not confirmed(memory, 6.0, 400.0)
    memory.write_text("torn")
    assert not confirmed(memory, 6.0, 800.0)


def test_the_check_is_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_health, "_STALE_MARKER", tmp_path / "stale")
    ended: list[str] = []
    monkeypatch.setattr(container_health, "_end", lambda role, root, clock: ended.append(role) or "ended")
    environ = {"SWT_CONTAINER": "trainer", "SWT_STATE_DIR": str(tmp_path)}
    beat(tmp_path, "training_state", 0.0)
    assert main(environ) == 1
    assert "no heartbeat for" in capsys.readouterr().out
    assert not ended
    stale_s, since_s = json.loads((tmp_path / "stale").read_text())
    (tmp_path / "stale").write_text(json.dumps([stale_s, since_s - 61.0]))
    assert main(environ) == 1
    assert ended == ["trainer"]
    beat(tmp_path, "training_state", NOW_S - 1e11)
    (tmp_path / "stale").write_text(json.dumps([1e11, since_s - 61.0]))
    assert main(environ) == 1
    assert "in the future" in capsys.readouterr().out
    assert ended == ["trainer"]  # a minute is enough for one that is old, not for one of the future
    assert main({}) == 0


def test_ending_a_daemon_sees_to_the_place_of_compiled_kernels_itself(tmp_path: Path) -> None:
    """In a container nothing beside the sources can be written: there numba would refuse to be imported."""
    write_json(
        tmp_path / "training_state" / "heartbeat.json",
        Heartbeat(schema_version=1, time_s=1.0, pid=2**22 - 1, status="training"),
    )
    code = (
        "import os; from pathlib import Path; from swt_ops.container_health import _end, SystemClock; "
        f"print(_end('trainer', Path({str(tmp_path)!r}), SystemClock())); "
        "print(os.environ['NUMBA_CACHE_LOCATOR_CLASSES'])"
    )
    environ = {name: value for name, value in os.environ.items() if "LOCATOR" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=120
    )
    assert "no such process runs" in done.stdout
    assert "swt_core" in done.stdout


def test_asking_tells_code_and_text_of_refusals_too() -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 503)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert ask(f"{url}/health") == (200, "/health")
        assert ask(f"{url}/ill") == (503, "/ill")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with pytest.raises(OSError):
        ask(url)
