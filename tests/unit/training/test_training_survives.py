"""A run ends at any moment and goes on as if it had not: power cuts, SIGKILL, SIGTERM, a full disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from swt_core.checkpoints import CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.errors import StateError
from swt_core.process import ProcessCounters
from swt_core.state import StateDirectory, read_json
from swt_models.export import export_weights
from swt_training.alarms import ALARMS_FILE, AlarmName, TrainerAlarms
from swt_training.resume import load_state
from swt_training.trainer import Trainer
from swt_training.waiting import RoundAbandoned

TrainerFactory = Callable[..., Trainer]
ROUNDS = 3


class PowerCut(BaseException):
    """Nothing catches it, as nothing catches a cut."""


def go_on(trainer: Trainer) -> Trainer:
    """Play up to the last round; after a cut the process may have counted the repeated work already."""
    while trainer.counters.round < ROUNDS:
        trainer._round()
        trainer._save_state()
        if trainer.counters.round == 2:
            trainer._select()
            trainer._publisher.publish(trainer.network, wait=True)
    return trainer


def assert_equal_runs(left: Trainer, right: Trainer) -> None:
    assert left.counters == right.counters
    for arrays in (
        (export_weights(left.network), export_weights(right.network)),
        (left.replay.arrays(), right.replay.arrays()),
        (left.watch.arrays(), right.watch.arrays()),
    ):
        assert arrays[0].keys() == arrays[1].keys()
        for name, array in arrays[0].items():
            np.testing.assert_array_equal(array, arrays[1][name], err_msg=name)


def cut_at(write: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power goes at the ``write``-th replacement of a file, before it happens."""
    replace, count = os.replace, [0]

    def replaced(*names: Path) -> None:
        count[0] += 1
        if count[0] == write:
            raise PowerCut
        replace(*names)

    monkeypatch.setattr("swt_core.state.os.replace", replaced)


# Every few writes in the fast suite; the slow one tries each.
@pytest.mark.parametrize(
    "write",
    [pytest.param(write, marks=() if write in (5, 9, 16) else pytest.mark.slow) for write in range(1, 22)],
)
def test_a_power_cut_at_any_write_changes_nothing_in_what_is_learned(
    small: SWTConfig,
    trainer_of: TrainerFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: int,
) -> None:
    whole = go_on(trainer_of(small, tmp_path / "whole", 100))
    with monkeypatch.context() as power:
        cut_at(write, power)
        with suppress(PowerCut):
            go_on(trainer_of(small, tmp_path / "cut", 100))
    after = go_on(trainer_of(small, tmp_path / "cut", 100))
    assert_equal_runs(whole, after)
    for ref in CheckpointStore(tmp_path / "cut" / "checkpoints").list():
        CheckpointStore(tmp_path / "cut" / "checkpoints").load(ref)


