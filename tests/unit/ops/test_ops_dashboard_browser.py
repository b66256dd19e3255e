"""The dashboard in a real browser: nothing asked of the network, nothing amiss, fits a phone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from dashboard_fakes import NOW_S, live_status, write_everything, write_hostile

from swt_core.clock import ManualClock
from swt_core.state import write_json
from swt_core.workspace import Workspace
from swt_ops.dashboard.app import dashboard_app

pytestmark = pytest.mark.browser
TOKEN = "correct-horse-battery"


@contextmanager
def served(workspace: Workspace, token: str | None = None, clock: ManualClock | None = None) -> Iterator[str]:
    """The page over HTTP, as `swt dashboard` serves it."""
    app = dashboard_app(workspace, clock or ManualClock(NOW_S), token=token)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
        server.should_exit = True
        thread.join(timeout=10)


@contextmanager
def opened(
    chromium: Any, url: str, width: int = 390, scheme: str = "light"
) -> Iterator[tuple[Any, list[str]]]:
    """A loaded page, and everything that went wrong on it."""
    context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type != "verbose" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:")) else complaints.append(request.url),
    )
    page.goto(url)
    # By selectors: the page's policy lets nobody evaluate text, not even a test that waits.
    page.locator("#fresh", has_text="read ").wait_for()
    page.locator("#verdicts table, #verdicts .empty").wait_for()
    yield page, complaints
    context.close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
)
def test_it_opens_without_a_word_of_complaint(chromium: Any, tmp_path: Path, width: int, scheme: str) -> None:
    with (
        served(write_everything(tmp_path), TOKEN) as url,
        opened(chromium, url, width, scheme) as (page, complaints),
    ):
        page.locator(".js-plotly-plot .main-svg").nth(15).wait_for(state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        charts = page.locator(".js-plotly-plot")
        for number in range(charts.count()):
            box = charts.nth(number).bounding_box()
            assert 250 < box["width"] <= width
            assert box["height"] > 150
        assert page.locator("#decisions tbody tr").count() == 10
        assert page.locator("#decisions svg rect.BUY").count() == 10
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert (ink < paper) == (scheme == "light")
        assert complaints == []


def test_an_empty_root_tells_what_to_do(chromium: Any, tmp_path: Path) -> None:
    with served(Workspace(tmp_path)) as url, opened(chromium, url) as (page, complaints):
        text = page.locator("body").inner_text()
        for command in ("swt up", "swt demo", "swt live start", "swt train", "swt validate best"):
            assert command in text
        assert page.locator("#training-charts").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []


def test_without_control_there_are_no_buttons(chromium: Any, tmp_path: Path) -> None:
    with served(write_everything(tmp_path)) as url, opened(chromium, url) as (page, _):
        assert page.locator("button:visible, input:visible").count() == 0


def test_hostile_text_stays_text(chromium: Any, tmp_path: Path) -> None:
    with served(write_hostile(tmp_path)) as url, opened(chromium, url) as (page, complaints):
        assert "owned" not in page.title()
        assert page.locator("main img, main script").count() == 0
        assert "<script>" in page.locator("#alarms").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []


def test_a_broken_file_is_shown_where_a_person_looks(chromium: Any, tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    (workspace.live_state / "journal.db").write_bytes(b"no database")
    with served(workspace) as url, opened(chromium, url) as (page, _):
        assert "journal.db" in page.locator("#alarms").inner_text()
        assert page.locator("#chart-losses .main-svg").count() > 0


def test_the_buttons_need_the_token_and_a_second_word(chromium: Any, tmp_path: Path) -> None:
    workspace = write_everything(tmp_path)
    halt = workspace.live_state / "EMERGENCY_STOP"
    with served(workspace, TOKEN) as url, opened(chromium, url) as (page, _):
        page.click("#emergency")
        assert "token" in page.locator("#answer").inner_text()
        page.fill("#token", "something-else-entirely")
        page.click("#emergency")
        page.click("#confirm-no")
        assert not halt.exists()
        page.click("#emergency")
        page.click("#confirm-yes")
        page.locator("#answer", has_text="not right").wait_for()
        assert not halt.exists()
        page.fill("#token", TOKEN)
        page.click("#emergency")
        page.click("#confirm-yes")
        page.locator("#answer", has_text="EMERGENCY_STOP is set").wait_for()
        assert halt.exists()
        assert TOKEN not in page.url
        assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0


def test_a_foreign_page_cannot_steer(chromium: Any, tmp_path: Path) -> None:
    workspace = write_everything(tmp_path / "ours")
    with (
        served(workspace, TOKEN) as url,
        served(write_everything(tmp_path / "theirs")) as foreign,
        opened(chromium, foreign) as (page, _),
    ):
        outcome = page.evaluate(
            """async ([url, token]) => { try {
            await fetch(url + "control/start", { method: "POST", body: "{}",
            headers: { "content-type": "application/json", "x-swt-token": token } }); return "sent"; }
            catch (error) { return "refused"; } }""",
            [url, TOKEN],
        )
        assert outcome == "refused"
        assert not (workspace.live_state / "START_TRADING").exists()


def test_a_dashboard_that_is_gone_is_noticed(chromium: Any, tmp_path: Path) -> None:
    with served(write_everything(tmp_path)) as url, opened(chromium, url) as (page, _):
        page.route("**/api/state", lambda route: route.abort())
        page.locator("#fresh", has_text="not refreshed").wait_for()


def test_it_refreshes_itself(chromium: Any, tmp_path: Path) -> None:
    workspace, clock = write_everything(tmp_path), ManualClock(NOW_S)
    with served(workspace, clock=clock) as url, opened(chromium, url) as (page, complaints):
        assert "No alarms" in page.locator("#alarms").inner_text()
        write_json(workspace.live_state / "status.json", live_status(halt_reason="drift of 3 units"))
        clock.advance(10.0)
        page.locator("#alarms", has_text="drift of 3 units").wait_for()
        assert page.title().startswith("(1)")
        assert complaints == []
