"""`validate_checkpoint`: one checkpoint in, a verdict with its report out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from swt_core.calendar import MINUTE_S
from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock, iso_utc
from swt_core.config import SWTConfig
from swt_core.errors import CheckpointError, DataError, StateError
from swt_core.pool import SerialPool, WorkerPool
from swt_core.state import read_json
from swt_core.verdict import VERDICT_FILE, Verdict, judged_config_hash
from swt_data.bars import Bars
from swt_data.quality import QualityReport, check_quality
from swt_environments.dataset import load_bars
from swt_validation.analysis import AgentRun, analyse, baseline_row, sharpe_inference, significance
from swt_validation.assembly import Parts, assemble
from swt_validation.evaluation import Evaluation
from swt_validation.filing import file_report, promote
from swt_validation.held_out import (
    Episodes,
    HeldOut,
    held_out,
    held_out_elsewhere,
    require_trained_on,
    training_weeks,
)
from swt_validation.ledger import Trial, append_trial, read_ledger, trial_matrix
from swt_validation.levels import Deadline, Level, LevelPlan, plan
from swt_validation.nav import daily_nav, weekly_returns
from swt_validation.page_data import PageData, page_data
from swt_validation.performance import DAYS_PER_YEAR, sharpe
from swt_validation.players import CheckpointPlayer, Player, Setting, played_whole
from swt_validation.press import Press
from swt_validation.report import HTML_FILE, PDF_FILE, REPORT_FILE, Report, WalkForward
from swt_validation.sensitivity import sensitivity
from swt_validation.walk_forward import ROLLING_WEEKS, walk_forward

# In-sample weeks of a walk-forward: a year is enough for its mean.
_IN_SAMPLE_WEEKS: Final = 2 * ROLLING_WEEKS

Progress = Callable[[str], None]


@dataclass(frozen=True)
class MarketSource:
    """The bars to judge on, and where they came from."""

    bars: Bars
    name: str
    synthetic: bool

    @cached_property
    def quality(self) -> QualityReport:
        """What is wrong with the bars; looked for once."""
        return check_quality(self.bars)


def load_source(config: SWTConfig) -> MarketSource:
    """The configured bars.

    Raises:
        DataError: they cannot be read, or the quality report refuses them.
    """
    bars, name, synthetic = load_bars(config.data)
    source = MarketSource(bars, name, synthetic)
    source.quality.require_accepted()
    return source


def find_checkpoint(checkpoints: Path, name: str) -> CheckpointRef:
    """A checkpoint by path, by its name in the store, or ``best`` or ``newest``.

    Raises:
        CheckpointError: there is none.
    """
    store = CheckpointStore(checkpoints)
    ref = {"best": store.best, "newest": store.newest}.get(name, lambda: store.find(name))()
    if ref is None:
        raise CheckpointError(
            f"{checkpoints} has no {name} checkpoint yet", remedy="train one first, or give --state-dir"
        )
    return ref


@dataclass(frozen=True)
class Validation:
    """What `validate_checkpoint` leaves behind.

    Attributes:
        report: all figures, with the verdict inside.
        directory: where verdict, report, PDF and trades lie.
        fresh: False if this checkpoint had already been judged at this level, by the same rules.
    """

    report: Report
    directory: Path
    fresh: bool

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.report.verdict

    @property
    def pdf(self) -> Path:
        """The report on paper."""
        return self.directory / PDF_FILE

    @property
    def html(self) -> Path:
        """The report for a browser."""
        return self.directory / HTML_FILE


def validate_checkpoint(
    checkpoint: CheckpointRef,
    *,
    source: MarketSource,
    config: SWTConfig,
    level: Level,
    state: Path,
    clock: Clock,
    pool: WorkerPool | None = None,
    player: Player | None = None,
    progress: Progress | None = None,
    again: bool = False,
    pages: bool = True,
    elsewhere: bool = False,
) -> Validation:
    """Judge a checkpoint on its own test range and write everything down.

    A checkpoint is judged once a level: a verdict by the same rules on the same bars that has not expired
    is returned as it is, unless ``again``. The ledger line is written before the verdict, so no trial is
    ever lost.

    Args:
        checkpoint: what to judge.
        source: the bars it was trained on, or the same with more appended.
        config: rules of trading, features, validation settings.
        level: how deep.
        state: the validator's state directory.
        clock: injected time.
        pool: shares out the episodes, and allows pages to be drawn in a process beside this one; None: all is
            done in this process.
        player: who plays; None: the checkpoint itself.
        progress: called with a sentence at each stage.
        again: judge it even if there is a verdict already.
        pages: whether to draw PDF and HTML, which takes seconds.
        elsewhere: the bars are of another time than the trainer's, and all of them are judged; such a
            verdict is written beside the checkpoint's own, never over it.

    Raises:
        CheckpointError: the checkpoint cannot be loaded or belongs to other features.
        DataError: the test range is not held out, or the bars do not cover it.
        OutOfTime: the time limit came before one share of the episodes was finished.
    """
    say = progress or _silent
    place = f"{level}_{source.bars.sha256[:12]}" if elsewhere else level
    directory = state / checkpoint.sha256 / place
    deadline = Deadline(clock, config.validation.time_limit_minutes * 60)
    data = checkpoint.metadata.data
    if elsewhere:
        held = held_out_elsewhere(source.bars, source.quality, data, config.data)
    else:
        require_trained_on(source.bars, data)
        held = held_out(source.bars, source.quality, data, config.data)
    bars = source.bars.rows(slice(held.low_row, held.high_row))
    if not again and (known := _known(directory, config, bars, clock.time_s())) is not None:
        return Validation(known, directory, fresh=False)
    setting, steps = Setting(bars, config), plan(level, config.validation)
    actor = player or CheckpointPlayer(checkpoint, pool or SerialPool())
    with closing(Press(1 if pool is None else None)) as press:
        if pages and pool is not None:
            press.warm(busy=pool.workers)
        parts, trial, pages_of = _evaluate(
            checkpoint,
            source,
            setting,
            held,
            steps,
            actor,
            state,
            deadline,
            clock,
            say,
            press if pages else None,
        )
        report = assemble(parts, deadline, clock.time_s())
        append_trial(
            state,
            trial.model_copy(update={"decision": report.verdict.decision.value, "score": report.score.total}),
        )
        say("writing the report")
        file_report(
            directory, report, parts.run.evaluation.trades, press, pages_of(report) if pages else None
        )
    if not elsewhere:
        promote(state / checkpoint.sha256, directory, report)
    return Validation(report, directory, fresh=True)


def _silent(_: str) -> None:
    pass


def _known(directory: Path, config: SWTConfig, bars: Bars, now_s: float) -> Report | None:
    """The report of an earlier run that still stands: same rules, same bars, complete, not expired."""
    try:
        report = read_json(directory / REPORT_FILE, Report)
        verdict = read_json(directory / VERDICT_FILE, Verdict)
    except StateError:  # broken: judge again
        return None
    if report is None or verdict is None or report.verdict != verdict or not report.complete:
        return None
    same = verdict.config_hash == judged_config_hash(config) and verdict.data.sha256 == bars.sha256
    return report if same and now_s < verdict.expires_s else None


def _evaluate(
    checkpoint: CheckpointRef,
    source: MarketSource,
    setting: Setting,
    held: HeldOut,
    steps: LevelPlan,
    player: Player,
    state: Path,
    deadline: Deadline,
    clock: Clock,
    say: Progress,
    press: Press | None,
) -> tuple[Parts, Trial, Callable[[Report], PageData]]:
    config = setting.config
    rng = np.random.default_rng(np.random.SeedSequence(config.validation.seed, spawn_key=(1,)))
    weeks, sessions = _shifted(held.weeks, held.low_row), _shifted(held.sessions, held.low_row)
    episodes = weeks if steps.mode == "weeks" else sessions.thinned(steps.sessions, rng)
    if not len(episodes):
        first_s, last_s = int(setting.bars.time_s[0]), int(setting.bars.time_s[-1])
        raise DataError(
            f"the held-out range ({iso_utc(first_s)} – {iso_utc(last_s)}) holds no "
            f"{'whole trading week' if steps.mode == 'weeks' else 'session'}",
            remedy="hold out a longer range, or use level STANDARD, which judges by sessions",
        )
    say(f"playing {len(episodes)} {steps.mode}")
    run = _played(player, setting, episodes, deadline)
    if press is not None:
        press.warm()
    market = setting.market()
    say("resampling and testing")
    analysis = analyse(run, market, config, steps)
    trial = trial_of(checkpoint, setting.bars, run, steps.level, clock.time_s())
    trials = trial_matrix(read_ledger(state), trial)
    luck = significance(analysis.permutation, sharpe_inference(analysis.nav, trials), trials, rng)
    compared, rows = None, []
    if steps.compare_sessions and len(sessions):
        subset = sessions.thinned(steps.sensitivity_sessions, rng)
        say(f"comparing with {len(subset)} sessions")
        reference = played_whole(player, setting, subset, deadline, "sessions and sensitivity")
        if reference is not None:
            compared = baseline_row(f"agent, {len(subset)} sessions", reference.evaluation, rng)
            say("changing assumptions")
            rows = sensitivity(player, setting, subset, reference, rng, deadline)
    walks = []
    if steps.walk_forward:
        say("walking forward")
        walks = _walks(run.evaluation, checkpoint, source, config, player, deadline)
    parts = Parts(
        checkpoint,
        config,
        steps,
        market,
        run,
        analysis,
        luck,
        rows,
        walks,
        compared,
        source.name,
        source.synthetic,
    )

    def pages_of(report: Report) -> PageData:
        return page_data(report, run, market, analysis.permutation.random_pips, config.validation.seed)

    return parts, trial, pages_of


def _played(player: Player, setting: Setting, episodes: Episodes, deadline: Deadline) -> AgentRun:
    """The run that is judged; what time did not allow is missing, and then nothing can be deployed."""
    run = player.play(setting, episodes, deadline)
    if len(run.first_rows) < len(episodes):
        deadline.missing.append(
            f"{len(episodes) - len(run.first_rows)} of {len(episodes)} {episodes.mode} of the test range"
        )
    return run


def _shifted(episodes: Episodes, low_row: int) -> Episodes:
    return replace(episodes, first_rows=episodes.first_rows - low_row, last_rows=episodes.last_rows - low_row)


def trial_of(checkpoint: CheckpointRef, bars: Bars, run: AgentRun, level: str, now_s: float) -> Trial:
    """The ledger's line for a run over the test range."""
    weeks = weekly_returns(run.evaluation)
    ratio = sharpe(daily_nav(run.evaluation).returns)
    return Trial(
        schema_version=1,
        checkpoint_sha256=checkpoint.sha256,
        checkpoint_name=checkpoint.name,
        level=level,
        bars_sha256=bars.sha256,
        test_start_s=int(bars.time_s[0]),
        test_end_s=int(bars.time_s[-1]) + MINUTE_S,
        decision="",
        score=0.0,
        daily_sharpe=None if ratio is None else ratio / DAYS_PER_YEAR**0.5,
        weeks=tuple(weeks.week.tolist()),
        weekly_returns=tuple(weeks.returns.tolist()),
        created_s=now_s,
    )


def _walks(
    out_of_sample: Evaluation,
    checkpoint: CheckpointRef,
    source: MarketSource,
    config: SWTConfig,
    player: Player,
    deadline: Deadline,
) -> list[WalkForward]:
    """Both schemes; the training range is read for this purpose alone."""
    known = training_weeks(source.bars, checkpoint.metadata.data, config.data, _IN_SAMPLE_WEEKS)
    if known is None:
        return []
    bars, episodes = known
    run = played_whole(player, Setting(bars, config), episodes, deadline, "walk-forward")
    if run is None:
        return []
    found = (
        walk_forward(out_of_sample, run.evaluation, "rolling"),
        walk_forward(out_of_sample, run.evaluation, "anchored"),
    )
    return [walk for walk in found if walk is not None]
