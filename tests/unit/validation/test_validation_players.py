"""A checkpoint plays: as live decides, the same however it is shared out, never longer than it may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.random_network import random_network
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.pool import SerialPool
from swt_data.synthetic import synthetic_bars
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import Choices, RolloutResult, SearchPolicy, play
from swt_models.architecture import architecture_name, describe
from swt_models.export import export_weights
from swt_models.observation import ObservationShape
from swt_validation.analysis import AgentRun
from swt_validation.held_out import Episodes
from swt_validation.levels import Deadline
from swt_validation.players import (
    CheckpointPlayer,
    Interrupted,
    OutOfTime,
    PolicyPlayer,
    Setting,
    _parts,
    _play_task,
    _Task,
    agent_run,
    played_whole,
)
from swt_validation.recall import RecallingPolicy, no_decisions
from swt_validation.sensitivity import wider_spread

BARS = synthetic_bars("regimes", 5, 3, instrument("GBP_JPY"))
CONFIG = SWTConfig.model_validate(
    {
        "model": {"hidden_dim": 16, "support_bins": 11},
        "trading": {"minimum_confidence": 0.3, "search": {"simulations": 4}},
    }
)
SETTING = Setting(BARS, CONFIG)
FIRST = np.array([300, 500, 420, 900, 1200])
EPISODES = Episodes("sessions", FIRST, FIRST + 90)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> CheckpointRef:
    processor = FeatureProcessor(CONFIG.features, BARS.instrument)
    shape = ObservationShape.for_profile(
        CONFIG.features.profile, processor.market_size, processor.position_size
    )
    ranges = {f"{name}_{edge}_s": 0 for name in ("train", "validation", "test") for edge in ("start", "end")}
    metadata = CheckpointMetadata(
        architecture=architecture_name(CONFIG.model, shape),
        feature_profile=CONFIG.features.profile,
        feature_version=processor.version,
        episode=1,
        version="1.0.0",
        config_hash="c",
        data=CheckpointData(source="x", sha256="a" * 64, instrument="GBP_JPY", synthetic=True, **ranges),
        model_settings=describe(CONFIG.model, shape),
        created_s=0.0,
    )
    network = random_network(CONFIG.model, shape, 2, 0.5)
    directory = tmp_path_factory.mktemp("checkpoints")
    return CheckpointStore(directory).save(export_weights(network), metadata)


@pytest.fixture(scope="module")
def engine(checkpoint: CheckpointRef) -> InferenceEngine:
    return InferenceEngine.from_checkpoint(checkpoint, CONFIG.trading.search)


class LiveDecisions:
    """Decides one observation at a time, by the call that the live trader makes."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.engine = engine

    def choose(self, simulation: BatchSimulation) -> Choices:
        observations, masks = simulation.observe(), simulation.masks()
        actions = np.zeros(simulation.batch, np.int64)
        for row in np.flatnonzero(simulation.active):
            found = self.engine.decide(observations[row], masks[row], minimum_confidence=0.3)
            actions[row] = found.action
        return Choices(actions)


def same(one: AgentRun, other: AgentRun) -> bool:
    mine, theirs = one.evaluation, other.evaluation
    return (
        np.array_equal(mine.equity_pips, theirs.equity_pips)
        and np.array_equal(mine.bar_time_s, theirs.bar_time_s)
        and all(
            np.array_equal(getattr(mine.trades, name), getattr(theirs.trades, name))
            for name in mine.trades.__dataclass_fields__
        )
        and one.actions == other.actions
    )


def plain(engine: InferenceEngine, setting: Setting = SETTING) -> AgentRun:
    market = setting.market()
    policy = SearchPolicy(engine, minimum_confidence=0.3)
    found = play(policy, market, EPISODES.first_rows, EPISODES.last_rows, keep_equity=True)
    return agent_run(found, market, EPISODES)


def test_a_checkpoint_plays_as_live_decides(checkpoint: CheckpointRef, engine: InferenceEngine) -> None:
    played = CheckpointPlayer(checkpoint, SerialPool()).play(SETTING, EPISODES)
    live = PolicyPlayer(lambda _: LiveDecisions(engine)).play(SETTING, EPISODES)
    assert len(played.evaluation.trades) >= 3
    assert same(played, live)


