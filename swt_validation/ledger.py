"""Every trial the validator ever made on a test range, so that luck among many is priced in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_core.state import StateRecord, append_jsonl, read_jsonl
from swt_validation.sharpe_inference import effective_trials

Float64 = NDArray[np.float64]

LEDGER_FILE: Final = "ledger.jsonl"


class Trial(StateRecord):
    """One validated checkpoint at one level.

    Attributes:
        checkpoint_sha256, checkpoint_name: hash of the checkpoint's bytes, and its file's name.
        level: QUICK, STANDARD, FULL, COMPREHENSIVE, COMPARE or RETRAIN.
        bars_sha256: hash of the evaluated bars.
        test_start_s, test_end_s: the test range, UTC epoch seconds.
        decision, score: the verdict and its composite score.
        daily_sharpe: Sharpe ratio of daily returns, per day.
        weeks, weekly_returns: numbers of the evaluated FX weeks and the unlevered return of each.
        created_s: when, UTC epoch seconds.
    """

    checkpoint_sha256: str
    checkpoint_name: str
    level: str
    bars_sha256: str
    test_start_s: int
    test_end_s: int
    decision: str
    score: float
    daily_sharpe: float | None
    weeks: tuple[int, ...]
    weekly_returns: tuple[float, ...]
    created_s: float


@dataclass(frozen=True)
class TrialMatrix:
    """Weekly returns of different checkpoints on the weeks they have in common.

    Attributes:
        returns: ``[trials, weeks]``.
        daily_sharpes: ``[trials]`` those that are defined.
        count: different checkpoints tried, comparable or not.
        effective: number of clusters of correlated trials, at least 1.
    """

    returns: Float64
    daily_sharpes: Float64
    count: int
    effective: int


def read_ledger(directory: Path) -> list[Trial]:
    """All trials, oldest first."""
    return read_jsonl(directory / LEDGER_FILE, Trial)


def append_trial(directory: Path, trial: Trial) -> None:
    """Add one trial to the ledger."""
    append_jsonl(directory / LEDGER_FILE, trial)


def trial_matrix(ledger: Sequence[Trial], current: Trial) -> TrialMatrix:
    """Different checkpoints tried on a test range that overlaps ``current``'s, itself among them.

    A checkpoint counts once, with its latest trial at the current level or, failing that, its latest at
    any. Trials that share fewer than three weeks, or less than half of ``current``'s, with the rest count
    as trials of their own: a fold of a few weeks must not shrink what the others are compared on.
    """
    chosen: dict[str, Trial] = {}
    for trial in ledger:
        if trial.test_end_s <= current.test_start_s or trial.test_start_s >= current.test_end_s:
            continue
        known = chosen.get(trial.checkpoint_sha256)
        if known is None or trial.level == current.level or known.level != current.level:
            chosen[trial.checkpoint_sha256] = trial
    chosen[current.checkpoint_sha256] = current
    trials = list(chosen.values())
    common, comparable = set(current.weeks), list[Trial]()
    least = max(3.0, len(common) / 2.0)
    for trial in sorted(trials, key=lambda t: len(common.intersection(t.weeks)), reverse=True):
        shared = common.intersection(trial.weeks)
        if len(shared) >= least:
            comparable.append(trial)
            common = shared
    weeks = sorted(common)
    rows = [[dict(zip(t.weeks, t.weekly_returns, strict=True))[week] for week in weeks] for t in comparable]
    returns = np.array(rows, np.float64).reshape(len(comparable), len(weeks))
    clusters = effective_trials(returns) if len(comparable) else 0
    return TrialMatrix(
        returns=returns,
        daily_sharpes=np.array([t.daily_sharpe for t in trials if t.daily_sharpe is not None]),
        count=len(trials),
        effective=max(1, clusters + len(trials) - len(comparable)),
    )
