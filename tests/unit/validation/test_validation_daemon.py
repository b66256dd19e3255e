"""The validator watches: what is due, what is judged once, what it survives."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig, ValidationConfig
from swt_core.errors import CorruptCheckpointError, DataError
from swt_core.protected import QUEUE_FILE, ValidationQueue, protected_by_validation
from swt_core.state import StateDirectory, read_json, write_json
from swt_core.verdict import Decision, Verdict, VerdictData, VerdictStatistics
from swt_validation.daemon import Validator, _Pulse
from swt_validation.ledger import Trial, append_trial
from swt_validation.metrics import ValidatorMetrics
from swt_validation.triggers import History, due, waiting

SETTINGS = ValidationConfig()
DATA = CheckpointData(
    source="x",
    sha256="a" * 64,
    instrument="GBP_JPY",
    synthetic=True,
    train_start_s=0,
    train_end_s=1,
    validation_start_s=2,
    validation_end_s=3,
    test_start_s=4,
    test_end_s=5,
)


def metadata(episode: int, expectancy: float | None = None) -> CheckpointMetadata:
    return CheckpointMetadata(
        architecture="a",
        feature_profile="swt",
        feature_version="f",
        episode=episode,
        version="1.0.0",
        config_hash="c",
        data=DATA,
        expectancy_pips=expectancy,
        created_s=float(episode),
    )


def ref(episode: int, expectancy: float | None = None) -> CheckpointRef:
    return CheckpointRef(Path(f"{episode}.safetensors"), f"{episode:064d}", metadata(episode, expectancy))


def judged(*episodes: int, level: Any = "STANDARD") -> set[tuple[str, Any]]:
    return {(f"{episode:064d}", level) for episode in episodes}


def test_a_new_best_is_judged_at_the_configured_level() -> None:
    found = due([ref(1), ref(2)], ref(1), History(), SETTINGS, 0.0)
    assert found is not None
    assert (found.checkpoint.sha256, found.level) == (ref(1).sha256, "FULL")


def test_only_the_newest_counts_when_it_falls_behind() -> None:
    history = History(judged(1), None, 1, 1.0)
    found = waiting([ref(n, 1.0) for n in (1, 150, 300, 450)], None, history, SETTINGS)
    assert [entry.checkpoint.metadata.episode for entry in found] == [450]


def test_a_gain_in_expectancy_is_a_reason() -> None:
    history = History(judged(1), None, 1, 2.0)
    assert waiting([ref(1), ref(2, 2.19)], None, history, SETTINGS) == []
    (found,) = waiting([ref(1), ref(2, 2.21)], None, history, SETTINGS)
    assert "expectancy" in found.reason


def test_a_gain_from_a_loss_is_measured_against_its_size() -> None:
    history = History(judged(1), None, 1, -4.0)
    assert waiting([ref(2, -3.7)], None, history, SETTINGS) == []
    assert len(waiting([ref(2, -3.5)], None, history, SETTINGS)) == 1


def test_a_hundred_episodes_are_a_reason() -> None:
    history = History(judged(1), None, 1, None)
    assert waiting([ref(100)], None, history, SETTINGS) == []
    assert len(waiting([ref(101)], None, history, SETTINGS)) == 1


def test_six_hours_are_a_reason() -> None:
    history = History(judged(1), 1000.0, 1, None)
    assert due([ref(1), ref(2)], None, history, SETTINGS, 1000.0 + 5.9 * 3600) is None
    found = due([ref(1), ref(2)], None, history, SETTINGS, 1000.0 + 6 * 3600)
    assert found is not None
    assert found.checkpoint.metadata.episode == 2


def test_nothing_runs_within_fifteen_minutes_of_the_last_run() -> None:
    history = History(set(), 1000.0, 1, None)
    assert due([ref(500)], ref(500), history, SETTINGS, 1000.0 + 14 * 60) is None
    assert due([ref(500)], ref(500), history, SETTINGS, 1000.0 + 15 * 60) is not None


def test_nothing_is_judged_twice() -> None:
    history = History(judged(7) | judged(7, level="FULL"), 0.0, 7, 1.0)
    assert due([ref(7)], ref(7), history, SETTINGS, 1e9) is None
    assert due([ref(7)], None, History(judged(7, level="FULL"), 0.0, 7, 1.0), SETTINGS, 1e9) is None


class FakeJudge:
    """Writes the ledger as the real judge does, or fails as told."""

    def __init__(self, state: Path, clock: ManualClock) -> None:
        self.state, self.clock = state, clock
        self.asked: list[tuple[int, str]] = []
        self.error: Exception | None = None
        self.queue_while_running: ValidationQueue | None = None
        self.writes_verdict = True

    def __call__(self, checkpoint: CheckpointRef, level: Any, progress: Any) -> Any:
        self.asked.append((checkpoint.metadata.episode, level))
        self.queue_while_running = read_json(self.state / QUEUE_FILE, ValidationQueue)
        progress("playing")
        if self.error is not None:
            raise self.error
        append_trial(
            self.state,
            Trial(
                schema_version=1,
                checkpoint_sha256=checkpoint.sha256,
                checkpoint_name=checkpoint.name,
                level=level,
                bars_sha256="b" * 64,
                test_start_s=0,
                test_end_s=1,
                decision="REJECT",
                score=0.0,
                daily_sharpe=None,
                weeks=(),
                weekly_returns=(),
                created_s=self.clock.time_s(),
            ),
        )

        verdict = Verdict(
            checkpoint_name=checkpoint.name,
            checkpoint_sha256=checkpoint.sha256,
            config_hash="c" * 64,
            level=level,
            decision=Decision.REJECT,
            score=50.0,
            grade="D",
            data=VerdictData(
                source="file", sha256="b" * 64, instrument="GBP_JPY", synthetic=True, start_s=0, end_s=1
            ),
            statistics=VerdictStatistics(trades=40, safe_f=1.25),
            created_s=self.clock.time_s(),
            expires_s=self.clock.time_s() + 1.0,
        )
        if self.writes_verdict:
            write_json(self.state / checkpoint.sha256 / level / "verdict.json", verdict)
        return SimpleNamespace(verdict=verdict)


class World:
    """A trainer's directory, a validator's directory and a clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = CheckpointStore(tmp_path / "checkpoints")
        self.state = StateDirectory(tmp_path / "validation_state")
        self.clock = ManualClock(1_000_000.0)
        self.judge = FakeJudge(self.state.path, self.clock)
        self.registry = CollectorRegistry()
        self.validator = self.start()

    def start(self) -> Validator:
        self.registry = CollectorRegistry()
        return Validator(
            self.store, self.state, SWTConfig(), self.clock, self.judge, ValidatorMetrics(self.registry)
        )

    def save(self, episode: int, *, best: bool = False) -> CheckpointRef:
        saved = self.store.save({"w": np.full(2, episode, np.float32)}, metadata(episode))
        if best:
            self.store.mark_best(saved)
        return saved

    def look_later(self, minutes: float = 16.0) -> Any:
        self.clock.advance(minutes * 60)
        return self.validator.look()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_empty_directory_is_waited_for(world: World) -> None:
    assert world.validator.look() is None
    assert world.validator.status == "waiting"


