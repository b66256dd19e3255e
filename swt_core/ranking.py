"""Which checkpoint is the best: one rule for the trainer's choice and for what is kept of each hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swt_core.checkpoints import CheckpointRef
from swt_core.statistics import RELIABLE_TRADES, sqn_standard_error

# Profit a session on the selection sessions, in a checkpoint's metadata; one that was migrated has none.
PIPS_PER_SESSION: Final = "selection_pips_per_session"
# Which sessions it played by which rules: a hash, likewise.
CONTEST: Final = "selection_contest"


def best_of(refs: Sequence[CheckpointRef]) -> CheckpointRef:
    """The best of some checkpoints that played the same sessions.

    SQN decides as far as it can tell. Among those whose proven SQN (at least 30 trades, and a profit) lies
    within one standard error of the highest, the one that earns most per session is best: the difference in
    SQN may be luck, and trades that are few and sure earn little. Where none is proven, profit per session
    decides: a model that stays out earns 0 and beats one that loses. Of equals the first is best.

    Raises:
        ValueError: there is none.
    """
    proven = _proven(refs)
    if not proven:
        return max(refs, key=_pips_per_session)
    top, highest = max(proven, key=lambda item: item[1])
    enough = highest - sqn_standard_error(highest, top.metadata.trades)
    return max((ref for ref, sqn in proven if sqn >= enough), key=_pips_per_session)


def contest_of(ref: CheckpointRef) -> str | None:
    """Which sessions a checkpoint played by which rules; only figures of the same ones compare."""
    found = ref.metadata.extra.get(CONTEST)
    return None if found is None else str(found)


def highest_proven(refs: Sequence[CheckpointRef]) -> CheckpointRef | None:
    """The one with the highest proven SQN, against which the others are measured; None: none is proven."""
    proven = _proven(refs)
    return max(proven, key=lambda item: item[1])[0] if proven else None


def _proven(refs: Sequence[CheckpointRef]) -> list[tuple[CheckpointRef, float]]:
    return [
        (ref, ref.metadata.sqn)
        for ref in refs
        if ref.metadata.trades >= RELIABLE_TRADES and ref.metadata.sqn is not None and ref.metadata.sqn > 0
    ]


def _pips_per_session(ref: CheckpointRef) -> float:
    return float(ref.metadata.extra.get(PIPS_PER_SESSION, float("-inf")))
