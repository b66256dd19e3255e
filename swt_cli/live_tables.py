"""Tables of `swt live compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from swt_live.compare import Comparison, Record


def comparison_tables(found: Comparison) -> list[RenderableType]:
    """Both records side by side, the agreement in words, the actions as a matrix."""
    from swt_core.clock import iso_utc

    sides = Table(title=f"since {iso_utc(found.since_s)}, {found.bars} bars", box=None)
    for column in ("", "trader", "candidate on paper"):
        sides.add_column(column, justify="left" if not column else "right")
    for name, own, other in zip(_NAMES, _cells(found.champion), _cells(found.candidate), strict=True):
        sides.add_row(name, own, other)
    matrix = Table(title="actions: rows the trader's, columns the candidate's", box=None)
    matrix.add_column("")
    for action in found.actions:
        matrix.add_column(action, justify="right")
    for own_action, counts in found.actions.items():
        cells = [
            f"[bold red]{count}[/]" if count and other != own_action else str(count)
            for other, count in counts.items()
        ]
        matrix.add_row(own_action, *cells)
    words = (
        f"{escape(found.candidate_name)} acts otherwise on {_share(found.disagreements, found.compared)} "
        f"of the bars both decided on, on {_share(found.same_position_disagreements, found.same_position)} "
        "of those where both held the same side"
    )
    return [sides, Text.from_markup(words), matrix]


_NAMES = (
    "checkpoint",
    "trades",
    "pips closed",
    "pips open",
    "win rate",
    "profit factor",
    "max drawdown, pips",
)


def _cells(record: Record) -> tuple[str, ...]:
    return (
        (record.model_hash or "none")[:12],
        str(record.trades),
        f"{record.pips:+.1f}",
        f"{record.open_pips:+.1f}",
        "–" if record.win_rate is None else f"{record.win_rate:.0%}",
        "–" if record.profit_factor is None else f"{record.profit_factor:.2f}",
        f"{record.max_drawdown_pips:.1f}",
    )


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "0 of 0"