def test_what_is_remembered_changes_nothing(checkpoint: CheckpointRef, engine: InferenceEngine) -> None:
    player = CheckpointPlayer(checkpoint, SerialPool())
    wider = replace(SETTING, bars=wider_spread(BARS, 1.5))
    first, again, dearer = (player.play(setting, EPISODES) for setting in (SETTING, SETTING, wider))
    assert same(first, plain(engine))
    assert same(again, first)
    assert same(dearer, plain(engine, wider))
    assert not np.array_equal(dearer.evaluation.equity_pips, first.evaluation.equity_pips)


def test_another_search_remembers_nothing_of_the_first(checkpoint: CheckpointRef) -> None:
    player = CheckpointPlayer(checkpoint, SerialPool())
    player.play(SETTING, EPISODES)
    deeper = SETTING.with_search(CONFIG.trading.search.model_copy(update={"simulations": 9}))
    fresh = CheckpointPlayer(checkpoint, SerialPool()).play(deeper, EPISODES)
    assert same(player.play(deeper, EPISODES), fresh)


def test_a_known_question_is_not_searched_again(engine: InferenceEngine) -> None:
    market = SETTING.market()

    def asked(policy: RecallingPolicy) -> RolloutResult:
        return play(policy, market, EPISODES.first_rows, EPISODES.last_rows)

    first = RecallingPolicy(engine, 0.3, no_decisions())
    asked(first)
    assert 0 < first.asked == len(first.learnt) < 5 * 91
    second = RecallingPolicy(engine, 0.3, first.learnt)
    asked(second)
    assert second.asked == len(second.learnt) == 0


class Shares(SerialPool):
    """Counts as several workers, so that episodes are shared out."""

    workers = 3


def test_shares_make_one_run(checkpoint: CheckpointRef, engine: InferenceEngine) -> None:
    assert same(CheckpointPlayer(checkpoint, Shares()).play(SETTING, EPISODES), plain(engine))


@pytest.mark.parametrize(("count", "workers", "batch"), [(1, 2, 32), (26, 2, 32), (500, 2, 128), (65, 2, 32)])
def test_shares_are_equal_hold_every_episode_once_and_fit_a_batch(
    count: int, workers: int, batch: int
) -> None:
    parts = _parts(count, workers, batch)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    sizes = [len(part) for part in parts]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == 1 or len(parts) % workers == 0


class Ticking(ManualClock):
    """A clock that a second passes by on each time it is asked."""

    def monotonic_s(self) -> float:
        self.advance(1.0)
        return super().monotonic_s()


def test_a_run_stops_at_the_step_at_which_time_is_up(checkpoint: CheckpointRef) -> None:
    clock = Ticking(0.0)
    with pytest.raises(OutOfTime):
        CheckpointPlayer(checkpoint, SerialPool()).play(SETTING, EPISODES, Deadline(clock, 50.0))
    assert clock.time_s() < 60.0


def test_shares_that_were_finished_in_time_count(checkpoint: CheckpointRef, engine: InferenceEngine) -> None:
    deadline = Deadline(Ticking(0.0), 150.0)
    run = CheckpointPlayer(checkpoint, Shares()).play(SETTING, EPISODES, deadline)
    assert run.first_rows.tolist() == FIRST[[0, 3]].tolist()
    whole = plain(engine).evaluation
    expected = whole.equity_pips[np.isin(whole.bar_episode, [0, 3])]
    assert np.array_equal(run.evaluation.equity_pips, expected)
    assert deadline.missing == []
    assert played_whole(CheckpointPlayer(checkpoint, Shares()), SETTING, EPISODES, deadline, "x") is None
    assert deadline.missing == ["x"]


def test_half_a_run_is_no_row_of_a_comparison(checkpoint: CheckpointRef) -> None:
    deadline = Deadline(Ticking(0.0), 150.0)
    player = CheckpointPlayer(checkpoint, Shares())
    assert played_whole(player, SETTING, EPISODES, deadline, "noise") is None
    assert deadline.missing == ["noise"]


def test_a_worker_looks_at_the_time_itself(checkpoint: CheckpointRef) -> None:
    task = _Task(checkpoint, SETTING, EPISODES, no_decisions(), until_s=1.0)
    assert _play_task(task).played is None
    assert _play_task(replace(task, until_s=None)).played is not None


def test_a_request_to_stop_ends_it_without_a_result(checkpoint: CheckpointRef) -> None:
    with pytest.raises(Interrupted):
        CheckpointPlayer(checkpoint, SerialPool(), lambda: True).play(SETTING, EPISODES)
