"""The documentation is true of the repository: links, commands, options, keys and targets exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from swt_cli.main import app
from swt_core.config.loading import leaves
from swt_core.config.models import SWTConfig
from swt_core.config.page import configuration_page

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_KEY = re.compile(rf"^(?:--set )?((?:{'|'.join(SWTConfig.model_fields)})\.[a-z_.*0-9]+?)(?:=.*)?$")
_SET = re.compile(rf"--(?:set|option) ((?:{'|'.join(SWTConfig.model_fields)})\.[a-z_.0-9]+)")
_OWN_FILES = (".png", ".h5", ".yaml", ".md", ".py")


def fenced(text: str) -> Iterator[str]:
    """The lines inside fenced or indented code."""
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside or line.startswith("    "):
            yield line.strip()


def snippets(text: str) -> list[str]:
    """Everything set as code, without trailing comments."""
    found = [*_CODE.findall(text), *fenced(text)]
    return [re.sub(r"\s+(#|&&|>)\s.*$", "", snippet).strip() for snippet in found]


def command_lines(text: str) -> list[str]:
    return [snippet for snippet in snippets(text) if re.match(r"swt(\s|$)", snippet)]


@cache
def the_command() -> Any:
    return typer.main.get_command(app)


def check_command(line: str) -> str | None:
    """What is wrong with a command line: an unknown command or option; None when nothing is."""
    words = shlex.split(line.replace("…", "X"))[1:]
    command = the_command()
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    targets = [link.partition("#")[0] for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in targets if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_their_options_exist(name: str) -> None:
    lines = command_lines((ROOT / name).read_text())
    assert {line: wrong for line in lines if (wrong := check_command(line))} == {}


@pytest.mark.parametrize(
    "line", ["swt fly", "swt live jump", "swt train --wings", "swt data check --set=a -x"]
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert check_command(line)


@pytest.mark.parametrize("name", NAMES)
def test_configuration_keys_exist(name: str) -> None:
    known = {".".join(path) for path, _ in leaves(SWTConfig())}
    text = (ROOT / name).read_text()
    named = [match[1] for snippet in snippets(text) if (match := _KEY.match(snippet))]
    named += _SET.findall(text)
    assert [
        key
        for key in named
        if key not in known
        and not key.endswith(_OWN_FILES)
        and not ("*" in key and any(re.fullmatch(key.replace("*", ".+"), other) for other in known))
        and not any(other.startswith(f"{key}.") for other in known)
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    calls = [s.split() for s in snippets((ROOT / name).read_text()) if re.match(r"make\s", s)]
    used = {word for call in calls for word in call[1:] if "=" not in word}
    assert used - targets == set()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_names_a_place_on_one_machine(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users|mnt)/\S*", text) == []


def test_every_page_is_on_the_map() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    linked = {(ROOT / "docs" / link).resolve() for link in _LINK.findall(index) if "://" not in link}
    pages = {page for page in PAGES if page.name != "index.md"}
    assert {str(page.relative_to(ROOT)) for page in pages - linked} == set()


def test_the_configuration_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == configuration_page(), "run: swt config docs > docs/configuration.md"


def test_the_readme_begins_with_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:15])
    assert "make run" in first_screen
    assert "make test" in first_screen
