"""The report on paper, on screen and as JSON: complete, plain, and fit to be handed around."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from report_fakes import SECRET_PLACE, never, often, page_data, thrice

from swt_core.json_text import to_json
from swt_core.state import write_json
from swt_validation.html_report import html_report
from swt_validation.page_data import PageData
from swt_validation.pages.style import RC
from swt_validation.pdf import pages
from swt_validation.schemas import SCHEMAS, json_schema, schema_text
from swt_validation.wording import share

CASES = {"often": often, "thrice": thrice, "never": never}
SECTIONS = ("verdict", "equity", "risk", "statistics", "walk-forward", "calendar", "trades", "assumptions")
SCHEMA_FILES = Path(__file__).parents[3] / "docs" / "schemas"


@pytest.fixture(scope="module")
def cases() -> dict[str, PageData]:
    return {name: page_data(policy) for name, policy in CASES.items()}


@dataclass(frozen=True)
class Page:
    """What stands on a page, and what does not fit on it."""

    text: str
    outside: list[str]


def drawn(figure: Figure) -> Page:
    figure.set_dpi(40)
    FigureCanvasAgg(figure).draw()
    width, height = figure.bbox.width, figure.bbox.height
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    undrawn = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    outside = []
    for text in texts:
        if id(text) in undrawn:
            continue
        box = text.get_window_extent()
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            outside.append(text.get_text())
    return Page(" ".join(text.get_text() for text in texts), outside)


@pytest.fixture(scope="module")
def papers(cases: dict[str, PageData]) -> dict[str, dict[str, Page]]:
    """Every page of each case, drawn."""
    with mpl.rc_context(RC):
        return {case: {name: drawn(figure) for name, figure in pages(data)} for case, data in cases.items()}


def whole(paper: dict[str, Page]) -> str:
    return " ".join(page.text for page in paper.values())


@pytest.fixture(scope="module")
def html(cases: dict[str, PageData]) -> dict[str, str]:
    return {name: html_report(data) for name, data in cases.items()}


def test_the_cases_are_what_they_say(cases: dict[str, PageData]) -> None:
    assert cases["often"].report.trades.trades > 100
    assert cases["thrice"].report.trades.trades == 3
    assert cases["never"].report.trades.trades == 0


def test_every_subject_has_its_page(papers: dict[str, dict[str, Page]]) -> None:
    expected = ["verdict", "equity", "risk", "statistics", "walk-forward", "calendar"]
    expected += ["distribution", "price", "trades", "provenance"]
    assert list(papers["often"]) == list(papers["thrice"]) == expected
    assert list(papers["never"]) == ["verdict", "statistics", "provenance"]


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_and_its_reasons_come_first(
    case: str, cases: dict[str, PageData], papers: dict[str, dict[str, Page]], html: dict[str, str]
) -> None:
    report = cases[case].report
    paper = papers[case]["verdict"].text
    assert report.verdict.decision.value in paper
    page = visible(html[case])
    for reason in report.verdict.reasons:
        assert " ".join(reason.split()) in " ".join(paper.split()) or reason[:40] in paper
        assert page.index(report.verdict.decision.value) < page.index(reason) < page.index("Equity")


class Words(HTMLParser):
    """What a reader of the page reads, drawings included."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden = tag == "style"
        given = dict(attrs)
        self.tags.append((tag, given))
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if given.get("aria-label"):
            self.words.append(str(given["aria-label"]))

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


def parsed(page: str) -> Words:
    words = Words()
    words.feed(page)
    return words


def visible(page: str) -> str:
    return " ".join(parsed(page).words)


@pytest.mark.parametrize("case", CASES)
def test_a_report_can_be_handed_around(
    case: str, papers: dict[str, dict[str, Page]], html: dict[str, str], cases: dict[str, PageData]
) -> None:
    paper = whole(papers[case])
    for shown in (paper, visible(html[case]), to_json(cases[case].report)):
        assert str(SECRET_PLACE) not in shown
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|usr|var|Users)/", shown)
        assert not re.search(r"[A-Z]:\\", shown)
        assert not re.search(r"(?i)token|password|bearer|account id", shown)


@pytest.mark.parametrize("case", CASES)
def test_nothing_reads_like_a_program(
    case: str, papers: dict[str, dict[str, Page]], html: dict[str, str]
) -> None:
    # "None worth naming." is English; hashes may hold an "e" between digits.
    odd = re.compile(
        r".{0,30}(?:\bNone\b(?! worth)|\bnan\b|\binf\b|\d\.\d+e|\de\+\d|\bTrue\b|– pips|\{|_pct)"
    )
    for shown in (whole(papers[case]), visible(html[case])):
        assert odd.findall(shown) == []


@pytest.mark.parametrize("case", CASES)
def test_no_text_leaves_its_page(case: str, papers: dict[str, dict[str, Page]]) -> None:
    assert {name: page.outside for name, page in papers[case].items() if page.outside} == {}


@pytest.mark.parametrize("case", CASES)
def test_the_page_stands_alone_and_is_sound_html(case: str, html: dict[str, str]) -> None:
    page = html[case]
    found = parsed(page)
    assert len(set(found.ids)) == len(found.ids)
    assert [name for name in SECTIONS if name not in found.ids] == []
    for tag, given in found.tags:
        assert tag not in ("script", "iframe", "object", "img") or str(given.get("src", "")).startswith(
            "data:"
        )
        for name in ("src", "href", "xlink:href"):
            target = given.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
        if tag == "svg":
            assert given["role"] == "img"
            assert len(str(given["aria-label"])) > 20
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert used <= set(found.ids)
    assert "@import" not in page


def test_tables_carry_intervals_and_headers(html: dict[str, str]) -> None:
    page = html["often"]
    assert page.count("<thead>") >= 10
    assert page.count('<th scope="row">') > 60
    assert re.search(r"Sharpe, daily NAV</th><td>[\d.]+</td><td>[\d.]+ … [\d.]+</td>", page)


def test_the_same_data_gives_the_same_page(cases: dict[str, PageData], html: dict[str, str]) -> None:
    assert html_report(cases["thrice"]) == html["thrice"]


@pytest.mark.parametrize("case", CASES)
def test_a_real_report_obeys_the_schema(case: str, cases: dict[str, PageData], tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", cases[case].report)
    document: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    jsonschema.Draft202012Validator.check_schema(json_schema("report"))
    jsonschema.validate(document, json_schema("report"))
    document["daily"]["max_drawdown"] = "a lot"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema("report"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_the_models_own(name: str) -> None:
    published = (SCHEMA_FILES / f"{name}.schema.json").read_text()
    assert json.loads(published) == json.loads(schema_text(name)), (
        f"swt {'validate' if name == 'report' else 'compare'} --schema > docs/schemas/{name}.schema.json"
    )


def test_growth_beyond_reason_reads_as_a_multiple() -> None:
    assert [share(x) for x in (0.123, 15.0, 4.2e7, 3e9, 1e50)] == [
        "12.3%",
        "×16",
        "×42 million",
        "×3 billion",
        "×10⁵⁰",
    ]


def test_judging_without_pages_never_loads_a_drawing_library() -> None:
    program = (
        "import sys, swt_validation.checkpoint_validation, swt_validation.comparison, swt_validation.service;"
        "sys.exit(any(name.startswith('matplotlib') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