def test_a_new_best_is_judged_and_only_once(world: World) -> None:
    world.save(10, best=True)
    assert world.validator.look() is not None
    assert world.look_later() is None
    assert world.look_later(24 * 60) is None
    assert world.judge.asked == [(10, "FULL")]


def test_a_restart_judges_nothing_again(world: World) -> None:
    world.save(10, best=True)
    world.validator.look()
    world.validator = world.start()
    assert world.look_later(24 * 60) is None
    assert world.judge.asked == [(10, "FULL")]


def test_the_queue_protects_what_is_under_validation(world: World) -> None:
    saved = world.save(10, best=True)
    newer = world.save(500)
    world.validator.look()
    queue = world.judge.queue_while_running
    assert queue is not None
    assert (queue.running, queue.queued) == (saved.sha256, (newer.sha256,))
    assert protected_by_validation(world.state.path, 0.0) == {newer.sha256}


def test_a_corrupt_checkpoint_is_refused_and_the_next_one_judged(world: World) -> None:
    world.save(10, best=True)
    world.judge.error = CorruptCheckpointError("wrong bytes")
    assert world.look_later() is None
    assert "wrong bytes" in world.validator.status
    world.judge.error = None
    assert world.look_later() is None
    assert world.judge.asked == [(10, "FULL")]
    world.save(900, best=True)
    world.look_later()
    assert world.judge.asked[-1] == (900, "FULL")


