"""`swt up` in the foreground: readable lines, one supervisor, an orderly end."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from swt_core.clock import SystemClock
from swt_core.errors import StateError
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_ops.processes import ProcessSpec, RestartPolicy
from swt_ops.stack import Stack
from swt_ops.up import readable, run_stack
from swt_ops.watchdog import WatchPolicy


def stack(*programs: tuple[str, str]) -> Stack:
    """Processes that run Python code."""
    specs = tuple(
        ProcessSpec(name, (sys.executable, "-S", "-c", code), {"PATH": os.environ["PATH"]}, stop_seconds=10.0)
        for name, code in programs
    )
    return Stack(specs, (), "http://127.0.0.1:1")


def run(
    root: Path, made: Stack, *, terminal: bool = False, policy: RestartPolicy | None = None
) -> tuple[int, str]:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160)
    code = run_stack(made, Workspace(root), SystemClock(), console, policy=policy)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_a_log_line_becomes_a_sentence_and_any_other_stays_as_it_is() -> None:
    line = (
        '{"timestamp": "2026-01-05T07:08:09Z", "level": "info", "event": "traded", "logger": "x", "units": 3}'
    )
    assert readable(line).plain == "07:08:09 traded units=3"
    line = '{"level": "error", "event": "broken", "exception": "Traceback: here", "service": "live"}'
    assert readable(line).plain == " error broken\nTraceback: here"
    for other in ("plain text", '{"no": "event"}', '{"torn', "{}"):
        assert readable(other).plain == other


def test_lines_carry_the_name_of_their_process_and_the_end_is_clean(tmp_path: Path) -> None:
    code, text = run(tmp_path, stack(("trainer", "print('learning')"), ("live", "print('idle')")))
    assert code == 0
    assert "trainer │ learning" in text
    assert "live    │ idle" in text


def test_on_a_terminal_a_table_stands_beneath_the_lines(tmp_path: Path) -> None:
    _, text = run(tmp_path, stack(("trainer", "import time; time.sleep(0.5)")), terminal=True)
    assert "heartbeat" in text
    assert "trainer" in text


def test_a_process_that_cannot_run_is_given_up_and_the_code_says_so(tmp_path: Path) -> None:
    code, text = run(
        tmp_path,
        stack(("validator", "import sys; print('no bars'); sys.exit(2)")),
        policy=RestartPolicy(first_seconds=0.01),
    )
    assert code == 1
    assert "no bars" in text


HANGS_AT_FIRST = """
import signal, sys
from pathlib import Path
from swt_core.clock import SystemClock
from swt_core.state import StateDirectory

state = StateDirectory(Path(sys.argv[1]))
with state.writer():
    state.beat(SystemClock(), "training")
    first = not state.file("hung").exists()
    state.file("hung").touch()
    if first and sys.argv[2] == "obeys":  # as a trainer does: it ends in good order, with 0
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    elif first:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while first:
        signal.pause()
    print("well again", flush=True)
"""


@pytest.mark.parametrize(("manner", "end"), [("obeys", "exit code 0"), ("deaf", "SIGKILL")])
def test_a_daemon_that_hangs_is_ended_and_started_again_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str, end: str
) -> None:
    monkeypatch.setattr("swt_ops.up._LOOK_EVERY_S", 0.1)
    command = (sys.executable, "-c", HANGS_AT_FIRST, str(tmp_path / "training_state"), manner)
    made = Stack(
        (ProcessSpec("trainer", command, dict(os.environ), stop_seconds=1.0),), (), "http://127.0.0.1:1"
    )
    console = Console(file=io.StringIO(), width=160)
    hangs = WatchPolicy(stale_after_s=0.5, confirm_s=0.2)
    policy = RestartPolicy(first_seconds=0.01)
    code = run_stack(made, Workspace(tmp_path), SystemClock(), console, policy=policy, hangs=hangs)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert code == 0
    assert "hangs and is ended: its heartbeat is" in text
    assert f"ended with {end}; it is started again" in text
    assert "well again" in text


def test_a_signal_stops_what_runs(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ready = tmp_path / "ready"
    code = f"import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"

    def stop_it() -> None:
        waiting = threading.Event()
        while not ready.exists():
            waiting.wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_it)
    thread.start()
    ended, text = run(tmp_path, stack(("live", code)))
    thread.join()
    assert ended == 0
    assert "stopping" in text
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_workspace_has_one_supervisor(tmp_path: Path) -> None:
    with (
        StateDirectory(tmp_path / "supervisor").writer(),
        pytest.raises(StateError, match="another `swt up`"),
    ):
        run(tmp_path, stack(("live", "pass")))
