"""`report.pdf`: the pages in the order in which an investor asks."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from swt_core.state import write_bytes
from swt_validation.page_data import PageData
from swt_validation.pages.calendar import calendar_page
from swt_validation.pages.equity import equity_page
from swt_validation.pages.price import price_page
from swt_validation.pages.provenance import provenance_page
from swt_validation.pages.risk import risk_page
from swt_validation.pages.statistics import statistics_page
from swt_validation.pages.style import RC
from swt_validation.pages.summary import verdict_page
from swt_validation.pages.trading import distribution_page, trade_table_page
from swt_validation.pages.walkforward import walk_forward_page


def pages(data: PageData) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each page, drawn one at a time; without trades there is little to draw."""
    yield "verdict", verdict_page(data)
    traded = data.report.trades.trades > 0
    if traded:
        yield "equity", equity_page(data)
        yield "risk", risk_page(data)
    yield "statistics", statistics_page(data)
    if data.report.walk_forward and traded:
        yield "walk-forward", walk_forward_page(data)
    if traded:
        yield "calendar", calendar_page(data)
        yield "distribution", distribution_page(data)
        yield "price", price_page(data)
        yield "trades", trade_table_page(data)
    yield "provenance", provenance_page(data)


def write_pdf(path: Path, data: PageData) -> None:
    """Write the report; the same data gives the same bytes.

    Raises:
        StateError: the file cannot be written.
    """
    buffer = BytesIO()
    metadata = {
        "Title": f"Validation of {data.report.verdict.checkpoint_name}",
        "Creator": "SWT",
        "Producer": None,
        "CreationDate": None,
    }
    with mpl.rc_context(RC), PdfPages(buffer, metadata=metadata) as pdf:
        for _, figure in pages(data):
            pdf.savefig(figure)
    write_bytes(path, buffer.getvalue())


def write_images(directory: Path, data: PageData, dpi: int = 80) -> list[Path]:
    """Each page as a PNG, for looking at it and for the HTML report."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(RC):
        for number, (name, figure) in enumerate(pages(data), 1):
            FigureCanvasAgg(figure)
            path = directory / f"{number:02d}_{name}.png"
            figure.savefig(path, dpi=dpi)
            written.append(path)
    return written
