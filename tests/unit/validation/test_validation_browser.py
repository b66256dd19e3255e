"""`report.html` in a real browser: nothing asked of the network, nothing amiss, readable on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_fakes import never, often, page_data

from swt_validation.html_report import write_html

pytestmark = pytest.mark.browser
SECTIONS = ("verdict", "equity", "risk", "statistics", "walk-forward", "calendar", "trades", "assumptions")


@pytest.fixture(scope="module", params=[often, never], ids=["often", "never"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "report.html"
    write_html(path, page_data(request.param))
    return path


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1200, "light"), (1200, "dark")])
def test_it_opens_without_a_word_of_complaint(chromium: Any, report: Path, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    for name in SECTIONS:
        section = page.locator(f"section#{name}")
        assert section.is_visible(), name
        assert section.bounding_box()["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawings = page.locator("figure svg")
    for number in range(drawings.count()):
        box = drawings.nth(number).bounding_box()
        assert box["width"] > 250
        assert box["height"] > 100
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (ink < paper) == (scheme == "light")
    context.close()