def test_broken_files_are_reported_and_survived(world: World) -> None:
    world.save(10, best=True)
    manifest = world.store.directory / "manifest.json"
    sound = manifest.read_bytes()
    manifest.write_bytes(sound[: len(sound) // 2])
    assert world.look_later() is None
    assert "cannot read" in world.validator.status
    manifest.write_bytes(sound)
    assert world.look_later() is not None


def test_a_broken_best_file_does_not_stop_the_newest(world: World) -> None:
    world.save(10)
    (world.store.directory / "best.json").write_text("{")
    assert world.look_later() is not None
    assert world.judge.asked == [(10, "STANDARD")]


def test_a_checkpoint_that_vanished_is_no_longer_due(world: World) -> None:
    saved = world.save(10)
    saved.path.unlink()
    assert world.look_later() is None
    assert world.judge.asked == []


def test_metrics_count_verdicts_and_failures(world: World) -> None:
    world.save(10, best=True)
    world.look_later()
    world.judge.error = DataError("no")
    world.save(400, best=True)
    world.look_later()
    labels = {"level": "FULL", "decision": "REJECT"}
    assert world.registry.get_sample_value("swt_validator_verdicts_total", labels) == 1
    assert world.registry.get_sample_value("swt_validator_failures_total") == 1
    assert world.registry.get_sample_value("swt_validator_runs_total", {"level": "FULL"}) == 2
    assert world.registry.get_sample_value("swt_validator_running") == 0
    assert world.registry.get_sample_value("swt_validator_last_decision", {"decision": "REJECT"}) == 1
    assert world.registry.get_sample_value("swt_validator_last_decision", {"decision": "DEPLOY"}) == 0


def test_the_last_verdicts_figures_are_told_also_after_a_restart(world: World) -> None:
    def shown(name: str) -> float:
        found = world.registry.get_sample_value(f"swt_validator_{name}")
        assert found is not None
        return found

    assert math.isnan(shown("safe_f"))
    assert math.isnan(shown("last_verdict_time_seconds"))
    world.save(10, best=True)
    world.look_later()
    judged_s = shown("last_verdict_time_seconds")
    assert (shown("score"), shown("safe_f"), shown("trades")) == (50.0, 1.25, 40.0)
    assert math.isnan(shown("sqn"))
    world.validator = world.start()
    assert (shown("safe_f"), shown("last_verdict_time_seconds")) == (1.25, judged_s)


def test_a_ledger_or_verdict_that_cannot_be_read_shows_nothing(tmp_path: Path) -> None:
    for text in ("", "{"):
        (tmp_path / "ledger.jsonl").write_text(text)
        registry = CollectorRegistry()
        ValidatorMetrics(registry).restore(tmp_path)
        assert math.isnan(registry.get_sample_value("swt_validator_score") or 0.0)


def test_status_is_told_while_it_works(world: World) -> None:
    told: list[str] = []
    world.validator.on_status = told.append
    world.save(10, best=True)
    world.validator.look()
    assert any("playing" in status for status in told)
    assert replace(ref(1), sha256="x").sha256 == "x"


def test_a_trial_without_a_verdict_is_judged_again(world: World) -> None:
    """It was killed between ledger and verdict, or judged by hand on other bars."""
    world.save(10, best=True)
    world.judge.writes_verdict = False
    world.validator.look()
    world.judge.writes_verdict = True
    world.validator = world.start()
    assert world.look_later() is not None
    assert world.look_later() is None
    assert world.judge.asked == [(10, "FULL")] * 2


def test_a_half_written_checkpoint_does_not_exist_yet(world: World) -> None:
    saved = world.save(10, best=True)
    whole = saved.path.read_bytes()
    (world.store.directory / "checkpoint_v1.0.0_ep900.safetensors").write_bytes(whole[: len(whole) // 2])
    assert world.validator.look() is not None
    assert world.look_later(24 * 60) is None
    assert world.judge.asked == [(10, "FULL")]


def test_queue_and_its_age_are_told(world: World) -> None:
    world.save(10, best=True)
    world.save(500)
    world.validator.look()
    world.look_later(10.0)
    assert world.registry.get_sample_value("swt_validator_queue") == 1
    waits_s = world.registry.get_sample_value("swt_validator_queue_age_seconds")
    assert waits_s == world.clock.time_s() - 500.0
    world.look_later()
    world.look_later()
    assert world.registry.get_sample_value("swt_validator_queue") == 0
    assert world.registry.get_sample_value("swt_validator_queue_age_seconds") == 0
    assert world.registry.get_sample_value("swt_validator_last_verdict_time_seconds") is not None


def test_the_heartbeat_goes_on_while_one_stage_takes_long() -> None:
    class Process:
        """Counts what a managed process is told; it beats without pause."""

        heartbeat_seconds = 0.0

        def __init__(self) -> None:
            self.kept_alive = Event()
            self.told: list[str] = []

        def beat(self, status: str) -> None:
            self.told.append(status)

        def keep_alive(self) -> None:
            self.kept_alive.set()

    process: Any = Process()
    with _Pulse(process, 3600.0) as pulse:
        pulse.beat("playing")
        assert process.kept_alive.wait(30)
    assert process.told == ["playing"]


def test_the_heartbeat_ends_when_the_main_loop_has_been_silent_for_too_long() -> None:
    class Process:
        """Asks for a heartbeat every 1 ms, of which three may pass without a word."""

        heartbeat_seconds = 0.001
        kept_alive = 0

        def beat(self, status: str) -> None:
            self.kept_alive = 0

        def keep_alive(self) -> None:
            self.kept_alive += 1

    process: Any = Process()
    pulse = _Pulse(process, 0.0035)
    pulse.beat("playing")
    waits = 0

    def pause(_: float) -> bool:
        nonlocal waits
        waits += 1
        return waits > 20

    pulse._done.wait = pause  # type: ignore[method-assign, assignment]
    with pulse:
        pulse._thread.join(30)
    assert waits == 21
    assert process.kept_alive == 3
