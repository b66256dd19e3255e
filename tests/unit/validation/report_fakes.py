"""Pages' data without a checkpoint: policies that trade much, three times or never on a small market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.synthetic import synthetic_bars
from swt_environments.reference import SignalRule, regime_filter
from swt_inference.rollout import Policy, RulePolicy
from swt_validation.analysis import analyse, baseline_row, sharpe_inference, significance
from swt_validation.assembly import Parts, assemble
from swt_validation.held_out import Episodes
from swt_validation.ledger import TrialMatrix
from swt_validation.levels import Deadline, plan
from swt_validation.page_data import PageData
from swt_validation.page_data import page_data as data_of
from swt_validation.players import PolicyPlayer, Setting
from swt_validation.report import SensitivityRow
from swt_validation.walk_forward import walk_forward

# A place that a path of this machine would betray.
SECRET_PLACE = Path("/home/somebody/private/checkpoints")


def config() -> SWTConfig:
    return SWTConfig.model_validate({"validation": {"permutations": 199}})


def market_bars() -> Bars:
    return synthetic_bars("regimes", 30, 5, instrument("GBP_JPY"))


def weeks_of(bars: Bars) -> Episodes:
    index = build_session_index(bars, check_quality(bars))
    return Episodes("weeks", index.weeks[:, 0].copy(), index.weeks[:, 1] - 2)


def often(setting: Setting) -> Policy:
    rule = regime_filter(
        setting.bars, drift_pips=1.0, sigma_pips=3.0, switch_probability=1 / 60, threshold=0.7
    )
    return RulePolicy(rule)


def never(setting: Setting) -> Policy:
    no = np.zeros(len(setting.bars), np.bool_)
    return RulePolicy(SignalRule(no, no, no, no))


def thrice(setting: Setting) -> Policy:
    entries = np.zeros(len(setting.bars), np.bool_)
    exits = entries.copy()
    first = int(weeks_of(setting.bars).first_rows[0])
    entries[[first + 50, first + 700, first + 2000]] = True
    exits[[first + 90, first + 760, first + 2500]] = True
    return RulePolicy(SignalRule(entries, entries & False, exits, exits))


def page_data(policy: object = often) -> PageData:
    """Everything that a FULL validation with a walk-forward hands to its pages."""
    settings, bars = config(), market_bars()
    player = PolicyPlayer(policy)  # type: ignore[arg-type]
    setting = Setting(bars, settings)
    run = player.play(setting, weeks_of(bars))
    market, steps = setting.market(), replace(plan("FULL", settings.validation), curves=100)
    analysis = analyse(run, market, settings, steps)
    trials = TrialMatrix(np.zeros((1, 26)), np.array([0.1]), 1, 1)
    rng = np.random.default_rng(0)
    luck = significance(analysis.permutation, sharpe_inference(analysis.nav, trials), trials, rng)
    start_s = int(bars.time_s[0])
    data = CheckpointData(
        source="bars.parquet",
        sha256=bars.sha256,
        instrument="GBP_JPY",
        synthetic=True,
        train_start_s=start_s - 9_000_000,
        train_end_s=start_s - 5_000_000,
        validation_start_s=start_s - 4_000_000,
        validation_end_s=start_s - 1_000_000,
        test_start_s=start_s,
        test_end_s=int(bars.time_s[-1]) + 60,
    )
    metadata = CheckpointMetadata(
        architecture="a",
        feature_profile="swt",
        feature_version="f",
        episode=1200,
        version="1.0.3",
        config_hash="c" * 64,
        data=data,
        created_s=0.0,
    )
    ref = CheckpointRef(SECRET_PLACE / metadata.file_name, "d" * 64, metadata)
    walks = [walk_forward(run.evaluation, run.evaluation, scheme) for scheme in ("rolling", "anchored")]
    expectancy = analysis.trades.expectancy_pips.value
    rows = [
        SensitivityRow(
            name="reference",
            trades=analysis.trades.trades,
            total_pips=analysis.trades.total_pips,
            expectancy_pips=expectancy,
            change_pips=0.0,
        )
    ]
    sessions = baseline_row("agent, 5 sessions", run.evaluation, rng)
    parts = Parts(
        ref,
        settings,
        steps,
        market,
        run,
        analysis,
        luck,
        rows,
        [walk for walk in walks if walk is not None],
        sessions,
        "bars.parquet",
        True,
    )
    report = assemble(parts, Deadline(ManualClock(0.0), 10.0), 1_700_000_000.0)
    return data_of(report, run, market, analysis.permutation.random_pips, settings.validation.seed)
