"""Pages drawn beside this process are those drawn in it, whatever happens to the other one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from report_fakes import never, page_data, thrice

from swt_core.errors import StateError
from swt_core.pool import WorkerError
from swt_validation import press as module
from swt_validation.html_report import html_report
from swt_validation.page_data import PageData
from swt_validation.pdf import write_pdf
from swt_validation.press import Press
from swt_validation.report import HTML_FILE, PDF_FILE


def drawn(data: PageData, directory: Path) -> bytes:
    """The PDF as this process draws it."""
    write_pdf(directory / PDF_FILE, data)
    return (directory / PDF_FILE).read_bytes()


@pytest.fixture(scope="module")
def short() -> PageData:
    """An agent that never traded: few pages."""
    return page_data(never)


@pytest.fixture(scope="module")
def paper(short: PageData, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return drawn(short, tmp_path_factory.mktemp("alone"))


def read(directory: Path) -> tuple[bytes, str]:
    return (directory / PDF_FILE).read_bytes(), (directory / HTML_FILE).read_text()


def test_two_processes_draw_what_one_draws(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = page_data(thrice)
    with closing(Press(2)) as press:
        press.warm()
        press.draw(tmp_path, data)
    assert read(tmp_path) == (drawn(data, tmp_path_factory.mktemp("alone")), html_report(data))


class NoPool:
    """Must not be asked for."""

    def __init__(self, *_: object, **__: object) -> None:
        raise AssertionError("one core needs no second process")


def test_one_core_draws_everything_in_this_process(
    short: PageData, paper: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LocalPool", NoPool)
    with closing(Press(1)) as press:
        press.warm()
        press.draw(tmp_path, short)
    assert read(tmp_path)[0] == paper


def test_nothing_is_started_while_every_core_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LocalPool", NoPool)
    with closing(Press(2)) as press:
        press.warm(busy=2)
        with pytest.raises(AssertionError, match="second process"):
            press.warm(busy=1)


class DeadPool:
    """Its worker dies at work."""

    def __init__(self, *_: object, **__: object) -> None:
        self.closed = False

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        raise WorkerError("task 0 was given up after 1 workers: the last one died")

    def close(self) -> None:
        self.closed = True


def test_pages_are_drawn_here_when_the_other_process_died(
    short: PageData, paper: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LocalPool", DeadPool)
    with closing(Press(2)) as press:
        press.draw(tmp_path, short)
    assert read(tmp_path)[0] == paper


def test_what_cannot_be_written_is_said_as_it_is(
    short: PageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LocalPool", DeadPool)
    (tmp_path / PDF_FILE).mkdir()  # a directory stands where the file belongs
    with closing(Press(2)) as press, pytest.raises(StateError, match=PDF_FILE):
        press.draw(tmp_path, short)


def test_whoever_validates_without_pages_loads_no_drawing_library() -> None:
    script = (
        "import sys, swt_validation.checkpoint_validation, swt_validation.daemon\n"
        "print([name for name in ('matplotlib', 'scipy.stats') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
