"""Which checkpoints are kept: a pure rule, and its application to a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.ranking import best_of, contest_of, highest_proven
from swt_core.statistics import RELIABLE_TRADES

HOUR_S = 3600.0


@dataclass(frozen=True)
class RetentionRule:
    """What is kept: the last few, the best of each recent hour, each clear improvement.

    The best overall, the highest proven SQN (the best is measured against it) and every protected hash
    (queued, under validation, DEPLOYed, live) are always kept.
    """

    keep_last: int = 5
    keep_hours: int = 24
    improvement_pips: float = 0.5


def plan_retention(
    refs: Sequence[CheckpointRef],
    rule: RetentionRule,
    *,
    best_sha256: str | None = None,
    protected: Collection[str] = (),
) -> list[CheckpointRef]:
    """The checkpoints to delete, oldest first.

    Args:
        refs: all checkpoints.
        best_sha256: hash of the best overall.
        protected: hashes that the validator or the live trader still needs.
    """
    ordered = sorted(refs, key=lambda ref: (ref.metadata.created_s, ref.metadata.order))
    keep = {*protected, best_sha256}
    keep.update(ref.sha256 for ref in ordered[len(ordered) - min(rule.keep_last, len(ordered)) :])
    for rivals in _grouped(ordered, contest_of):
        highest = highest_proven(rivals)
        if highest is not None:
            keep.add(highest.sha256)
    keep.update(_best_of_hours(ordered, rule.keep_hours))
    keep.update(_improvements(ordered, rule.improvement_pips))
    return [ref for ref in ordered if ref.sha256 not in keep]


def apply_retention(
    store: CheckpointStore, rule: RetentionRule, *, protected: Collection[str] = ()
) -> list[CheckpointRef]:
    """Delete what the rule does not keep; returns what was deleted.

    ``protected`` must be complete: a caller that could not read the validator's or the live trader's
    state must not call this at all.
    """
    best = store.best()
    doomed = plan_retention(
        store.list(), rule, best_sha256=best.sha256 if best else None, protected=protected
    )
    for ref in doomed:
        store.delete(ref)
    return doomed


def _best_of_hours(ordered: Sequence[CheckpointRef], hours: int) -> list[str]:
    def hour(ref: CheckpointRef) -> int:
        return int(ref.metadata.created_s // HOUR_S)

    by_hour = sorted(_grouped(ordered, hour), key=lambda group: hour(group[0]))
    newest = by_hour[len(by_hour) - min(hours, len(by_hour)) :]
    return [best_of(rivals).sha256 for group in newest for rivals in _grouped(group, contest_of)]


def _grouped(
    refs: Sequence[CheckpointRef], key: Callable[[CheckpointRef], Hashable]
) -> list[list[CheckpointRef]]:
    groups: dict[Hashable, list[CheckpointRef]] = {}
    for ref in refs:
        groups.setdefault(key(ref), []).append(ref)
    return list(groups.values())


def _improvements(ordered: Sequence[CheckpointRef], improvement_pips: float) -> list[str]:
    kept, record = [], float("-inf")
    for ref in ordered:
        expectancy, reliable = ref.metadata.expectancy_pips, ref.metadata.trades >= RELIABLE_TRADES
        if expectancy is not None and reliable and expectancy >= record + improvement_pips:
            kept.append(ref.sha256)
            record = expectancy
    return kept
