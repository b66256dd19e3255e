"""Verdicts and their reports: what there is, and which file a request may have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from swt_core.errors import StateError
from swt_core.state import read_json
from swt_core.verdict import VERDICT_FILE, Verdict
from swt_ops.dashboard.records import Problem, VerdictRow

# Files of a validation that a browser may have, and their types.
REPORT_FILES: Final = {
    "report.html": "text/html; charset=utf-8",
    "report.pdf": "application/pdf",
    "report.json": "application/json",
    "trades.csv": "text/csv; charset=utf-8",
}
SHOWN: Final = 50
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LEVEL: Final = re.compile(r"[A-Z]{2,20}(_[0-9a-f]{1,64})?")


def read_verdicts(validation_state: Path, now_s: float) -> tuple[tuple[VerdictRow, ...], tuple[Problem, ...]]:
    """The newest `SHOWN` verdicts, newest first, and the files that are no verdicts."""
    rows: list[VerdictRow] = []
    problems: list[Problem] = []
    in_force: dict[str, float] = {}
    found: list[tuple[str, Verdict]] = []
    for path in sorted(validation_state.glob(f"*/{VERDICT_FILE}")) + sorted(
        validation_state.glob(f"*/*/{VERDICT_FILE}")
    ):
        place = path.parent.relative_to(validation_state).as_posix()
        try:
            verdict = read_json(path, Verdict)
        except StateError as error:
            problems.append(Problem(schema_version=1, source="validator", text=error.message))
            continue
        if verdict is None:
            continue
        if "/" not in place:
            in_force[place] = verdict.created_s
        found.append((place, verdict))
    inner = {place.partition("/")[0] for place, _ in found if "/" in place}
    for place, verdict in found:
        sha256 = place.partition("/")[0]
        # The verdict in force is a copy of one of those beneath it.
        if place == sha256 and sha256 in inner:
            continue
        rows.append(_row(validation_state, place, verdict, now_s, in_force.get(sha256) == verdict.created_s))
    rows.sort(key=lambda row: row.created_s, reverse=True)
    return tuple(rows[:SHOWN]), tuple(problems)


def report_file(validation_state: Path, place: str, name: str) -> Path | None:
    """The file ``name`` of the validation at ``place`` (``sha256`` or ``sha256/LEVEL``); None: not for you.

    Only names of `REPORT_FILES` in directories that are named as the validator names them; and what they
    lead to must itself lie in ``validation_state``: no link leads out.
    """
    sha256, _, level = place.partition("/")
    if name not in REPORT_FILES or not _SHA256.fullmatch(sha256):
        return None
    if level and not _LEVEL.fullmatch(level):
        return None
    root = validation_state.resolve()
    try:
        path = (root / place / name).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return path if path.is_relative_to(root) and path.is_file() else None


def _row(validation_state: Path, place: str, verdict: Verdict, now_s: float, in_force: bool) -> VerdictRow:
    statistics = verdict.statistics
    return VerdictRow(
        schema_version=1,
        checkpoint_name=verdict.checkpoint_name,
        sha256=verdict.checkpoint_sha256,
        level=verdict.level,
        decision=verdict.decision.value,
        score=verdict.score,
        grade=verdict.grade,
        reasons=verdict.reasons,
        instrument=verdict.data.instrument,
        synthetic=verdict.data.synthetic,
        trades=statistics.trades,
        expectancy_pips=statistics.expectancy_pips,
        sqn=statistics.sqn,
        sharpe=statistics.sharpe,
        profit_factor=statistics.profit_factor,
        max_drawdown_share=statistics.max_drawdown_share,
        deflated_sharpe=statistics.deflated_sharpe,
        created_s=verdict.created_s,
        expires_s=verdict.expires_s,
        expired=now_s >= verdict.expires_s,
        in_force=in_force,
        reports={
            name: f"/reports/{place}/{name}"
            for name in REPORT_FILES
            if report_file(validation_state, place, name) is not None
        },
    )
