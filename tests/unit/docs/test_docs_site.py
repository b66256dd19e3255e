"""The site: its navigation is the map, its reference has every module, its links lead somewhere on it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Where packages come from is the installer's business, and changes.
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted|download\.pytorch|anaconda\.(?:org|com)|conda-forge|npmjs|unpkg|jsdelivr"
    r"|docker\.io|hub\.docker|ghcr\.io|quay\.io|crates\.io|mirror\.gcr",
    re.IGNORECASE,
)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = script("docs_site")


def test_every_public_module_is_in_the_reference() -> None:
    shown = {
        name
        for package in SITE.packages()
        for name in re.findall(r"^::: (\S+)", SITE.reference_page(package), re.M)
    }
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for top in [*ROOT.glob("swt_*"), ROOT / "benchmarks"]
        for path in top.rglob("*.py")
        if not path.stem.startswith("_")
    }
    assert found - shown == set()
    assert {name.split(".")[0] for name in shown} == {top.name for top in ROOT.glob("swt_*")} | {"benchmarks"}


def test_the_navigation_holds_every_page_once() -> None:
    nav = SITE.navigation((ROOT / "docs" / "index.md").read_text())
    pages = [nav[0]["Documentation"]]
    for section in nav[1:-1]:
        ((_, entries),) = section.items()
        pages += [page for entry in entries for page in entry.values()]
    own = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert len(pages) == len(set(pages))
    assert set(pages) == own | set(SITE.ROOT_PAGES.values())


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("overview.md", "[a](docs/validation.md)", "[a](validation.md)"),
        ("overview.md", "[a](docs/adr/0001-integer-prices.md)", "[a](adr/0001-integer-prices.md)"),
        ("overview.md", "![a](docs/images/data_flow.svg)", "![a](images/data_flow.svg)"),
        ("index.md", "[a](../README.md#status)", "[a](overview.md#status)"),
        ("adr/0002-price-takers-advantage.md", "[a](../data.md)", "[a](../data.md)"),
        ("data.md", "[a](#import)", "[a](#import)"),
        ("data.md", "[a](../Makefile), [b](https://example.invalid/x)", "a, [b](https://example.invalid/x)"),
        ("data.md", "[a](nowhere.md), [b](../nowhere/)", "[a](nowhere.md), [b](../nowhere/)"),
        ("data.md", "```\n[a](../Makefile)\n```", "```\n[a](../Makefile)\n```"),
    ],
)
def test_links_lead_to_the_site_s_pages_or_become_text(page: str, text: str, expected: str) -> None:
    assert SITE.site_markdown(text, page) == expected


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_page_names_a_package_registry(path: Path) -> None:
    assert REGISTRIES.findall(path.read_text()) == []


def test_the_build_counts_warnings() -> None:
    build = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "mkdocs build" in line)
    command = build.partition("#")[0]
    assert "--strict" in command
    assert "--quiet" not in command  # mkdocs counts no warning that it does not show


def test_the_site_fetches_nothing_from_elsewhere() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css"} & settings.keys()


def test_the_picture_of_the_data_flow_is_what_its_script_draws() -> None:
    drawing = script("data_flow_picture")
    assert drawing.PICTURE.read_text() == drawing.picture(), "run: python scripts/data_flow_picture.py"


def test_every_alert_leads_to_a_heading_that_exists() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    slugs = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    rules = "".join(path.read_text() for path in (ROOT / "docker" / "prometheus").rglob("*.yml"))
    anchors = set(re.findall(r"troubleshooting\.md#([\w-]+)", rules))
    assert anchors
    assert anchors - slugs == set()


def test_every_decision_record_has_its_three_parts() -> None:
    for path in sorted((ROOT / "docs" / "adr").glob("*.md")):
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert [part for part in ("Context", "Decision", "Consequences") if f"**{part}.**" not in text] == []
