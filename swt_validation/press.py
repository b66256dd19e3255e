"""Drawing a report: paper in a process of its own, the screen's page beside it in this one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swt_core.cores import available_cores
from swt_core.local_pool import LocalPool
from swt_core.pool import WorkerError
from swt_validation.page_data import PageData
from swt_validation.report import HTML_FILE, PDF_FILE


def load_drawing(_: int = 0) -> None:
    """Load what draws: workers and headless runs never need it."""
    import swt_validation.pdf  # noqa: F401


def draw_pdf(task: tuple[Path, PageData]) -> None:
    """Draw and write the PDF."""
    from swt_validation.pdf import write_pdf

    write_pdf(*task)


class Press:
    """Draws PDF and HTML at once where there are two cores, else one after the other.

    Args:
        cores: by default those that this process may use.
    """

    def __init__(self, cores: int | None = None) -> None:
        self._cores = cores or available_cores()
        self._paper: LocalPool | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="press")

    def warm(self, busy: int = 1) -> None:
        """Start the process that draws, so that it has loaded its library when there is something to draw.

        Args:
            busy: cores that are kept busy meanwhile; where none is left, nothing happens.
        """
        if self._cores > busy and self._paper is None:
            self._paper = LocalPool(1, initializer=load_drawing, attempts=1)

    def draw(self, directory: Path, data: PageData) -> None:
        """Write `report.pdf` and `report.html`.

        Raises:
            StateError: a file cannot be written.
        """
        from swt_validation.html_report import write_html

        self.warm()
        task = (directory / PDF_FILE, data)
        drawn = None if self._paper is None else self._thread.submit(_print, self._paper, task)
        try:
            write_html(directory / HTML_FILE, data)
        finally:
            printed = drawn is not None and drawn.result()
        if not printed:
            draw_pdf(task)

    def close(self) -> None:
        """End the process."""
        if self._paper is not None:
            self._paper.close()
        self._thread.shutdown()


def _print(paper: LocalPool, task: tuple[Path, PageData]) -> bool:
    """Whether the process could; if not, the caller does it and meets the reason itself."""
    try:
        list(paper.map(draw_pdf, [task]))
    except WorkerError:
        return False
    return True
