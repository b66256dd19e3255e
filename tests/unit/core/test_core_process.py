"""Managed process: limits nobody passes, counters that outlive restarts, stops that end."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from swt_core.clock import ManualClock
from swt_core.config import ProcessLimitsConfig
from swt_core.errors import LimitReached, StateError
from swt_core.process import (
    DUMP_FILE,
    STOP_TIMEOUT_EXIT_CODE,
    ManagedProcess,
    ProcessCounters,
)
from swt_core.resources import ProcessTreeProbe, Resources
from swt_core.state import StateDirectory


class Probe:
    """Scripted resources; counts how often it was asked."""

    def __init__(self, memory_gb: float = 0.1, cpu_percent: float = 10.0) -> None:
        self.resources = Resources(memory_gb, cpu_percent)
        self.calls = 0

    def __call__(self) -> Resources:
        self.calls += 1
        return self.resources


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "training_state")


def process(
    state: StateDirectory, clock: ManualClock | None = None, probe: Probe | None = None, **limits: float
) -> ManagedProcess:
    return ManagedProcess(
        "trainer",
        ProcessLimitsConfig.model_validate(limits),
        state,
        clock or ManualClock(1000.0),
        probe=probe or Probe(),
    )


def heartbeat_status(state: StateDirectory) -> str:
    heartbeat = state.heartbeat()
    assert heartbeat is not None
    return heartbeat.status


def test_counters_outlive_a_restart(state: StateDirectory) -> None:
    clock = ManualClock()
    with process(state, clock) as first:
        first.count(episodes=3)
        clock.advance(1800)
        first.count(checkpoints=1)
    with process(state, clock) as second:
        clock.advance(1800)
        assert second.counters == ProcessCounters(episodes=3, checkpoints=1, hours=1.0, starts=2)
    clock.advance(9999)
    assert second.counters.hours == 1.0


def test_counters_are_on_disk_before_count_returns(state: StateDirectory) -> None:
    with process(state) as managed:
        managed.count(episodes=7)
        saved = state.read("process.json", ProcessCounters)
    assert saved is not None
    assert saved.episodes == 7


def test_the_last_episode_asks_the_loop_to_stop(state: StateDirectory) -> None:
    with process(state, maximum_episodes=2) as managed:
        played = 0
        while managed.should_run():
            played += 1
            managed.count(episodes=1)
        assert played == 2
        assert managed.limit_reached == "limit of 2 episodes reached"
        assert managed.limit_lasts
        managed.count(checkpoints=1)  # the last checkpoint is still allowed
    assert heartbeat_status(state) == "stopped: limit of 2 episodes reached"


def test_a_loop_that_does_not_ask_cannot_pass_a_limit(state: StateDirectory) -> None:
    with process(state, maximum_episodes=2, maximum_checkpoints=1) as managed:
        managed.count(episodes=2)
        for _ in range(3):  # swallowing the error does not help
            with pytest.raises(LimitReached, match="2 episodes"):
                managed.count(episodes=1)
        managed.count(checkpoints=1)
        with pytest.raises(LimitReached):
            managed.count(checkpoints=1)
        assert (managed.counters.episodes, managed.counters.checkpoints) == (2, 1)


def test_more_than_what_is_left_uses_it_up_and_is_an_error(state: StateDirectory) -> None:
    with process(state, maximum_episodes=10) as managed:
        managed.count(episodes=9)
        with pytest.raises(LimitReached, match="10 episodes"):
            managed.count(episodes=32)
        assert managed.counters.episodes == 10


@pytest.mark.parametrize("probe", [None, Probe(memory_gb=7.0)])
def test_after_the_hours_or_the_memory_only_what_was_under_way_is_counted(
    state: StateDirectory, probe: Probe | None
) -> None:
    clock, hours = ManualClock(), 1.0 if probe is None else 100.0
    with process(state, clock, probe, maximum_hours=hours, maximum_memory_gb=6.0) as managed:
        managed.count(episodes=4)
        clock.advance(3600)
        managed.keep_alive()
        managed.count(episodes=4)
        managed.count(checkpoints=1)  # what was learned until then may be published
        for _ in range(2):
            with pytest.raises(LimitReached, match="limit of"):
                managed.count(episodes=4)


def test_a_run_resumes_at_its_saved_state_and_keeps_its_hours(state: StateDirectory) -> None:
    clock = ManualClock()
    with process(state, clock, maximum_episodes=10) as killed:
        killed.count(episodes=10)
        clock.advance(3600)
    with process(state, clock, maximum_episodes=10) as again:
        again.resume_at(episodes=7, hours=0.5)
        assert again.counters == ProcessCounters(episodes=7, repeated_episodes=3, hours=1.0, starts=2)
        assert again.remaining_episodes == 3
        assert again.should_run()
        assert again.stop_reason is None
        again.count(episodes=3)
        with pytest.raises(RuntimeError, match="before it counts"):
            again.resume_at(episodes=0, hours=0.0)


def test_no_subclass_can_change_the_rules() -> None:
    with pytest.raises(TypeError, match="limits hold for everybody"):
        type("Lenient", (ManagedProcess,), {"should_run": lambda _: True})


def test_a_swallowed_exception_gives_no_further_episode(state: StateDirectory) -> None:
    with process(state, maximum_episodes=3) as managed:
        played = 0
        for _ in range(10):
            try:
                managed.count(episodes=1)
                played += 1
            except LimitReached:
                continue
        assert (played, managed.counters.episodes, managed.remaining_episodes) == (3, 3, 0)


@pytest.mark.parametrize("used", [{"episodes": 5}, {"checkpoints": 5}, {"hours": 5.0}])
def test_a_lost_counter_file_gives_no_fresh_budget(state: StateDirectory, used: dict[str, float]) -> None:
    limits = {f"maximum_{name}": limit for name, limit in used.items()}
    with process(state, **limits) as managed:
        managed.at_least(**used)
        assert not managed.should_run()
        assert managed.limit_lasts
    with process(state, **limits) as again:
        assert not again.should_run()


def test_memory_met_again_and_again_lasts_instead_of_restarting_for_ever(state: StateDirectory) -> None:
    clock, lasting = ManualClock(), []
    for _ in range(3):
        with process(state, clock, Probe(memory_gb=7.0)) as managed:
            clock.advance(300)
            assert not managed.should_run()
            lasting.append(managed.limit_lasts)
    assert lasting == [False, False, True]
    managed.raise_for_restart()  # it idles instead
    with process(state, clock) as well:
        clock.advance(300)
        assert well.should_run()
        assert well.counters.resource_stops == 0


def test_a_failure_dumps_how_far_it_was_and_where_it_stood(state: StateDirectory) -> None:
    def fail() -> None:
        with process(state) as managed:
            managed.count(episodes=7)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    dump = state.file(DUMP_FILE).read_text()
    assert "failed: ZeroDivisionError" in dump
    assert '"episodes": 7' in dump
    assert "test_a_failure_dumps_how_far_it_was" in dump


def test_the_default_limits_are_those_that_were_promised() -> None:
    limits = ProcessLimitsConfig()
    assert limits.maximum_episodes == 1_000_000
    assert (limits.heartbeat_seconds, limits.resource_check_seconds, limits.stop_seconds) == (
        60.0,
        300.0,
        30.0,
    )


def test_a_run_at_its_limit_stays_there_after_a_restart(state: StateDirectory) -> None:
    with process(state, maximum_checkpoints=1) as managed:
        managed.count(checkpoints=1)
    with process(state, maximum_checkpoints=1) as again:
        assert not again.should_run()
        assert again.limit_reached == "limit of 1 checkpoints reached"
        with pytest.raises(LimitReached):
            again.count(checkpoints=1)


def test_wall_time_counts_over_restarts(state: StateDirectory) -> None:
    clock = ManualClock()
    for expected in (True, False):
        with process(state, clock, maximum_hours=2.0) as managed:
            clock.advance(3600)
            assert managed.should_run() is expected
    assert managed.limit_reached == "limit of 2 hours reached"


@pytest.mark.parametrize(
    ("probe", "limit"),
    [
        (Probe(memory_gb=6.5), "limit of 6 GB memory passed: 6.50 GB"),
        (Probe(cpu_percent=91.0), "limit of 90 % CPU passed: 91 %"),
        (Probe(memory_gb=5.9, cpu_percent=89.0), None),
    ],
)
def test_resources_are_looked_at_when_due(state: StateDirectory, probe: Probe, limit: str | None) -> None:
    clock = ManualClock()
    with process(state, clock, probe, maximum_memory_gb=6.0, maximum_cpu_percent=90.0) as managed:
        clock.advance(299)
        assert managed.should_run()
        assert probe.calls == 0
        clock.advance(1)
        assert managed.should_run() is (limit is None)
        assert probe.calls == 1
        assert managed.limit_reached == limit
        assert not managed.limit_lasts
        managed.should_run()
        assert probe.calls == 1


def test_all_cores_busy_is_no_fault_where_all_are_allowed(state: StateDirectory) -> None:
    clock = ManualClock()
    with process(state, clock, Probe(cpu_percent=104.0), maximum_cpu_percent=100.0) as managed:
        clock.advance(300)
        assert managed.should_run()


def test_heartbeats_come_when_due_or_when_the_status_changes(state: StateDirectory) -> None:
    clock = ManualClock(1000.0)
    with process(state, clock, heartbeat_seconds=60.0) as managed:

        def written_s() -> float:
            heartbeat = state.heartbeat()
            assert heartbeat is not None
            return heartbeat.time_s

        clock.advance(5)
        managed.beat("training", {"loss": 0.5})
        assert written_s() == 1005.0
        clock.advance(59)
        managed.beat("training")
        assert written_s() == 1005.0
        clock.advance(1)
        managed.beat("training", {"loss": 0.25})
        heartbeat = state.heartbeat()
        assert heartbeat is not None
        assert heartbeat.time_s == 1065.0
        assert heartbeat.counters["loss"] == 0.25
        assert heartbeat.counters["starts"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_loop_to_stop(state: StateDirectory, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    called = threading.Event()
    with process(state) as managed:
        managed.on_stop(called.set)
        os.kill(os.getpid(), number)
        assert managed.stop_event.wait(30)
        assert called.wait(30)
        assert not managed.should_run()
        assert managed.stop_reason == number.name
        assert managed.limit_reached is None
    assert signal.getsignal(number) is before
    assert heartbeat_status(state) == f"stopped: {number.name}"


def test_outside_the_main_thread_signals_are_left_alone(state: StateDirectory) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        with process(state) as managed:
            managed.count(episodes=1)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert heartbeat_status(state) == "stopped: done"


def test_the_first_reason_to_stop_is_the_one_that_counts(state: StateDirectory) -> None:
    calls: list[int] = []
    with process(state) as managed:
        managed.on_stop(lambda: calls.append(1))
        managed.request_stop("time is up")
        managed.request_stop("again")
    assert managed.stop_reason == "time is up"
    assert calls == [1]


def test_a_failure_shows_in_the_last_heartbeat(state: StateDirectory) -> None:
    with pytest.raises(ZeroDivisionError), process(state):
        raise ZeroDivisionError
    assert heartbeat_status(state) == "failed: ZeroDivisionError"


def test_a_limit_that_ends_the_loop_is_no_failure(state: StateDirectory) -> None:
    def loop() -> None:
        with process(state, maximum_episodes=1) as managed:
            managed.count(episodes=1)
            managed.count(episodes=1)

    with pytest.raises(LimitReached):
        loop()
    assert heartbeat_status(state) == "stopped: limit of 1 episodes reached"


def test_at_its_limit_it_idles_healthily_until_somebody_asks_it_to_stop(state: StateDirectory) -> None:
    clock = ManualClock()
    seen: list[str] = []

    def stop_when_idle(managed: ManagedProcess) -> None:
        while not (heartbeat := state.heartbeat()) or "idle" not in heartbeat.status:
            threading.Event().wait(0.005)
        seen.append(heartbeat.status)
        clock.advance(36_000)
        managed.request_stop("enough")

    with process(state, clock, maximum_episodes=1, heartbeat_seconds=0.01) as managed:
        managed.count(episodes=1)
        assert not managed.should_run()
        thread = threading.Thread(target=stop_when_idle, args=(managed,))
        thread.start()
        managed.idle_at_limit()
        thread.join()
    assert seen == ["idle: limit of 1 episodes reached"]
    assert managed.counters.hours == 0.0  # idling uses up nothing


def test_a_signal_before_idling_ends_it_at_once(state: StateDirectory) -> None:
    with process(state, maximum_episodes=1) as managed:
        managed.count(episodes=1)
        managed.request_stop("SIGTERM")
        managed.idle_at_limit()
    assert managed.stop_reason == "limit of 1 episodes reached"


def test_a_stop_that_takes_too_long_dumps_its_stacks_and_ends(tmp_path: Path) -> None:
    script = """
        import os, signal, sys, threading
        from pathlib import Path
        from swt_core.clock import SystemClock
        from swt_core.config import ProcessLimitsConfig
        from swt_core.process import ManagedProcess
        from swt_core.state import StateDirectory

        def deaf_loop():
            while True:
                threading.Event().wait(0.05)

        state = StateDirectory(Path(sys.argv[1]))
        with ManagedProcess("t", ProcessLimitsConfig(stop_seconds=0.2), state, SystemClock()):
            os.kill(os.getpid(), signal.SIGTERM)
            deaf_loop()
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], timeout=60, check=False
    )
    assert result.returncode == STOP_TIMEOUT_EXIT_CODE
    dump = (tmp_path / DUMP_FILE).read_text()
    assert "deaf_loop" in dump
    assert '"stop_reason": "SIGTERM"' in dump


