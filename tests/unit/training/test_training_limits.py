"""Hard limits of the whole trainer: met and never passed, over restarts, and without a restart loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from swt_core.checkpoints import CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import PoolConfig, ProcessLimitsConfig, SWTConfig, TrainingConfig
from swt_core.pool import SerialPool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_training.daemon import ACTOR_GB, TRAINER_GB, actors_pool, actors_that_fit
from swt_training.gauges import register_gauges
from swt_training.trainer import Trainer
from swt_training.waiting import RoundAbandoned, wait_for

TrainerFactory = Callable[..., Trainer]


class SlowClock(ManualClock):
    """Every look at it takes a second."""

    def monotonic_s(self) -> float:
        self.advance(1.0)
        return super().monotonic_s()


def limited(config: SWTConfig, root: Path, **limits: float) -> Trainer:
    workspace, clock = Workspace(root), ManualClock(1_700_000_000.0)
    process = ManagedProcess(
        "trainer",
        ProcessLimitsConfig.model_validate(limits),
        StateDirectory(workspace.training_state),
        clock,
    )
    process.__enter__()
    return Trainer(
        config,
        workspace,
        clock,
        process,
        actors=SerialPool(),
        selector=SerialPool(),
        registry=CollectorRegistry(),
    )


@pytest.mark.parametrize("episodes", [1, 3, 4])
def test_the_last_round_is_cut_so_that_the_episodes_are_met_exactly(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, episodes: int
) -> None:
    """Rounds play two episodes each."""
    trainer = trainer_of(small, tmp_path, episodes)
    trainer.run()
    assert trainer.counters.episodes == trainer.process.counters.episodes == episodes
    assert trainer.process.limit_reached == f"limit of {episodes} episodes reached"
    assert trainer.process.limit_lasts
    again = trainer_of(small, tmp_path, episodes)
    again.run()
    assert again.counters == trainer.counters
    again.process.raise_for_restart()  # nothing that a supervisor would restart


def test_no_checkpoint_is_written_beyond_their_limit(small: SWTConfig, tmp_path: Path) -> None:
    limits = {"maximum_checkpoints": 2, "maximum_episodes": 40}
    trainer = limited(small, tmp_path, **limits)
    trainer.run()
    assert trainer.process.limit_reached == "limit of 2 checkpoints reached"
    store = CheckpointStore(tmp_path / "checkpoints")
    assert len(store.list()) == trainer.process.counters.checkpoints == 2
    again = limited(small, tmp_path, **limits)
    again.run()
    assert again.counters == trainer.counters
    assert len(store.list()) == 2


def test_a_lost_counter_file_gives_the_run_no_fresh_budget(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 4).run()
    (tmp_path / "training_state" / "process.json").unlink()
    again = trainer_of(small, tmp_path, 4)
    again.run()
    assert again.counters.episodes == 4


def test_the_locked_profile_stops_where_episode_13475_did() -> None:
    from swt_core.config.loading import load_config

    limits = load_config(None, "episode_13475", {}, []).config.process_limits
    assert (limits.maximum_episodes, limits.maximum_hours) == (20_000, 24.0)
    assert (limits.maximum_memory_gb, limits.maximum_checkpoints) == (4.0, 10)


@pytest.mark.parametrize("profile", ["episode_13475", "original"])
def test_the_limit_of_checkpoints_lets_a_profile_reach_its_episodes(profile: str) -> None:
    from swt_core.config.loading import load_config

    config = load_config(None, profile, {}, []).config
    limits, every = config.process_limits, config.training.checkpoint_every_episodes
    assert limits.maximum_checkpoints * every >= limits.maximum_episodes


def test_learner_steps_end_when_a_stop_runs_out_of_patience(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(1_700_000_000.0)
    trainer = trainer_of(small, tmp_path, 100, clock)
    learn, steps = trainer.feed.learn, [0]

    def slow(*arguments: Any) -> Any:
        clock.advance(10.0)
        trainer.process.request_stop("SIGTERM")
        steps[0] += 1
        return learn(*arguments)

    monkeypatch.setattr(trainer.feed, "learn", slow)
    long = small.training.model_copy(update={"steps_per_round": 100})
    trainer.config = small.model_copy(update={"training": long})
    with pytest.raises(RoundAbandoned, match="SIGTERM"):
        trainer._round()
    # Asked for in the first step, at 10 s; before the fourth 20 of its 30 s have passed.
    assert steps[0] == 3


def test_two_waits_share_the_time_of_one_stop(tmp_path: Path) -> None:
    clock = ManualClock()
    never: Future[int] = Future()
    with ManagedProcess("trainer", ProcessLimitsConfig(), StateDirectory(tmp_path), clock) as process:
        process.request_stop("SIGTERM")
        clock.advance(15.0)
        with pytest.raises(RoundAbandoned):
            wait_for(never, process, clock, 60.0, look_s=0.001)


def test_waiting_for_actors_beats_until_it_counts_as_hung(tmp_path: Path) -> None:
    clock = SlowClock(1000.0)
    state = StateDirectory(tmp_path)
    never: Future[int] = Future()
    with ManagedProcess("trainer", ProcessLimitsConfig(heartbeat_seconds=5.0), state, clock) as process:
        process.beat("training", {"episodes": 3.0})
        beats = set()

        class Watching(ManualClock):
            """Asks for a stop after a hundred seconds, and notes the heartbeats meanwhile."""

            def monotonic_s(self) -> float:
                heartbeat = state.heartbeat()
                assert heartbeat is not None
                beats.add(heartbeat.time_s)
                assert heartbeat.status == "training"
                if clock.monotonic_s() > 1200.0:
                    process.request_stop("SIGTERM")
                return clock.monotonic_s()

        with pytest.raises(RoundAbandoned, match="SIGTERM"):
            wait_for(never, process, Watching(), longest_s=100.0, look_s=0.001)
    beaten = sorted(beats)
    assert len(beaten) > 5
    assert 1090.0 < beaten[-1] < 1130.0  # silent since then, so that a watchdog sees it


def test_a_result_that_comes_in_time_is_handed_over_even_after_a_stop(tmp_path: Path) -> None:
    clock = ManualClock()
    ready: Future[int] = Future()
    ready.set_result(7)
    with ManagedProcess("trainer", ProcessLimitsConfig(), StateDirectory(tmp_path), clock) as process:
        process.request_stop("SIGTERM")
        assert wait_for(ready, process, clock, 60.0) == 7


def test_an_abandoned_round_leaves_the_state_before_it(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted = trainer_of(small, tmp_path / "whole", 8)
    uninterrupted.run()
    first = trainer_of(small, tmp_path / "cut", 8)
    first._round()
    first._save_state()

    def outlasts(*_: object, **__: object) -> None:
        raise RoundAbandoned("SIGTERM")

    with monkeypatch.context() as stopped:
        stopped.setattr("swt_training.trainer.wait_for", outlasts)
        first.run()
    second = trainer_of(small, tmp_path / "cut", 8)
    assert second.counters.round == 1
    second.run()
    assert second.counters == uninterrupted.counters


def test_prometheus_shows_limits_actors_and_the_age_of_the_newest_checkpoint(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer = trainer_of(small, tmp_path, 4)
    trainer.run()
    registry, clock = CollectorRegistry(), ManualClock(1_700_000_030.0)
    register_gauges(registry, trainer.process, clock, tmp_path / "checkpoints", SerialPool())
    text = generate_latest(registry).decode()
    assert 'swt_training_limit_used_ratio{limit="episodes"} 1.0' in text
    assert "swt_training_at_limit 1.0" in text
    assert 'swt_training_actor_events{event="dead"} 0.0' in text
    assert 'swt_training_actor_events{event="hung"} 0.0' in text
    assert 'swt_training_actor_events{event="replaced"} 0.0' in text
    assert "swt_training_checkpoint_age_seconds 30.0" in text


def test_a_rounds_figures_reach_prometheus_and_the_metrics_file(small: SWTConfig, tmp_path: Path) -> None:
    trainer = limited(small, tmp_path, maximum_episodes=4)
    trainer.run()
    figures = trainer.metrics._gauges
    line = (tmp_path / "training_state" / "metrics.jsonl").read_text()
    for name in (
        "Alarm/hold_only",
        "Alarm/action_collapse",
        "Alarm/chance_collapse",
        "Alarm/value_explosion",
        "Alarm/not_finite",
        "Loss/total",
        "Training/learning_rate",
        "Training/buffer_sessions",
        "Rolling/trades",
        "Rolling/action_hold",
    ):
        assert f'"{name}"' in line, name
        assert math.isfinite(figures[name]._value.get()), name
    recorded = {name for record in line.splitlines() for name in json.loads(record) if "/" in name}
    assert recorded <= set(figures)
    assert list((tmp_path / "training_state" / "tensorboard").glob("events.out.*"))


@pytest.mark.parametrize(
    ("cores", "limit_gb", "actors"), [(1, 6.0, 1), (6, 6.0, 6), (54, 6.0, 8), (54, 32.0, 54), (13, 1.0, 1)]
)
def test_by_default_no_more_actors_start_than_the_memory_limit_has_room_for(
    cores: int, limit_gb: float, actors: int
) -> None:
    """Sixteen cores would otherwise meet the default limit with their first look at it, and again."""
    limits = ProcessLimitsConfig(maximum_memory_gb=limit_gb)
    config = SWTConfig(process_limits=limits)
    assert actors_that_fit(config, cores) == actors
    assert actors * ACTOR_GB + TRAINER_GB <= limit_gb or actors == 1
    written_down = config.model_copy(update={"training": TrainingConfig(actors=20)})
    assert actors_that_fit(written_down, cores) == 20
    cluster = config.model_copy(update={"pool": PoolConfig(kind="ray")})
    assert actors_that_fit(cluster, cores) == 0


@pytest.mark.parametrize(
    ("timeout_s", "longest_minutes", "expected_s"), [(1800, 30, 600), (60, 30, 60), (600, 9, 180)]
)
def test_a_hung_actor_is_replaced_before_its_round_is_too_long(
    small: SWTConfig, timeout_s: float, longest_minutes: float, expected_s: float
) -> None:
    alarms = small.trainer_alarms.model_copy(update={"longest_round_minutes": longest_minutes})
    pool = small.pool.model_copy(update={"task_timeout_seconds": timeout_s})
    config = small.model_copy(update={"trainer_alarms": alarms, "pool": pool})
    assert actors_pool(config).task_timeout_seconds == expected_s
