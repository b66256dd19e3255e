"""Walk-forward with a fresh training for each fold: `swt train` as a subprocess, then the fold's own weeks.

Every fold trains on the weeks before it (rolling: so many of them, anchored: all) and is played, greedily
and after costs, on the weeks that follow; the stitched weeks are out-of-sample for every one of them. A
finished fold is kept, and an interrupted one goes on where its trainer stopped. Each fold looks at its
weeks, so each is a trial in the validator's ledger.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from pydantic import Field

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.config.loading import config_hash
from swt_core.errors import DataError, SWTError
from swt_core.pool import WorkerPool
from swt_core.state import StateRecord, read_json, write_json
from swt_core.workspace import Workspace
from swt_data.bars import Bars
from swt_data.manifest import Provenance
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.store import BarStore
from swt_features.processor import LOOKBACK
from swt_validation.checkpoint_validation import trial_of
from swt_validation.held_out import held_out, training_weeks
from swt_validation.ledger import append_trial
from swt_validation.nav import weekly_returns
from swt_validation.players import CheckpointPlayer, Player, Setting
from swt_validation.report import Fold, WalkForward
from swt_validation.walk_forward import ROLLING_WEEKS, WEEKS_PER_YEAR, Scheme, stitched

FOLD_FILE: Final = "fold.json"
RESULT_FILE: Final = "walk_forward.json"
# The level of a fold's line in the ledger.
RETRAIN_LEVEL: Final = "RETRAIN"
# A trainer that was asked to stop saves its run first.
_STOP_S: Final = 60.0

Progress = Callable[[str], None]


class TrainingFailed(SWTError):
    """A fold's trainer ended with an error."""


class FoldResult(StateRecord):
    """A fold that is done."""

    plan_hash: str = Field(
        description="sha256 of configuration, bars, cut and minutes of training: another plan, another fold"
    )
    checkpoint_sha256: str = Field(description="the model that was trained for it")
    fold: Fold = Field(description="its figures")
    week_returns: tuple[float, ...] = Field(description="unlevered return of each of its weeks")


@dataclass(frozen=True)
class FoldPlan:
    """Rows of one fold, ``[low, high)``: training and validation before ``test``, its weeks from there on.

    Attributes:
        validation, test: first row of the trainer's validation range, and of the fold's own weeks.
    """

    number: int
    low: int
    validation: int
    test: int
    high: int


class Train(Protocol):
    """Trains a model: leaves checkpoints under ``workspace``."""

    def __call__(self, workspace: Workspace, overrides: Sequence[str]) -> None:
        """Raises `TrainingFailed` when it ends with an error."""
        ...


def plan_folds(
    bars: Bars, config: SWTConfig, scheme: Scheme, folds: int, fold_weeks: int, train_weeks: int
) -> list[FoldPlan]:
    """Cut the bars at week opens: the last ``folds · fold_weeks`` weeks are played, each by its own model.

    Args:
        train_weeks: weeks of training and validation before a rolling fold.

    Raises:
        DataError: there are too few whole weeks.
    """
    weeks = build_session_index(bars, check_quality(bars), config.data.session_bars).weeks
    first = len(weeks) - folds * fold_weeks
    history = train_weeks if scheme == "rolling" else 2
    if first < history:
        raise DataError(
            f"{len(weeks)} whole weeks are too few for {folds} folds of {fold_weeks} weeks after "
            f"{history} weeks of training",
            remedy="ask for fewer or shorter folds, less training, or give more bars",
        )
    data = config.data
    share = data.validation_share / (data.train_share + data.validation_share)
    plans = []
    for number in range(folds):
        test = first + number * fold_weeks
        start = 0 if scheme == "anchored" else test - train_weeks
        validation = test - max(1, round(share * (test - start)))
        end = test + fold_weeks
        # The lookback of the first training week is part of the fold's bars.
        low = max(0, int(weeks[start, 0]) - LOOKBACK)
        high = len(bars) if end == len(weeks) else int(weeks[end, 0])
        plans.append(FoldPlan(number + 1, low, int(weeks[validation, 0]), int(weeks[test, 0]), high))
    return plans


def walk_forward_retrained(
    *,
    bars: Bars,
    config: SWTConfig,
    scheme: Scheme,
    plans: Sequence[FoldPlan],
    directory: Path,
    train: Train,
    minutes: float,
    state: Path,
    pool: WorkerPool,
    clock: Clock,
    progress: Progress,
    player: Callable[[CheckpointRef, WorkerPool], Player] = CheckpointPlayer,
) -> WalkForward:
    """Train and play every fold that is not done; the result is written to ``directory`` too.

    Args:
        plans: as `plan_folds` makes them.
        directory: of this walk-forward; a subdirectory a fold.
        train: `train_by_command`, or a stand-in.
        minutes: for which `train` trains; a fold that was trained for longer or shorter is another fold.
        state: the validator's directory, whose ledger gets a trial for each fold that is played.
        clock: injected time.
        player: who plays a fold's checkpoint.

    Raises:
        TrainingFailed: a trainer ended with an error, or left no checkpoint.
    """
    done = []
    for plan in plans:
        place = directory / f"fold_{plan.number}"
        plan_hash = _plan_hash(plan, bars, config, minutes)
        known = read_json(place / FOLD_FILE, FoldResult)
        if known is not None and known.plan_hash == plan_hash:
            progress(f"fold {plan.number} of {len(plans)}: done before")
        else:
            say = partial(_say, progress, f"fold {plan.number} of {len(plans)}")
            known = _fold(plan, bars, config, place, plan_hash, train, state, pool, clock, say, player)
            write_json(place / FOLD_FILE, known)
        done.append(known)
    returns = np.concatenate([np.array(result.week_returns) for result in done])
    found = stitched(scheme, [result.fold for result in done], returns)
    write_json(directory / RESULT_FILE, found)
    return found