def test_the_probe_sees_this_process_and_its_children() -> None:
    clock = ManualClock()
    probe = ProcessTreeProbe(clock)
    alone = probe()
    assert alone.cpu_percent == 0.0  # no time has passed on its clock
    child = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(200_000_000); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        clock.advance(1.0)
        with_child = probe()
    finally:
        child.communicate(b"\n")
    assert with_child.memory_gb > alone.memory_gb + 0.15
    assert with_child.cpu_percent >= 0.0


def test_memory_that_processes_share_counts_once(tmp_path: Path) -> None:
    shared = tmp_path / "bars"
    shared.write_bytes(bytes(100_000_000))
    probe = ProcessTreeProbe(ManualClock())
    with shared.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped.find(b"x") == -1  # every page was looked at
        alone = probe().memory_gb
        text = "import mmap, sys; f = open(sys.argv[1], 'rb')\n"
        text += (
            "m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); m.find(b'x'); print(flush=True); input()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", text, str(shared)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert child.stdout is not None
            child.stdout.readline()
            together = probe().memory_gb
        finally:
            child.communicate(b"\n")
    assert together - alone < 0.05  # the interpreter, not another hundred megabytes


def test_a_broken_counter_file_is_refused_with_what_really_helps(state: StateDirectory) -> None:
    """The process that is refused is the only one that would replace the file."""
    state.path.mkdir(parents=True)
    state.file("process.json").write_text("{broken")
    with pytest.raises(StateError, match="not a valid ProcessCounters") as refused, process(state):
        pass
    remedy = str(refused.value.remedy)
    assert f"delete {state.file('process.json')}" in remedy
    assert "replaces it" not in remedy
    state.file("process.json").unlink()
    with process(state) as again:
        again.at_least(episodes=3)
        assert again.counters.episodes == 3


@pytest.mark.parametrize(("number", "starts"), [(errno.ENOSPC, True), (errno.EACCES, False)])
def test_it_starts_on_a_full_disk_but_not_in_a_directory_that_is_not_its_own(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch, number: int, starts: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    managed = process(state)
    with monkeypatch.context() as disk:
        disk.setattr("swt_core.state.os.replace", refuse)
        with nullcontext() if starts else pytest.raises(StateError):
            managed.__enter__()
    if starts:
        assert not managed.disk_well
        managed.count(episodes=1)
        assert managed.disk_well
        assert managed.counters.starts == 1
        managed.__exit__(None, None, None)
