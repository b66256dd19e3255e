"""The web dashboard over its ASGI interface: what it shows, what it refuses, what it survives."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from dashboard_fakes import (
    HOSTILE,
    NOW_S,
    SHA256,
    verdict,
    write_everything,
    write_hostile,
    write_training,
    write_verdict,
)
from starlette.testclient import TestClient

from swt_core.clock import ManualClock
from swt_core.errors import ConfigError, StateError
from swt_core.state import write_json
from swt_core.workspace import Workspace
from swt_ops.dashboard.app import dashboard_app
from swt_ops.dashboard.courses import courses
from swt_ops.dashboard.security import control_token
from swt_ops.dashboard.serve import is_loopback, serve
from swt_ops.dashboard.view import Observer

TOKEN = "correct-horse-battery"
BASE = "http://127.0.0.1:8090"
COMMAND = {"origin": BASE, "content-type": "application/json", "x-swt-token": TOKEN}


def client(workspace: Workspace, token: str | None = None, hosts: tuple[str, ...] = ()) -> TestClient:
    return TestClient(dashboard_app(workspace, ManualClock(NOW_S), token=token, hosts=hosts), base_url=BASE)


def state(workspace: Workspace) -> dict[str, Any]:
    answer = client(workspace).get("/api/state")
    assert answer.status_code == 200
    return dict(answer.json())


# -- what it shows -------------------------------------------------------------------------------


def test_everything_the_state_directories_hold_is_there(tmp_path: Path) -> None:
    found = state(write_everything(tmp_path))
    assert found["problems"] == []
    assert {course["name"] for course in found["courses"]} >= {"Loss/total", "Training/buffer_sessions"}
    assert found["verdicts"][0]["decision"] == "REJECT"
    assert found["verdicts"][0]["in_force"]
    assert found["verdicts"][0]["profit_factor"] == "Infinity"
    trading = found["trading"]
    assert trading["realised"]["y"] == [0.0, 10.0, 5.0, 30.0]
    assert trading["decisions"][0]["visits"] == {"HOLD": 9, "BUY": 3, "SELL": 2, "CLOSE": 1}
    assert [item["action"] for item in trading["acted"]] == ["BUY", "BUY"]
    assert [event["event"] for event in trading["events"]] == ["flags"]
    assert found["status"]["live"]["units"] == -1


def test_the_open_position_counts_until_its_trade_is_closed(tmp_path: Path) -> None:
    marked = state(write_everything(tmp_path))["trading"]["marked"]
    by_time = dict(zip(marked["x"], marked["y"], strict=True))
    closed_s = NOW_S - 60 * 180  # the first trade, +10 pips; the fake position stands at the bar's number
    assert by_time[closed_s] == pytest.approx(19.0)  # decided at that moment: still open, not yet realised
    assert by_time[closed_s + 60] == pytest.approx(20.0 + 10.0)


def test_an_empty_root_is_no_error_and_says_so(tmp_path: Path) -> None:
    found = state(Workspace(tmp_path / "nothing"))
    assert found["problems"] == []
    assert found["status"]["alarms"] == []
    assert found["verdicts"] == []
    assert found["trading"]["decisions"] == []
    assert not (tmp_path / "nothing").exists()


def test_it_writes_nothing(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    browser = client(workspace)
    for path in ("/", "/api/state", "/health", f"/reports/{SHA256}/FULL/report.html"):
        assert browser.get(path).status_code == 200
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if not k.name.startswith("journal.db-")} == before


def test_long_runs_are_thinned_and_keep_their_newest_point() -> None:
    rows = [{"episode": float(number), "Loss/total": float(number)} for number in range(10_001)]
    [course] = courses(rows, points=100)
    assert len(course.x) <= 100
    assert course.x[-1] == 10_000.0


def test_curves_are_read_again_when_the_trainer_has_written(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    clock = ManualClock(NOW_S)
    observer = Observer(workspace, clock)
    before = {course.name: len(course.x) for course in observer.view().courses}
    write_training(workspace, rounds=3)
    clock.advance(5.0)
    after = {course.name: len(course.x) for course in observer.view().courses}
    assert after == {name: count + 3 for name, count in before.items()}


def test_what_is_not_finite_is_left_out_of_a_curve() -> None:
    rows = [{"episode": 1.0, "Loss/total": float("nan")}, {"episode": 2.0, "Loss/total": 3.0}]
    [course] = courses(rows)
    assert course.x == (2.0,)


def test_a_superseded_and_an_expired_verdict_are_called_so(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_verdict(workspace)
    older = verdict(level="STANDARD", created_s=NOW_S - 9e6, expires_s=NOW_S - 1.0)
    write_json(workspace.validation_state / SHA256 / "STANDARD" / "verdict.json", older)
    rows = {row["level"]: row for row in state(workspace)["verdicts"]}
    assert (rows["FULL"]["in_force"], rows["FULL"]["expired"]) == (True, False)
    assert (rows["STANDARD"]["in_force"], rows["STANDARD"]["expired"]) == (False, True)


def test_health_is_about_the_dashboard_and_counts_alarms(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    (workspace.validation_state / "heartbeat.json").write_text("{broken")
    answer = client(workspace).get("/health")
    assert answer.status_code == 200
    assert answer.json()["healthy"] is True
    assert answer.json()["alarms"] == 1


# -- what it survives ----------------------------------------------------------------------------

NONSENSE = (b"{broken", b"\xff\xfe\x00", b"[" * 20_000, b"", b"null", b'{"schema_version": 1e400}')


@pytest.mark.parametrize("content", NONSENSE, ids=range(len(NONSENSE)))
def test_broken_state_files_are_shown_and_the_rest_stays(tmp_path: Path, content: bytes) -> None:
    workspace = write_everything(tmp_path)
    for path in (
        *(workspace.training_state / name for name in ("heartbeat.json", "alarms.json")),
        *(workspace.live_state / name for name in ("status.json", "journal.db", "heartbeat.json")),
        workspace.validation_state / SHA256 / "verdict.json",
        workspace.validation_state / "queue.json",
        workspace.checkpoints / "manifest.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with (workspace.training_state / "metrics.jsonl").open("ab") as file:
        file.write(content + b"\n")
    found = state(workspace)
    told = " ".join(item["text"] for item in (*found["problems"], *found["status"]["alarms"]))
    for name in ("status.json", "verdict.json", "journal"):
        assert name in told, name
    assert [row["level"] for row in found["verdicts"]] == ["FULL"]
    assert found["courses"]
    assert client(workspace).get("/health").status_code == 200


def test_a_directory_in_a_files_place_is_a_problem_and_no_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for path in (workspace.live_state / "journal.db", workspace.training_state / "metrics.jsonl"):
        path.mkdir(parents=True)
    found = state(workspace)
    assert {problem["source"] for problem in found["problems"]} | {
        alarm["source"] for alarm in found["status"]["alarms"]
    } >= {"live", "trainer"}


# -- reports -------------------------------------------------------------------------------------


def test_reports_are_linked_and_served_as_what_they_are(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    browser = client(workspace)
    links = state(workspace)["verdicts"][0]["reports"]
    assert set(links) == {"report.html", "report.pdf", "report.json", "trades.csv"}
    for name, link in links.items():
        answer = browser.get(link)
        assert answer.status_code == 200
        assert name in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    page = browser.get(links["report.html"])
    policy = page.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert browser.get(links["report.pdf"]).headers["content-type"] == "application/pdf"
    assert "attachment" in browser.get(links["trades.csv"]).headers["content-disposition"]


@pytest.mark.parametrize(
    "path",
    [
        f"/reports/{SHA256}/FULL/verdict.json",
        f"/reports/{SHA256}/FULL/../../../secret.txt",
        f"/reports/{SHA256}/..%2f..%2f..%2fsecret/report.html",
        f"/reports/{SHA256}/%2e%2e/%2e%2e/report.html",
        "/reports/../../report.html",
        "/reports//report.html",
        "/reports/%2fetc/report.html",
        f"/reports/{SHA256}/FULL%00/report.html",
        f"/reports/{SHA256}/LINK/report.html",
        f"/reports/{SHA256.upper()}/FULL/report.html",
        f"/reports/{'0' * 64}/FULL/report.html",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/index.html",
    ],
)
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    workspace = write_everything(tmp_path / "state")
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "report.html").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "report.html").write_text("secret")
    (workspace.validation_state / SHA256 / "LINK").symlink_to(outside)
    answer = client(workspace).get(path)
    assert answer.status_code == 404, path
    assert "secret" not in answer.text


# -- the page and its headers --------------------------------------------------------------------


def test_every_answer_carries_a_strict_policy_and_the_page_asks_only_for_its_own(tmp_path: Path) -> None:
    browser = client(write_everything(tmp_path))
    for path in ("/", "/api/state", "/health", "/static/dashboard.js", "/nothing"):
        policy = browser.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    page = browser.get("/").text
    assert "http://" not in page
    assert "https://" not in page
    for name in ("dashboard.css", "dashboard.js", "charts.js", "plotly.min.js", "icon.svg"):
        assert f"/static/{name}" in page
        assert browser.get(f"/static/{name}").status_code == 200
    assert "innerHTML" not in browser.get("/static/dashboard.js").text


def test_assets_are_asked_for_again_only_when_changed(tmp_path: Path) -> None:
    browser = client(Workspace(tmp_path))
    etag = browser.get("/static/plotly.min.js").headers["etag"]
    assert browser.get("/static/plotly.min.js", headers={"if-none-match": etag}).status_code == 304


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8090", "", "[::1", "10.0.0.5:8090"])
def test_another_host_name_is_refused(tmp_path: Path, host: str) -> None:
    answer = client(write_everything(tmp_path)).get("/api/state", headers={"host": host})
    assert answer.status_code == 400
    assert "--allow-host" in answer.text


@pytest.mark.parametrize("host", ["localhost:8090", "127.0.0.1", "[::1]:8090", "trading.lan"])
def test_this_machine_and_allowed_names_are_served(tmp_path: Path, host: str) -> None:
    browser = client(Workspace(tmp_path), hosts=("trading.lan",))
    assert browser.get("/health", headers={"host": host}).status_code == 200


def test_hostile_text_travels_as_data_only(tmp_path: Path) -> None:
    browser = client(write_hostile(tmp_path))
    assert HOSTILE not in browser.get("/").text
    answer = browser.get("/api/state")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["status"]["live"]["halt_reason"] == HOSTILE


# -- control -------------------------------------------------------------------------------------


def test_without_control_there_is_nothing_to_post_to(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    answer = client(workspace).post("/control/start", headers=COMMAND, content="{}")
    assert answer.status_code == 404
    assert not (workspace.live_state / "START_TRADING").exists()
    assert state(workspace)["control"] is False


def test_with_the_token_it_starts_stops_and_halts(tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    browser = client(workspace, TOKEN)
    start, halt = workspace.live_state / "START_TRADING", workspace.live_state / "EMERGENCY_STOP"
    assert browser.post("/control/start", headers=COMMAND, content="{}").json()["done"]
    assert start.exists()
    assert browser.post("/control/stop", headers=COMMAND, content="{}").json()["done"]
    assert not start.exists()
    assert browser.post("/control/emergency", headers=COMMAND, content="{}").json()["done"]
    assert halt.exists()
    assert browser.post("/control/delete", headers=COMMAND, content="{}").status_code == 404
    assert browser.get("/control/start", headers=COMMAND).status_code == 405


@pytest.mark.parametrize(
    "changes",
    [
        {"x-swt-token": "wrong"},
        {"x-swt-token": ""},
        {"x-swt-token": None},
        {"origin": None},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8090"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": None},
    ],
    ids=str,
)
def test_a_command_from_elsewhere_or_without_the_token_is_refused(
    tmp_path: Path, changes: dict[str, str | None]
) -> None:
    workspace = write_everything(tmp_path)
    headers = {name: value for name, value in (COMMAND | changes).items() if value is not None}
    answer = client(workspace, TOKEN).post("/control/start", headers=headers, content="{}")
    assert answer.status_code == 403
    assert not (workspace.live_state / "START_TRADING").exists()


def test_the_token_is_neither_taken_from_the_address_nor_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    workspace = write_everything(tmp_path)
    browser = client(workspace, TOKEN)
    headers = {name: value for name, value in COMMAND.items() if name != "x-swt-token"}
    answer = browser.post(f"/control/start?token={TOKEN}&x-swt-token={TOKEN}", headers=headers, content="{}")
    assert answer.status_code == 403
    wrong = COMMAND | {"x-swt-token": "wrong-but-perhaps-mistyped"}
    browser.post("/control/start", headers=wrong, content="{}")
    browser.post("/control/stop", headers=COMMAND, content="{}")
    said = "".join(capsys.readouterr()) + caplog.text
    assert "command" in said
    assert "wrong-but-perhaps-mistyped" not in said
    assert TOKEN not in "".join(browser.get(path).text for path in ("/", "/api/state", "/health"))


def test_a_command_that_nobody_hears_says_so(tmp_path: Path) -> None:
    answer = client(Workspace(tmp_path), TOKEN).post("/control/emergency", headers=COMMAND, content="{}")
    assert answer.json()["done"]
    assert "swt emergency-close" in answer.json()["text"]


def test_a_flag_that_cannot_be_written_is_told_with_the_way_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.live_state.write_text("a file where the directory should be")
    answer = client(workspace, TOKEN).post("/control/emergency", headers=COMMAND, content="{}")
    assert answer.status_code == 503
    assert not answer.json()["done"]
    assert "swt emergency-close" in answer.json()["text"]


def test_the_token_comes_from_the_environment_or_a_secret_file(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    assert control_token({"SWT_DASHBOARD_TOKEN": TOKEN}) == TOKEN
    assert control_token({"SWT_DASHBOARD_TOKEN_FILE": str(secret)}) == TOKEN
    for environ in (
        {},
        {"SWT_DASHBOARD_TOKEN": "short"},
        {"SWT_DASHBOARD_TOKEN": "not-only-ascii-ä-characters"},
        {"SWT_DASHBOARD_TOKEN_FILE": str(tmp_path / "absent")},
    ):
        with pytest.raises(ConfigError) as caught:
            control_token(environ)
        assert "SWT_DASHBOARD_TOKEN" in str(caught.value)
        assert "remedy" in str(caught.value)


def test_a_taken_port_is_told_with_a_remedy(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StateError, match="--port"):
        serve(dashboard_app(Workspace(tmp_path), ManualClock()), "127.0.0.1", taken.getsockname()[1], print)


def test_only_loopback_is_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "192.168.1.2", "trading.lan")] == [False] * 3


def test_the_snapshot_is_valid_json_for_a_strict_reader(tmp_path: Path) -> None:
    text = client(write_everything(tmp_path)).get("/api/state").text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_journal_on_a_read_only_mount_is_read_after_its_trader_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    workspace = write_everything(tmp_path)
    asked: list[str] = []
    connect = sqlite3.connect

    def noting(database: str, *arguments: Any, **options: Any) -> sqlite3.Connection:
        asked.append(str(database))
        return connect(database, *arguments, **options)

    monkeypatch.setattr("swt_live.journal_file.sqlite3.connect", noting)
    assert state(workspace)["trading"]["decisions"]
    assert "mode=ro" in asked[-1]
    monkeypatch.setattr("swt_live.journal_file.os.access", lambda *_: False)
    assert state(workspace)["trading"]["decisions"]
    assert "immutable=1" in asked[-1]
    (workspace.live_state / "journal.db-wal").write_bytes(b"what a trader has not yet folded in")
    state(workspace)
    assert "mode=ro" in asked[-1]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_the_command_serves_says_where_and_ends_well_when_told_to(tmp_path: Path, number: int) -> None:
    code = "import sys; sys.argv[0] = 'swt'; from swt_cli.main import main; main()"
    arguments = ["dashboard", "--port", "0", "--state-dir", str(write_everything(tmp_path).root)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        url = server.stderr.readline().split()[0]
        assert httpx.get(f"{url}health", timeout=60).json()["healthy"] is True
        server.send_signal(number)
        assert server.wait(timeout=60) == 0
