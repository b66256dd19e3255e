"""The supervisor: restarts with backoff, gives up clearly, stops in order, leaves no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from swt_core.clock import SystemClock
from swt_ops.processes import ProcessSpec, ProcessState, RestartPolicy
from swt_ops.supervisor import Supervisor

CLOCK = SystemClock()
LIMIT_S = 60.0
QUICK = RestartPolicy(first_seconds=0.01, longest_seconds=0.02, maximum_in_a_row=3)
PATIENT = (
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print('up', flush=True); "
    "signal.sigwait([signal.SIGTERM])"
)
DEAF = (
    "import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); "
    "threading.Event().wait()"
)


def until(condition: Callable[[], bool], supervisor: Supervisor | None = None) -> None:
    """Wait for a condition, letting the supervisor work meanwhile."""
    pause = threading.Event()
    end_s = CLOCK.monotonic_s() + LIMIT_S
    while not condition():
        assert CLOCK.monotonic_s() < end_s, "the condition did not come true"
        if supervisor is not None:
            supervisor.tick()
        pause.wait(0.01)


class Diary:
    """What was written and what happened, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.events: list[tuple[str, str]] = []

    def heard(self, name: str, text: str) -> bool:
        return any(who == name and text in said for who, said in self.lines)


class Stage:
    """Makes supervisors and leaves nothing behind."""

    def __init__(self) -> None:
        self.diary = Diary()
        self.supervisors: list[Supervisor] = []

    def __call__(self, *specs: ProcessSpec, policy: RestartPolicy = QUICK) -> Supervisor:
        supervisor = Supervisor(
            specs,
            CLOCK,
            policy=policy,
            on_line=lambda name, line: self.diary.lines.append((name, line)),
            on_event=lambda name, text: self.diary.events.append((name, text)),
        )
        self.supervisors.append(supervisor)
        supervisor.start()
        return supervisor


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    for supervisor in made.supervisors:
        supervisor.hurry()
        supervisor.stop()


def spec(name: str, code: str, **options: float) -> ProcessSpec:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())}
    return ProcessSpec(name, (sys.executable, "-c", code), environ, **options)  # type: ignore[arg-type]


def state(supervisor: Supervisor, name: str) -> ProcessState:
    return next(view.state for view in supervisor.views() if view.name == name)


def test_a_killed_process_is_started_again_and_counted(stage: Stage) -> None:
    supervisor = stage(spec("a", PATIENT), spec("b", PATIENT))
    until(lambda: stage.diary.heard("a", "up"), supervisor)
    first, other = (view.pid for view in supervisor.views())
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.views()[0].restarts == 1, supervisor)
    assert supervisor.views()[0].pid not in (None, first)
    assert supervisor.views()[0].exit_code == -signal.SIGKILL
    assert supervisor.views()[1].pid == other
    assert ("a", "ended with SIGKILL; it is started again in 0.01 s") in stage.diary.events


def test_a_process_that_crashes_again_and_again_is_given_up_with_its_last_words(stage: Stage) -> None:
    supervisor = stage(spec("bad", "raise SystemExit('no such table')"), spec("good", PATIENT))
    until(lambda: supervisor.gave_up, supervisor)
    bad, good = supervisor.views()
    assert bad.restarts == QUICK.maximum_in_a_row
    assert (
        bad.message == "bad crashed 4 times in a row, the last time with exit code 1; it said: no such table"
    )
    assert good.state is ProcessState.RUNNING
    assert supervisor.busy


def test_a_wrong_configuration_is_not_tried_again(stage: Stage) -> None:
    supervisor = stage(spec("a", "import sys; print('unknown key'); sys.exit(2)"))
    until(lambda: supervisor.gave_up, supervisor)
    assert supervisor.views()[0].restarts == 0
    assert "which a restart does not cure; it said: unknown key" in str(supervisor.views()[0].message)


def test_a_process_that_is_done_is_not_started_again(stage: Stage) -> None:
    supervisor = stage(spec("a", "print('bye')"))
    until(lambda: not supervisor.busy, supervisor)
    assert state(supervisor, "a") is ProcessState.FINISHED
    assert stage.diary.heard("a", "bye")


def test_a_program_that_is_not_there_is_given_up_with_the_reason(stage: Stage) -> None:
    supervisor = stage(ProcessSpec("a", ("/nowhere/swt",), {}))
    assert "cannot be started" in str(supervisor.views()[0].message)


def test_the_pause_doubles_up_to_its_longest() -> None:
    policy = RestartPolicy(first_seconds=1.0, longest_seconds=10.0)
    assert [policy.pause_s(n) for n in (1, 2, 3, 4, 5, 6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_long_good_run_is_forgiven(stage: Stage) -> None:
    policy = RestartPolicy(first_seconds=0.001, stable_seconds=0.0, maximum_in_a_row=1)
    supervisor = stage(spec("a", "raise SystemExit(1)"), policy=policy)
    until(lambda: supervisor.views()[0].restarts >= 3, supervisor)
    assert not supervisor.gave_up


def test_stages_stop_one_after_the_other(stage: Stage) -> None:
    supervisor = stage(
        spec("broker", PATIENT, stop_stage=2),
        spec("trainer", PATIENT, stop_stage=1),
        spec("live", PATIENT, stop_stage=0),
    )
    for name in ("broker", "trainer", "live"):
        until(lambda name=name: stage.diary.heard(name, "up"), supervisor)  # type: ignore[misc]
    assert supervisor.stop()
    stopped = [name for name, text in stage.diary.events if text == "stopped"]
    assert stopped == ["live", "trainer", "broker"]
    assert [view.exit_code for view in supervisor.views()] == [0, 0, 0]


def test_what_does_not_stop_in_time_is_killed_with_its_children(stage: Stage) -> None:
    parent = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {DEAF!r}]); print('child', child.pid, flush=True); "
        f"exec({DEAF!r})"
    )
    supervisor = stage(spec("deaf", parent, stop_seconds=0.2))
    until(lambda: sum(line == "up" for _, line in stage.diary.lines) == 2, supervisor)
    grandchild = int(next(line for _, line in stage.diary.lines if line.startswith("child")).split()[1])
    assert not supervisor.stop()
    until(lambda: not alive(grandchild))
    assert supervisor.views()[0].exit_code == -signal.SIGKILL


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("deaf", [False, True])
def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path, deaf: bool) -> None:
    """`kill -9` of the supervisor: nobody is left to clean up, and nothing is left."""
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if deaf else "pass"
    child = textwrap.dedent(
        f"""
        import os, signal, threading
        {ignore}
        from swt_core.parent import end_with_parent
        end_with_parent(grace_s=0.1)
        print("child", os.getpid(), flush=True)
        threading.Event().wait()
        """
    )
    parent = textwrap.dedent(
        f"""
        import os, sys, threading
        from swt_core.clock import SystemClock
        from swt_ops.processes import ProcessSpec
        from swt_ops.supervisor import Supervisor
        specs = [ProcessSpec(n, (sys.executable, "-c", {child!r}), dict(os.environ)) for n in "ab"]
        # One write a line: two threads say them.
        say = lambda name, line: os.write(1, (line + "\\n").encode())
        supervisor = Supervisor(specs, SystemClock(), on_line=say)
        supervisor.start()
        threading.Event().wait()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    pids: list[int] = []
    try:
        for line in process.stdout:
            if line.startswith("child"):
                pids.append(int(line.split()[1]))
            if len(pids) == 2:
                break
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        process.kill()
        process.wait()
        until(lambda: not any(alive(pid) for pid in pids))
    finally:
        process.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
