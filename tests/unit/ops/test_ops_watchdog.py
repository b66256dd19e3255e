"""The watchdog against real processes: it ends what hangs, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.clock import ManualClock
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_ops import container_health
from swt_ops.watchdog import Finding, Watchdog, WatchPolicy

DAEMON = """
    import os, signal, sys
    from pathlib import Path
    from swt_core.clock import SystemClock
    from swt_core.state import StateDirectory

    state, obedient = StateDirectory(Path(sys.argv[1])), sys.argv[2] == "obedient"
    if not obedient:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with state.writer():
        state.beat(SystemClock(), sys.argv[3])
        print("ready", flush=True)
        signal.pause()
        signal.pause()
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that beats once as the trainer of ``tmp_path`` and then hangs."""
    begun: list[subprocess.Popen[bytes]] = []

    def run(
        manner: str = "obedient", status: str = "training", directory: str = "training_state"
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(DAEMON), str(tmp_path / directory), manner, status],
            stdout=subprocess.PIPE,
        )
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in begun:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def later(seconds: float) -> ManualClock:
    return ManualClock(time.time() + seconds)


class SetClock(ManualClock):
    """A clock whose time of day can be set; its monotonic time only goes on."""

    set_by_s = 0.0

    def time_s(self) -> float:
        return super().time_s() + self.set_by_s


def dog(root: Path, clock: ManualClock, **policy: float) -> Watchdog:
    usual = {"confirm_s": 0.0, "grace_s": 20.0} | policy
    return Watchdog(Workspace(root), WatchPolicy(**usual), clock, ("trainer",))


@pytest.mark.parametrize(("name", "directory"), [("practice", "practice_state"), ("data", "data")])
def test_the_services_of_a_container_are_ended_too(
    tmp_path: Path, start: Start, name: str, directory: str
) -> None:
    process = start("obedient", "serving", directory)
    policy = WatchPolicy(confirm_s=0.0, grace_s=20.0)
    (report,) = Watchdog(Workspace(tmp_path), policy, later(200), (name,)).look()
    assert (report.finding, report.pid) == (Finding.STOPPED, process.pid)


def test_a_full_disk_is_no_hang(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start()
    monkeypatch.setattr("swt_ops.watchdog.shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    (report,) = dog(tmp_path, later(200)).look()
    assert report.finding is Finding.NO_ROOM
    assert process.poll() is None


def test_a_hung_process_that_obeys_is_asked_to_stop(tmp_path: Path, start: Start) -> None:
    process = start()
    (report,) = dog(tmp_path, later(200)).look()
    assert report.finding is Finding.STOPPED
    assert report.pid == process.pid
    process.wait(20)


def test_a_hung_process_that_does_not_obey_is_killed(tmp_path: Path, start: Start) -> None:
    process = start("deaf")
    (report,) = dog(tmp_path, later(200), grace_s=0.2).look()
    assert report.finding is Finding.KILLED
    process.wait(20)


def test_a_fresh_heartbeat_is_left_alone(tmp_path: Path, start: Start) -> None:
    process = start()
    (report,) = dog(tmp_path, later(170)).look()
    assert report.finding is Finding.WELL
    assert process.poll() is None


def test_a_start_may_take_longer(tmp_path: Path, start: Start) -> None:
    process = start(status="starting")
    clock = later(800)
    assert dog(tmp_path, clock).look()[0].finding is Finding.WELL
    clock.advance(200)
    assert dog(tmp_path, clock).look()[0].finding is Finding.STOPPED
    process.wait(20)


def test_a_number_that_another_process_has_is_never_signalled(tmp_path: Path) -> None:
    """The trainer died; its number was given to a process that has nothing to do with it."""
    state = StateDirectory(tmp_path / "training_state")
    with state.writer():
        pass
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        now = later(0)
        heartbeat = state.beat(now, "training")
        state.write("heartbeat.json", heartbeat.model_copy(update={"pid": stranger.pid}))
        now.advance(500)
        (report,) = dog(tmp_path, now).look()
        assert report.finding is Finding.FOREIGN
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_process_that_began_after_the_heartbeat_is_not_its_writer(tmp_path: Path, start: Start) -> None:
    process = start()
    state = StateDirectory(tmp_path / "training_state")
    heartbeat = state.heartbeat()
    assert heartbeat is not None
    state.write("heartbeat.json", heartbeat.model_copy(update={"time_s": heartbeat.time_s - 3600}))
    assert dog(tmp_path, later(0)).look()[0].finding is Finding.FOREIGN
    assert process.poll() is None


def test_a_dead_process_and_an_orderly_end_are_no_work(tmp_path: Path, start: Start) -> None:
    process = start()
    process.kill()
    process.wait()
    clock = later(500)
    assert dog(tmp_path, clock).look()[0].finding is Finding.GONE
    StateDirectory(tmp_path / "training_state").beat(ManualClock(0.0), "stopped: SIGTERM")
    assert dog(tmp_path, clock).look()[0].finding is Finding.ENDED


def test_a_clock_that_was_set_ends_nobody_while_the_heart_beats(tmp_path: Path, start: Start) -> None:
    process = start()
    clock = later(3600)
    watching = dog(tmp_path, clock, confirm_s=60.0)
    assert watching.look()[0].finding is Finding.STALE
    clock.advance(59)
    assert watching.look()[0].finding is Finding.STALE
    state = StateDirectory(tmp_path / "training_state")
    beaten = state.beat(clock, "training").model_copy(update={"pid": process.pid})
    state.write("heartbeat.json", beaten)
    assert watching.look()[0].finding is Finding.WELL
    clock.advance(300)
    assert watching.look()[0].finding is Finding.STALE
    clock.advance(60)
    assert watching.look()[0].finding is Finding.STOPPED


def test_a_clock_that_was_set_back_hides_no_hang(tmp_path: Path, start: Start) -> None:
    process, clock = start(), SetClock(time.time())
    watching = dog(tmp_path, clock, confirm_s=60.0)
    assert watching.look()[0].finding is Finding.WELL
    clock.set_by_s = -3600.0
    clock.advance(180)
    assert watching.look()[0].finding is Finding.FUTURE
    clock.advance(1)
    assert watching.look()[0].finding is Finding.STALE
    assert process.poll() is None
    clock.advance(60)
    (report,) = watching.look()
    assert (report.finding, report.age_s) == (Finding.STOPPED, 241.0)
    process.wait(20)


def test_a_clock_that_was_set_back_a_little_hides_no_hang_either(tmp_path: Path, start: Start) -> None:
    process, clock, told = start(), SetClock(time.time()), list[float]()

    def end(_process: psutil.Process, age_s: float) -> bool:
        told.append(age_s)
        return True

    policy = WatchPolicy(confirm_s=60.0)
    watching = Watchdog(Workspace(tmp_path), policy, clock, ("trainer",), end=end)
    found = []
    for _ in range(5):
        found.append(watching.look()[0].finding)
        clock.advance(61)
        clock.set_by_s -= 61.0  # the time of day stands still
    assert found == [Finding.WELL, Finding.WELL, Finding.WELL, Finding.STALE, Finding.STOPPED]
    assert told == [244.0]
    assert process.poll() is None


def test_a_clock_that_was_set_back_ends_nobody_whose_heart_beats(tmp_path: Path, start: Start) -> None:
    process, clock = start(), SetClock(time.time())
    watching, state = dog(tmp_path, clock), StateDirectory(tmp_path / "training_state")
    clock.set_by_s = -3600.0
    for _ in range(8):
        assert watching.look()[0].finding is Finding.FUTURE
        clock.advance(20)
    beaten = state.beat(clock, "training").model_copy(update={"pid": process.pid})
    for _ in range(8):
        state.write("heartbeat.json", beaten)
        assert watching.look()[0].finding is Finding.WELL
        clock.advance(60)
        beaten = beaten.model_copy(update={"time_s": clock.time_s()})
    assert process.poll() is None


def test_one_look_ends_nobody_whose_heartbeat_is_of_the_future(tmp_path: Path, start: Start) -> None:
    """It may be about to beat; only one who has watched it knows."""
    process = start()
    assert dog(tmp_path, later(-3600)).look()[0].finding is Finding.FUTURE
    assert process.poll() is None
    assert dog(tmp_path, later(-50)).look()[0].finding is Finding.WELL
    assert dog(tmp_path, later(-3600), future_is_stale=True).look()[0].finding is Finding.STOPPED
    process.wait(20)


def test_a_container_ends_a_hang_that_it_has_watched_since_the_clock_was_set_back(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swt_core.numba_cache.configure_numba_cache", lambda: None)
    process = start()
    assert container_health._end("trainer", tmp_path, later(-3600)) == Finding.STOPPED.value
    process.wait(20)


def test_a_process_that_hung_before_the_clock_was_set_forward_is_ended(tmp_path: Path, start: Start) -> None:
    """Its start is told by the new clock, its heartbeat by the old one: it seems to have begun later."""
    process = start()
    state = StateDirectory(tmp_path / "training_state")
    heartbeat = state.heartbeat()
    assert heartbeat is not None
    state.write("heartbeat.json", heartbeat.model_copy(update={"time_s": heartbeat.time_s - 3600}))
    clock = later(800)
    assert dog(tmp_path, clock).look()[0].finding is Finding.FOREIGN
    clock.advance(200)
    assert dog(tmp_path, clock).look()[0].finding is Finding.STOPPED
    process.wait(20)


def test_its_children_go_with_it(tmp_path: Path) -> None:
    script = """
        import signal, subprocess, sys
        from pathlib import Path
        from swt_core.clock import SystemClock
        from swt_core.state import StateDirectory
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        state = StateDirectory(Path(sys.argv[1]))
        with state.writer():
            state.beat(SystemClock(), "training")
            child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
            print(child.pid, flush=True)
            signal.pause()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "training_state")],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert dog(tmp_path, later(500), grace_s=0.2).look()[0].finding is Finding.KILLED
        process.wait(20)
        psutil.wait_procs([child], timeout=20)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_command_looks_once_and_says_so_in_json(tmp_path: Path, start: Start) -> None:
    process = start()
    state = StateDirectory(tmp_path / "training_state")
    options = ["watchdog", "--once", "--json", "--daemon", "trainer", "--state-dir", str(tmp_path)]
    well = CliRunner().invoke(app, options)
    assert well.exit_code == 0
    assert json.loads(well.stdout)["finding"] == "well"
    (tmp_path / "training_state" / "heartbeat.json").write_text("torn")
    broken = CliRunner().invoke(app, options)
    assert json.loads(broken.stdout)["finding"] == "heartbeat cannot be read"
    state.beat(later(3600), "training")
    future = CliRunner().invoke(app, options)
    assert future.exit_code == 1
    assert "in the future" in json.loads(future.stdout)["finding"]
    assert process.poll() is None
    # four seconds before now is within what clocks may differ, and the process began before it
    old = state.beat(later(-4), "training").model_copy(update={"pid": process.pid})
    state.write("heartbeat.json", old)
    acted = CliRunner().invoke(app, [*options, "--stale-after", "1"])
    assert acted.exit_code == 1
    assert json.loads(acted.stdout.splitlines()[-1])["finding"] == "stale: stopped on request"
    process.wait(20)


def test_an_unknown_daemon_is_refused_with_the_names(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["watchdog", "--once", "--daemon", "trader"])
    assert result.exit_code != 0
    assert "trainer, validator, live" in str(result.exception)
