"""What a validation leaves behind: report, trades, pages and, last of all, the verdict."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from swt_core.errors import StateError
from swt_core.state import read_json, write_bytes, write_json
from swt_core.verdict import VERDICT_FILE, Verdict
from swt_validation.evaluation import TradeColumns
from swt_validation.levels import LEVELS
from swt_validation.page_data import PageData
from swt_validation.press import Press
from swt_validation.report import HTML_FILE, PDF_FILE, REPORT_FILE, TRADES_FILE, Report


def file_report(
    directory: Path, report: Report, trades: TradeColumns, press: Press, data: PageData | None
) -> None:
    """Report, pages and trades first, the verdict last: whoever sees a verdict finds its report.

    Args:
        directory: of the checkpoint and the level.
        report: with the verdict inside.
        trades: for `trades.csv`.
        press: draws the pages.
        data: what pages are drawn from; None: none are.

    Raises:
        StateError: a file cannot be written.
    """
    write_json(directory / REPORT_FILE, report)
    write_bytes(directory / TRADES_FILE, _trades_csv(trades))
    if data is not None:
        press.draw(directory, data)
    write_json(directory / VERDICT_FILE, report.verdict)


def _trades_csv(trades: TradeColumns) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    names = list(trades.__dataclass_fields__)
    writer.writerow(names)
    writer.writerows(zip(*(getattr(trades, name).tolist() for name in names), strict=True))
    return text.getvalue().encode()


def promote(checkpoint_directory: Path, directory: Path, report: Report) -> None:
    """Show this verdict as the checkpoint's own, unless a deeper one that still stands is there."""
    try:
        shown = read_json(checkpoint_directory / VERDICT_FILE, Verdict)
    except StateError:
        shown = None
    if (
        shown is not None
        and LEVELS.index(shown.level) > LEVELS.index(report.level)
        and shown.config_hash == report.verdict.config_hash
        and report.verdict.created_s < shown.expires_s
    ):
        return
    for name in (REPORT_FILE, TRADES_FILE, PDF_FILE, HTML_FILE, VERDICT_FILE):
        if (directory / name).exists():
            write_bytes(checkpoint_directory / name, (directory / name).read_bytes())
