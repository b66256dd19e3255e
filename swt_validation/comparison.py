"""`compare_checkpoints`: two checkpoints on the same held-out episodes, by the validation's own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from swt_core.checkpoints import CheckpointRef
from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.errors import DataError, StateError
from swt_core.pool import WorkerPool
from swt_core.state import read_json
from swt_core.verdict import Verdict, verdict_path
from swt_validation.analysis import AgentRun, baseline_row
from swt_validation.checkpoint_validation import MarketSource, trial_of
from swt_validation.evaluation import EpisodeMode
from swt_validation.held_out import Episodes, HeldOut, held_out, held_out_elsewhere, require_trained_on
from swt_validation.ledger import append_trial
from swt_validation.paired import MINIMUM_WEEKS, PairedDifference, block_of, paired_differences, week_sums
from swt_validation.players import CheckpointPlayer, Player, Setting
from swt_validation.report import BaselineRow
from swt_validation.wording import pips, ratio

COMPARISON_LEVEL: Final = "COMPARE"
BOOTSTRAP_RUNS: Final = 10_000
SIGNIFICANCE: Final = 0.05
Progress = Callable[[str], None]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Compared(_Part):
    """One of the two checkpoints."""

    name: str = Field(description="file name")
    sha256: str = Field(description="hash of its bytes")
    episode: int = Field(description="training episodes")
    verdict: str = Field(description="its standing verdict, in words")
    result: BaselineRow = Field(description="what it made of the common episodes")
    episode_pips: list[float] = Field(description="profit of each common episode, pips")


class Comparison(_Part):
    """Two checkpoints side by side; differences are first minus second."""

    schema_version: Literal[1] = 1
    first: Compared
    second: Compared
    mode: Literal["weeks", "sessions"]
    episodes: int = Field(description="common held-out episodes that both played")
    weeks: int = Field(description="trading weeks they lie in: what is resampled")
    block_weeks: int = Field(description="weeks in a block of the bootstrap")
    runs: int = Field(description="bootstrap samples")
    differences: dict[str, PairedDifference] = Field(description="by statistic")
    distinguishable: bool = Field(description="p ≤ 0.05 in pips per episode")
    conclusion: str = Field(description="one sentence")
    source: str = Field(description="bars they were played on")
    instrument: str = Field(description="currency pair")
    synthetic: bool = Field(description="whether the bars are simulated")
    start_s: int = Field(description="open of the first evaluated bar, UTC epoch seconds")
    end_s: int = Field(description="end of the last evaluated bar, UTC epoch seconds")
    seed: int = Field(description="of the bootstrap")
    created_s: float = Field(description="UTC epoch seconds")


@dataclass(frozen=True)
class Common:
    """Held-out episodes that belong to both checkpoints, as rows of ``low``…``high`` of the bars."""

    low_row: int
    high_row: int
    episodes: Episodes


def compare_checkpoints(
    first: CheckpointRef,
    second: CheckpointRef,
    *,
    source: MarketSource,
    config: SWTConfig,
    mode: EpisodeMode,
    state: Path,
    clock: Clock,
    pool: WorkerPool,
    sessions: int | None = None,
    elsewhere: bool = False,
    players: tuple[Player, Player] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Play both on the episodes that neither was trained or selected on, and test their difference.

    Whoever compares looks at the test range: both runs go into the ledger as trials, so that a later
    verdict on either knows that it was one of several.

    Args:
        first, second: what to compare.
        source: the bars that both were trained on, or the same with more appended.
        config: features, trading rules, search and seed.
        mode: whole trading weeks, or sessions.
        state: the validator's directory, which the caller may write.
        clock: stamps the result.
        pool: who plays.
        sessions: at most so many sessions, drawn at random.
        elsewhere: the bars are of another time than both trainers'; all of them are played.
        players: who plays in place of the checkpoints.
        progress: told each stage.

    Raises:
        CheckpointError: one cannot be loaded.
        DataError: they have no held-out episode in common.
    """
    say = progress or (lambda _: None)
    rng = np.random.default_rng(np.random.SeedSequence(config.validation.seed, spawn_key=(2,)))
    common = common_episodes(source, (first, second), config, mode, elsewhere=elsewhere)
    episodes = common.episodes.thinned(sessions, rng)
    setting = Setting(source.bars.rows(slice(common.low_row, common.high_row)), config)
    chosen = players or (CheckpointPlayer(first, pool), CheckpointPlayer(second, pool))
    runs: list[AgentRun] = []
    for ref, player in zip((first, second), chosen, strict=True):
        say(f"playing {len(episodes)} {mode} with {ref.name}")
        runs.append(player.play(setting, episodes))
        append_trial(state, trial_of(ref, setting.bars, runs[-1], COMPARISON_LEVEL, clock.time_s()))
    say("resampling the difference")
    risk = config.validation.initial_risk_pips
    (weeks, sums), (_, others) = (week_sums(run.evaluation, risk) for run in runs)
    differences = paired_differences(sums, others, runs=BOOTSTRAP_RUNS, rng=rng)
    main = differences["pips per episode"]
    times = runs[0].evaluation.bar_time_s
    data = first.metadata.data
    return Comparison(
        first=_compared("first", first, runs[0], state, clock.time_s(), rng),
        second=_compared("second", second, runs[1], state, clock.time_s(), rng),
        mode=mode,
        episodes=len(episodes),
        weeks=len(weeks),
        block_weeks=block_of(len(weeks)),
        runs=BOOTSTRAP_RUNS,
        differences=differences,
        distinguishable=main.p_value is not None and main.p_value <= SIGNIFICANCE,
        conclusion=conclusion(main, len(weeks), mode),
        source=source.name,
        instrument=data.instrument,
        synthetic=source.synthetic,
        start_s=int(times.min()),
        end_s=int(times.max()) + 60,
        seed=config.validation.seed,
        created_s=clock.time_s(),
    )