def _say(progress: Progress, fold: str, what: str) -> None:
    progress(f"{fold}: {what}")


def _plan_hash(plan: FoldPlan, bars: Bars, config: SWTConfig, minutes: float) -> str:
    text = json.dumps([config_hash(config), bars.sha256, vars(plan), float(minutes)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fold(
    plan: FoldPlan,
    bars: Bars,
    config: SWTConfig,
    place: Path,
    plan_hash: str,
    train: Train,
    state: Path,
    pool: WorkerPool,
    clock: Clock,
    progress: Progress,
    player: Callable[[CheckpointRef, WorkerPool], Player],
) -> FoldResult:
    piece = bars.rows(slice(plan.low, plan.high))
    place = place / plan_hash[:12]
    store = BarStore(place / "bars", piece.instrument)
    if store.manifest() is None:
        store.add(piece, _provenance(piece, clock))
    progress("training")
    workspace = Workspace(place)
    train(workspace, _overrides(plan, piece, place / "bars"))
    checkpoints = CheckpointStore(workspace.checkpoints)
    ref = checkpoints.best() or checkpoints.newest()
    if ref is None:
        raise TrainingFailed(
            f"the trainer of fold {plan.number} left no checkpoint", remedy="give each fold more minutes"
        )
    progress(f"playing {ref.name}")
    data = ref.metadata.data
    held = held_out(piece, check_quality(piece), data, config.data)
    inside = piece.rows(slice(held.low_row, held.high_row))
    weeks = replace(
        held.weeks,
        first_rows=held.weeks.first_rows - held.low_row,
        last_rows=held.weeks.last_rows - held.low_row,
    )
    playing = player(ref, pool)
    run = playing.play(Setting(inside, config), weeks)
    # Before the result: a look at the weeks that is not written down would make luck look cheaper.
    append_trial(state, trial_of(ref, inside, run, RETRAIN_LEVEL, clock.time_s()))
    outside = run.evaluation
    known = training_weeks(piece, data, config.data, ROLLING_WEEKS)
    trained = None if known is None else playing.play(Setting(known[0], config), known[1]).evaluation
    found = weekly_returns(outside)
    annual = float(found.pips.mean()) * WEEKS_PER_YEAR
    before = 0.0 if trained is None else float(weekly_returns(trained).pips.mean()) * WEEKS_PER_YEAR
    return FoldResult(
        plan_hash=plan_hash,
        checkpoint_sha256=ref.sha256,
        fold=Fold(
            start_s=int(found.start_s[0]),
            end_s=int(found.end_s[-1]),
            weeks=len(found.week),
            trades=len(outside.trades),
            total_pips=float(found.pips.sum()),
            annual_pips=annual,
            in_sample_annual_pips=before,
            efficiency=annual / before if before > 0 else None,
        ),
        week_returns=tuple(found.returns.tolist()),
    )


def _provenance(piece: Bars, clock: Clock) -> Provenance:
    return Provenance(
        source="a fold of a walk-forward",
        format="rows of other bars",
        sha256=piece.sha256,
        bars=len(piece),
        first_s=int(piece.time_s[0]),
        last_s=int(piece.time_s[-1]),
        added_s=clock.time_s(),
    )


def _overrides(plan: FoldPlan, piece: Bars, store: Path) -> list[str]:
    """Settings that make `swt train` see the fold's bars, cut where the plan says."""
    times = piece.time_s
    span = int(times[-1] - times[0])
    edges = [int(times[row - plan.low] - times[0]) / span for row in (plan.validation, plan.test)]
    return [
        f"data.bars_file={store}",
        f"data.train_share={edges[0]!r}",
        f"data.validation_share={edges[1] - edges[0]!r}",
    ]


def train_by_command(command: Sequence[str], minutes: float) -> Train:
    """`swt train` as a subprocess; its output goes to ``train.log`` of the fold.

    Interrupted by Ctrl-C (or any exception here), it is asked to stop, and saves its run: the next call
    takes it up.

    Args:
        command: the program with its configuration options, to which the fold's are added.
        minutes: of training for each fold.
    """

    def train(workspace: Workspace, overrides: Sequence[str]) -> None:
        settings = [word for text in overrides for word in ("--set", text)]
        words = [*command, "--state-dir", str(workspace.root), "--minutes", str(minutes), *settings]
        log = workspace.root / "train.log"
        with log.open("ab") as output:
            process = subprocess.Popen(words, stdout=output, stderr=output)  # noqa: S603 - our own program
            try:
                process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(_STOP_S)
        if process.returncode != 0:
            tail = " ".join(log.read_text(errors="replace").strip().splitlines()[-1:])
            raise TrainingFailed(
                f"swt train ended with status {process.returncode}: {tail}", remedy=f"read {log}"
            )

    return train
