"""Which sessions are drawn, and the sessions that fill an empty buffer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swt_core.config import SWTConfig
from swt_environments.dataset import Dataset, load_dataset
from swt_environments.simulation import BatchSimulation
from swt_inference.rollout import play
from swt_training.initial import GuidedPolicy, play_initial
from swt_training.sessions import FIRST_SHARE, SessionSampler, movement_per_cost
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]
STEPS = 60


@pytest.fixture
def dataset(small: SWTConfig) -> Dataset:
    data = small.data.model_copy(update={"market": "realistic"})
    return load_dataset(small.model_copy(update={"data": data}))


def test_every_valid_start_of_the_training_range_is_as_likely(dataset: Dataset) -> None:
    starts = dataset.splits.train.starts
    sampler = SessionSampler(starts, dataset.bars, STEPS)
    drawn = sampler.draw(20 * len(starts), 0, np.random.default_rng(0))
    assert set(drawn) <= set(starts)
    assert drawn.max() + STEPS < dataset.splits.validation.starts.min()
    counts = np.bincount(np.searchsorted(starts, drawn), minlength=len(starts))
    assert counts.mean() == 20
    assert counts.var() == pytest.approx(20, rel=0.2), "Poisson: no start is preferred"


def test_a_session_never_crosses_a_gap(dataset: Dataset) -> None:
    rows = SessionSampler(dataset.splits.train.starts, dataset.bars, STEPS).draw(
        500, 0, np.random.default_rng(0)
    )
    minutes = np.diff(dataset.bars.time_s[rows[:, None] + np.arange(STEPS + 1)], axis=1) / 60
    assert minutes.max() <= 10


def test_without_a_curriculum_nothing_depends_on_progress(dataset: Dataset) -> None:
    sampler = SessionSampler(dataset.splits.train.starts, dataset.bars, STEPS)
    np.testing.assert_array_equal(sampler.eligible(0), sampler.eligible(10**6))
    assert SWTConfig().training.curriculum_sessions == 0


def test_a_curriculum_begins_with_the_liveliest_and_ends_with_all(dataset: Dataset) -> None:
    starts = dataset.splits.train.starts
    sampler = SessionSampler(starts, dataset.bars, STEPS, curriculum_sessions=1000)
    liveliness = dict(zip(starts, movement_per_cost(dataset.bars, starts, STEPS), strict=True))
    first = sampler.eligible(0)
    assert len(first) == round(FIRST_SHARE * len(starts))
    least = min(liveliness[row] for row in first)
    assert all(liveliness[row] <= least for row in set(starts) - set(first))
    assert len(sampler.eligible(500)) == pytest.approx((1 + FIRST_SHARE) / 2 * len(starts), abs=1)
    for done in (1000, 5000):
        assert set(sampler.eligible(done)) == set(starts)


def test_liveliness_is_movement_over_spread_of_that_session_alone(dataset: Dataset) -> None:
    bars, start = dataset.bars, np.array([700])
    inside = slice(700, 700 + STEPS)
    moves = np.abs(np.diff(bars.close_hp))[699 : 699 + STEPS].mean() / 2
    spread = (bars.ask_close - bars.bid_close)[inside].mean()
    assert movement_per_cost(bars, start, STEPS)[0] == pytest.approx(moves / spread)


@pytest.mark.parametrize("kind", ["random", "guided"])
def test_initial_sessions_trade_both_ways_and_carry_no_policy(dataset: Dataset, kind: str) -> None:
    rows = dataset.splits.train.starts[:100]
    table = play_initial(dataset.market, rows, STEPS, kind, np.random.default_rng(0))  # type: ignore[arg-type]
    assert len(table) == 100
    counts = np.bincount(table.actions.ravel(), minlength=4)
    assert (counts[1:] > 20).all()
    assert counts[1] == pytest.approx(counts[2], rel=0.5)
    assert not table.visit_shares.any(), "nobody thought about these actions"
    assert np.isfinite(table.expectancy_pips).any()


@pytest.mark.parametrize("kind", ["random", "guided"])
def test_initial_sessions_compute_no_features(
    dataset: Dataset, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scattering every window would take five times as long as everything else."""

    def refuse(_: object) -> None:
        raise AssertionError("features were computed")

    monkeypatch.setattr(dataset.market, "market_rows", refuse)
    rows = dataset.splits.train.starts[:4]
    assert len(play_initial(dataset.market, rows, STEPS, kind, np.random.default_rng(0))) == 4  # type: ignore[arg-type]


def test_guided_sessions_hold_longer_than_random_ones_turn(dataset: Dataset) -> None:
    rows = dataset.splits.train.starts[:60]
    result = play(GuidedPolicy(np.random.default_rng(0)), dataset.market, rows, rows + STEPS - 1)
    assert np.mean([t.trade.bars for t in result.trades]) > 3
    assert len({t.episode for t in result.trades}) > 30


def test_the_guided_policy_reads_no_later_bar(dataset: Dataset) -> None:
    """Its first action is the same whatever follows."""
    rows = dataset.splits.train.starts[:50]

    def first_actions() -> np.ndarray:
        simulation = BatchSimulation(dataset.market, rows, rows + STEPS - 1)
        return GuidedPolicy(np.random.default_rng(1)).choose(simulation).actions

    before = first_actions()
    closes = dataset.bars.close_hp
    kept = closes.copy()
    try:
        later = np.ones(len(closes), np.bool_)
        later[(rows[:, None] - np.arange(200)).ravel()] = False
        closes[later] += 100_000
        np.testing.assert_array_equal(first_actions(), before)
    finally:
        closes[:] = kept


def test_a_run_may_begin_with_played_sessions(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    training = small.training.model_copy(update={"initial_sessions": 5, "initial_policy": "random"})
    config = small.model_copy(update={"training": training})
    trainer = trainer_of(config, tmp_path / "a", 4)
    assert trainer.replay.table.episodes.tolist() == [-5, -4, -3, -2, -1]
    assert trainer.counters.episodes == 0
    trainer.run()
    assert trainer.counters.skipped_steps == 0
    again = trainer_of(config, tmp_path / "a", 8)
    assert again.counters.round == 2, "a resumed run is not filled again"
    assert again.replay.table.episodes.tolist() == trainer.replay.table.episodes.tolist()
    assert trainer_of(small, tmp_path / "b", 4).replay.statistics().sessions == 0
