"""Which checkpoint is the best, and which is kept for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef
from swt_core.ranking import PIPS_PER_SESSION, best_of, highest_proven
from swt_core.statistics import sqn_standard_error, trade_statistics

SESSIONS = 100
NOWHERE = CheckpointData(
    source="regimes",
    sha256="ab" * 32,
    instrument="GBP_JPY",
    synthetic=True,
    train_start_s=0,
    train_end_s=100,
    validation_start_s=200,
    validation_end_s=300,
    test_start_s=400,
    test_end_s=500,
)


def judged(name: str, pnls: list[float]) -> CheckpointRef:
    """A checkpoint whose trades on the selection sessions made these profits."""
    found = trade_statistics(pnls)
    metadata = CheckpointMetadata(
        architecture="swt",
        feature_profile="swt",
        feature_version="1a2b",
        episode=10,
        version="1.0.0",
        config_hash="c0ffee",
        data=NOWHERE,
        created_s=0.0,
        sqn=found.sqn.value,
        expectancy_pips=found.expectancy_pips,
        trades=found.trades,
        extra={PIPS_PER_SESSION: sum(pnls) / SESSIONS},
    )
    return CheckpointRef(Path(name), name, metadata)


FLAT = judged("flat", [])
LOSING = judged("losing", [-5.0, 1.0] * 30)
LUCKY = judged("lucky", [50.0, 40.0])
GOOD = judged("good", [5.0, -1.0] * 30)
GREAT = judged("great", [9.0, 5.0] * 30)
# SQN 5.0 ± 0.6 of 300 trades, 5.3 ± 0.8 of 200: no telling which is higher, but the first earns more.
BUSY = judged("busy", [30.0, -10.0] * 150)
SURE = judged("sure", [29.0, -9.0] * 100)


@pytest.mark.parametrize("only", [LOSING, FLAT, LUCKY, GOOD])
def test_one_alone_is_the_best_whatever_it_is(only: CheckpointRef) -> None:
    assert best_of([only]) is only


@pytest.mark.parametrize(
    ("refs", "best"),
    [
        ([GOOD, GREAT], GREAT),
        ([LUCKY, GOOD], GOOD),  # 30 trades and an SQN beat two lucky ones
        ([LOSING, FLAT], FLAT),  # staying out beats losing
        ([FLAT, LUCKY], LUCKY),
        ([LOSING, FLAT, LUCKY, GOOD, GREAT], GREAT),
    ],
)
def test_proven_quality_beats_luck_and_staying_out_beats_losing(
    refs: list[CheckpointRef], best: CheckpointRef
) -> None:
    assert best_of(refs) is best
    assert best_of(refs[::-1]) is best


def test_within_the_highest_sqns_error_the_one_that_earns_more_is_best() -> None:
    sure, busy = SURE.metadata, BUSY.metadata
    assert sure.sqn is not None
    assert busy.sqn is not None
    assert sure.sqn - sqn_standard_error(sure.sqn, sure.trades) < busy.sqn < sure.sqn
    assert best_of([SURE, BUSY]) is BUSY
    assert best_of([BUSY, SURE]) is BUSY


def test_beyond_that_error_the_higher_sqn_is_best_though_it_earns_less() -> None:
    assert GREAT.metadata.extra[PIPS_PER_SESSION] < BUSY.metadata.extra[PIPS_PER_SESSION]
    assert best_of([BUSY, GREAT]) is GREAT


def test_many_small_steps_down_in_sqn_lead_nowhere() -> None:
    """Each is within the error of the one before, and earns more; the highest is what counts."""
    steps = [judged(f"{n}", [30.0 + n, -9.0 - 1.2 * n] * (100 + 20 * n)) for n in range(8)]
    sqns = [ref.metadata.sqn or 0.0 for ref in steps]
    errors = [sqn_standard_error(sqn, ref.metadata.trades) for sqn, ref in zip(sqns, steps, strict=True)]
    assert all(then > now - error for now, then, error in zip(sqns, sqns[1:], errors, strict=False))
    assert sqns == sorted(sqns, reverse=True)
    best = best_of(steps)
    assert best is not steps[-1]
    assert (best.metadata.sqn or 0.0) >= sqns[0] - errors[0]


def test_of_equals_the_first_stays() -> None:
    twin = judged("twin", [5.0, -1.0] * 30)
    assert best_of([GOOD, twin]) is GOOD


def test_of_none_there_is_no_best() -> None:
    with pytest.raises(ValueError, match="empty"):
        best_of([])


def test_a_checkpoint_without_figures_is_the_best_only_where_it_is_alone() -> None:
    """`swt migrate checkpoint` publishes some that never played the selection sessions."""
    bare = judged("bare", [])
    bare = CheckpointRef(bare.path, "bare", bare.metadata.model_copy(update={"extra": {}}))
    assert best_of([bare]) is bare
    assert best_of([bare, LOSING]) is LOSING


def test_the_highest_proven_sqn_is_known_though_it_is_not_the_best() -> None:
    assert highest_proven([FLAT, LUCKY, LOSING]) is None
    assert highest_proven([BUSY, LUCKY, SURE]) is SURE