def common_episodes(
    source: MarketSource,
    checkpoints: tuple[CheckpointRef, CheckpointRef],
    config: SWTConfig,
    mode: EpisodeMode,
    *,
    elsewhere: bool = False,
) -> Common:
    """The episodes that are held out for both checkpoints.

    Raises:
        DataError: the bars are not both checkpoints' own, or no episode is held out for both.
    """
    bars, quality = source.bars, source.quality
    held: list[HeldOut] = []
    for ref in checkpoints:
        if not elsewhere:
            require_trained_on(bars, ref.metadata.data)
        find = held_out_elsewhere if elsewhere else held_out
        held.append(find(bars, quality, ref.metadata.data, config.data))
    mine, others = ((h.weeks if mode == "weeks" else h.sessions) for h in held)
    # Sessions are laid out from the range's start: those that both ranges share coincide or do not count.
    shared = np.isin(mine.first_rows, others.first_rows) & np.isin(mine.last_rows, others.last_rows)
    low, high = max(h.low_row for h in held), min(h.high_row for h in held)
    if not shared.any():
        raise DataError(
            f"no {mode[:-1]} is held out for both {checkpoints[0].name} and {checkpoints[1].name}",
            remedy="compare checkpoints of the same split, or both on bars of another time with --elsewhere",
        )
    rows = Episodes(mode, mine.first_rows[shared] - low, mine.last_rows[shared] - low)
    return Common(low, high, rows)


def _compared(
    label: str, ref: CheckpointRef, run: AgentRun, state: Path, now_s: float, rng: np.random.Generator
) -> Compared:
    return Compared(
        name=ref.name,
        sha256=ref.sha256,
        episode=ref.metadata.episode,
        verdict=verdict_in_words(state, ref.sha256, now_s),
        result=baseline_row(label, run.evaluation, rng),
        episode_pips=[float(value) for value in run.evaluation.episode_pips],
    )


def verdict_in_words(state: Path, sha256: str, now_s: float) -> str:
    """The standing verdict on a checkpoint; says so where there is none, or none that can be read."""
    try:
        verdict = read_json(verdict_path(state, sha256), Verdict)
    except StateError:
        return "its verdict cannot be read"
    if verdict is None:
        return "not validated yet"
    stale = ", expired" if now_s >= verdict.expires_s else ""
    return f"{verdict.decision.value} at {verdict.level}, score {verdict.score:.1f} ({verdict.grade}){stale}"


def conclusion(main: PairedDifference, weeks: int, mode: EpisodeMode) -> str:
    """What the difference in pips per episode says, in one sentence."""
    unit = mode[:-1]
    if main.p_value is None or main.difference is None:
        return (
            f"Not distinguishable: {weeks} trading weeks are fewer than the {MINIMUM_WEEKS} that a "
            "comparison needs."
        )
    low, high, p_value = pips(main.low, 2), pips(main.high, 2), ratio(main.p_value, 4)
    if main.p_value > SIGNIFICANCE:
        return (
            f"Not distinguishable: the first earned {pips(main.difference, 2)} pips a {unit} against the "
            f"second, but chance alone gives a difference of this size with probability {p_value} "
            f"(95 % interval {low} … {high}, {weeks} trading weeks)."
        )
    better, worse = ("first", "second") if main.difference > 0 else ("second", "first")
    return (
        f"The {better} checkpoint is better: it earned {abs(main.difference):,.2f} pips a {unit} more than "
        f"the {worse} on the same bars (95 % interval of first minus second {low} … {high}, p = {p_value}, "
        f"{weeks} trading weeks)."
    )