def test_a_full_disk_raises_an_alarm_that_goes_when_there_is_room_again(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(small, tmp_path, 100)
    trainer._round()

    def raised() -> set[str]:
        found = read_json(tmp_path / "training_state" / ALARMS_FILE, TrainerAlarms)
        return set() if found is None else {alarm.name for alarm in found.alarms}

    def full(*_: object, **__: object) -> None:
        raise StateError(os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("swt_training.trainer.save_state", full)
        trainer._save_state()
    trainer._round()
    assert AlarmName.DISK in raised()
    trainer._save_state()
    trainer._round()
    assert AlarmName.DISK not in raised()


def test_checkpoints_come_every_so_many_episodes_but_at_most_one_a_minute(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    pace = {"checkpoint_every_episodes": 10, "checkpoint_minimum_seconds": 60.0}
    training = small.training.model_copy(update=pace)
    trainer = trainer_of(small.model_copy(update={"training": training}), tmp_path, 100)
    publisher, clock = trainer._publisher, trainer.clock
    assert not publisher.due(10)
    clock.advance(60)
    assert not publisher.due(9)
    assert publisher.due(10)
    trainer._round()
    trainer._select()
    publisher.publish(trainer.network, wait=True)
    clock.advance(59)
    assert not publisher.due(100)
    clock.advance(1)
    assert publisher.due(trainer.counters.episodes + 10)


def test_the_defaults_are_ten_episodes_a_minute_and_five_kept() -> None:
    training = SWTConfig().training
    assert training.checkpoint_every_episodes == 10
    assert training.checkpoint_minimum_seconds == 60.0
    assert training.keep_last_checkpoints == 5
    assert training.keep_improvement_pips == 0.5


def test_the_last_checkpoint_of_a_run_at_its_limit_is_not_lost_with_its_selection(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trainer_of(small, tmp_path, 6)

    def outlasts(*_: object, **__: object) -> None:
        raise RoundAbandoned("SIGTERM")

    with monkeypatch.context() as stopped:
        stopped.setattr("swt_training.publishing.wait_for", outlasts)
        stopped.setattr(first._publisher, "due", lambda _: False)
        first.run()
    store = CheckpointStore(tmp_path / "checkpoints")
    assert first.counters.episodes == 6
    assert store.list() == []
    for _ in range(2):  # once is enough
        trainer_of(small, tmp_path, 6).run()
        assert [ref.metadata.episode for ref in store.list()] == [6]


@pytest.mark.parametrize("saved", [0, 1])
def test_a_kill_gives_no_episode_twice_to_the_limit(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, saved: int
) -> None:
    whole = trainer_of(small, tmp_path / "whole", 8)
    whole.run()
    killed = trainer_of(small, tmp_path / "cut", 8)
    for _ in range(saved):
        killed._round()
        killed._save_state()
    for _ in range(2):
        killed._round()
    after = trainer_of(small, tmp_path / "cut", 8)
    assert after.process.counters.episodes == after.counters.episodes == 2 * saved
    assert after.process.counters.repeated_episodes == 4
    after.run()
    assert_equal_runs(whole, after)


def test_checkpoints_of_another_run_in_the_same_place_use_up_nothing(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    first = trainer_of(small, tmp_path, 8)
    first.run()
    assert first.process.counters.checkpoints >= 1
    for left in (tmp_path / "training_state").iterdir():
        if left.is_file():
            left.unlink()
    clock = ManualClock(1_800_000_000.0)
    monthly = small.model_copy(
        update={"training": small.training.model_copy(update={"checkpoint_every_episodes": 1000})}
    )
    second = trainer_of(monthly, tmp_path, 100, clock)
    second._round()
    second._save_state()
    third = trainer_of(monthly, tmp_path, 100, clock)
    assert third.counters.run == second.counters.run != first.counters.run
    assert third.process.counters.checkpoints == 0
    assert third._publisher.is_new(third.counters.episodes)


def test_a_clock_that_was_set_back_deletes_no_newest_checkpoint(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    training = small.training.model_copy(update={"keep_last_checkpoints": 1, "keep_improvement_pips": 1e9})
    config = small.model_copy(update={"training": training})
    trainer_of(config, tmp_path, 8).run()
    trainer_of(config, tmp_path, 16, ManualClock(1_600_000_000.0)).run()
    newest = CheckpointStore(tmp_path / "checkpoints").newest()
    assert newest is not None
    assert newest.metadata.episode == 16


def test_a_checkpoint_that_no_file_speaks_of_is_announced_at_the_next_start(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 4).run()
    store = CheckpointStore(tmp_path / "checkpoints")
    named = store.best()
    (tmp_path / "checkpoints" / "best.json").unlink()
    (tmp_path / "training_state" / "last_episode.txt").unlink()
    trainer_of(small, tmp_path, 4)
    assert store.best() == named
    assert (tmp_path / "training_state" / "last_episode.txt").read_text() == "4\n"


def test_what_a_crash_left_beside_the_checkpoints_goes_with_the_next_start(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 4).run()
    directory = tmp_path / "checkpoints"
    (known,) = directory.glob("checkpoint_*.safetensors")
    torn = (directory / ".checkpoint.tmp", directory / "checkpoint_v1.0.0_ep999_arch-x.safetensors")
    for path in torn:
        path.write_bytes(b"torn")
    trainer_of(small, tmp_path, 8)
    assert known.exists()
    assert [path.exists() for path in torn] == [False, True], "what is whole may be of another manifest"


def test_the_last_published_episode_is_on_disk_as_text(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer_of(small, tmp_path, 8).run()
    assert (tmp_path / "training_state" / "last_episode.txt").read_text() == "8\n"


def test_nothing_is_deleted_while_the_validators_queue_cannot_be_read(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    training = small.training.model_copy(update={"keep_last_checkpoints": 1})
    (tmp_path / "validation_state").mkdir()
    (tmp_path / "validation_state" / "queue.json").write_text("torn")
    trainer = trainer_of(small.model_copy(update={"training": training}), tmp_path, 20)
    trainer.run()
    # How many were published depends on how fast the selection beside the run is.
    published = trainer.process.counters.checkpoints
    assert len(CheckpointStore(tmp_path / "checkpoints").list()) == published >= 2


COMMAND = """
    import json, sys
    from swt_cli.main import main
    sys.argv = ["swt", "train", *json.loads(sys.argv[1])]
    main()
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)  # five starts of a whole trainer, on whatever machine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_real_process_is_ended_again_and_again_and_learns_the_same(
    tmp_path: Path, number: signal.Signals
) -> None:
    """One actor, ended after each saved state, against a run nobody touched."""
    settings = {
        "data.market": "regimes", "data.market_days": 30, "data.session_bars": 60, "model.hidden_dim": 32,
        "model.support_bins": 61, "training.actors": 1, "training.sessions_per_step": 3,
        "training.replayed_sessions_per_step": 1, "training.steps_per_round": 2,
        "training.episodes_per_actor": 2, "training.unroll_batch": 16, "training.action_value_roots": 8,
        "training.selection_sessions": 10, "trading.search.simulations": 3,
        "training.checkpoint_minimum_seconds": 0, "training.head_start_steps": 3,
    }  # fmt: skip
    begun: list[subprocess.Popen[bytes]] = []

    def run(root: Path, episodes: int) -> subprocess.Popen[bytes]:
        wanted = {**settings, "process_limits.maximum_episodes": episodes}
        overrides = [part for key, value in wanted.items() for part in ("--set", f"{key}={value}")]
        arguments = json.dumps([*overrides, "--state-dir", str(root), "--health-port", "0"])
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(COMMAND), arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begun.append(process)
        return process

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    state = StateDirectory(cut / "training_state")
    try:
        assert run(whole, 50).wait() == 0
        for _ in range(3):
            newest = sorted(state.path.glob("resume_*.json"))[-1:]
            process = run(cut, 50)
            while process.poll() is None and sorted(state.path.glob("resume_*.json"))[-1:] == newest:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
            assert process.poll() is None
            process.send_signal(number)
            assert process.wait() == (-number if number == signal.SIGKILL else 0)
        assert run(cut, 50).wait() == 0
        counted = state.read("process.json", ProcessCounters)
        assert counted is not None
        assert counted.episodes == 50
        if number == signal.SIGTERM:
            assert counted.repeated_episodes == 0
    finally:
        for process in begun:
            process.kill()
            process.wait()
    assert load_rounds(whole) == load_rounds(cut)
    ends = [load_state(StateDirectory(root / "training_state")) for root in (whole, cut)]
    assert ends[0] is not None
    assert ends[1] is not None
    own = {"run": "", "hours": 0.0}  # when it began, and how long it took
    assert ends[0][0].model_copy(update=own) == ends[1][0].model_copy(update=own)
    assert ends[0][0].episodes == 50
    assert ends[0][1].keys() == ends[1][1].keys()
    for name, array in ends[0][1].items():
        np.testing.assert_array_equal(array, ends[1][1][name], err_msg=name)


def load_rounds(root: Path) -> dict[tuple[int, str], float]:
    """What every round measured of learning; repeated rounds must have measured the same."""
    found: dict[tuple[int, str], float] = {}
    for line in (root / "training_state" / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line or "{}")
        for name, value in row.items():
            # By round, not by episode: before self-play begins every round has the same episode.
            if "Training/rounds" in row and name.startswith(("Loss/", "Performance/", "Rolling/")):
                assert found.setdefault((row["Training/rounds"], name), value) == value, name
    return found


def test_a_saved_state_holds_everything_the_next_start_needs(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer = trainer_of(small, tmp_path, 4)
    trainer.run()
    saved = load_state(trainer.state)
    assert saved is not None
    assert {name.split("/")[0] for name in saved[1]} >= {"weights", "optimizer", "replay", "rolling"}
