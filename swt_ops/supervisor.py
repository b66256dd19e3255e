"""Keeps processes running: starts them in order, restarts what crashes, stops all in order.

Children are in process groups of their own, so that Ctrl-C reaches the supervisor alone and the order of
stopping is its choice. They hold the read end of a pipe as standard input and follow its end
(`swt_core.parent`): however the supervisor ends, none outlives it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from swt_core.clock import Clock
from swt_core.errors import ConfigError
from swt_core.parent import SUPERVISED_VARIABLE
from swt_ops.processes import ProcessSpec, ProcessState, ProcessView, RestartPolicy

# What a child says with this code (usage, configuration, data) a restart does not cure.
HOPELESS_EXIT_CODE: Final = ConfigError.exit_code
_LAST_WORDS: Final = 20

OnLine = Callable[[str, str], None]


class _Child:
    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.state = ProcessState.STOPPED
        self.process: subprocess.Popen[bytes] | None = None
        self.reader: threading.Thread | None = None
        self.restarts = 0
        self.in_a_row = 0
        self.started_s = 0.0
        self.due_s = 0.0
        self.hung_s: float | None = None
        self.exit_code: int | None = None
        self.lines: deque[str] = deque(maxlen=_LAST_WORDS)
        self.message: str | None = None


class Supervisor:
    """Runs ``specs``; the caller calls `tick` regularly and `stop` at the end, both from one thread.

    Args:
        specs: in the order of starting.
        clock: injected time.
        policy: when to restart.
        on_line: called with name and line, from a thread of that process.
        on_event: called with name and sentence: starts, crashes, giving up.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        clock: Clock,
        *,
        policy: RestartPolicy | None = None,
        on_line: OnLine = lambda _name, _line: None,
        on_event: OnLine = lambda _name, _text: None,
    ) -> None:
        self._children = [_Child(spec) for spec in specs]
        self._clock = clock
        self._policy = policy or RestartPolicy()
        self._on_line = on_line
        self._on_event = on_event
        self._hurried = False

    def start(self) -> None:
        """Start all."""
        for child in self._children:
            self._launch(child)

    def tick(self) -> None:
        """Notice what has ended, restart what is due."""
        for child in self._children:
            if child.state is ProcessState.RUNNING and child.process is not None:
                code = child.process.poll()
                if code is not None:
                    self._ended(child, code)
                elif child.hung_s is not None and self._is_deaf(child, child.hung_s):
                    with suppress(ProcessLookupError):
                        os.killpg(child.process.pid, signal.SIGKILL)
            elif child.state is ProcessState.WAITING and self._clock.monotonic_s() >= child.due_s:
                child.restarts += 1
                self._launch(child)

    def end_hung(self, pid: int, why: str) -> bool:
        """End a process that hangs: asked now, killed by `tick` after its ``stop_seconds``.

        However it ends, it is started again as after a crash. Returns whether it is one of these.
        """
        for child in self._children:
            if child.state is ProcessState.RUNNING and child.process is not None and child.process.pid == pid:
                if child.hung_s is None:
                    child.hung_s = self._clock.monotonic_s()
                    self._on_event(child.spec.name, f"hangs and is ended: {why}")
                    self._ask_to_stop(child)
                return True
        return False

    @property
    def busy(self) -> bool:
        """Whether anything runs, or will again."""
        return any(child.state in (ProcessState.RUNNING, ProcessState.WAITING) for child in self._children)

    @property
    def gave_up(self) -> bool:
        """Whether a process was given up."""
        return any(child.state is ProcessState.GAVE_UP for child in self._children)

    def views(self) -> list[ProcessView]:
        """All processes, in the order of starting."""
        now_s = self._clock.monotonic_s()
        return [
            ProcessView(
                name=child.spec.name,
                state=child.state,
                pid=child.process.pid if child.process and child.state is ProcessState.RUNNING else None,
                restarts=child.restarts,
                restart_in_s=max(0.0, child.due_s - now_s) if child.state is ProcessState.WAITING else None,
                exit_code=child.exit_code,
                last_line=child.lines[-1] if child.lines else "",
                message=child.message,
            )
            for child in self._children
        ]

    def hurry(self) -> None:
        """Do not wait for graceful stops any more; may be called from a signal handler."""
        self._hurried = True

    def stop(self) -> bool:
        """Stop all, stage by stage; kill what does not stop in time. Returns whether all stopped in time."""
        clean = True
        for child in self._children:
            if child.state is ProcessState.WAITING:
                child.state = ProcessState.STOPPED
        for stage in sorted({child.spec.stop_stage for child in self._children}):
            stopping = [
                child
                for child in self._children
                if child.spec.stop_stage == stage and child.state is ProcessState.RUNNING
            ]
            for child in stopping:
                self._ask_to_stop(child)
            begun_s = self._clock.monotonic_s()
            for child in stopping:
                left_s = child.spec.stop_seconds - (self._clock.monotonic_s() - begun_s)
                clean = self._wait_or_kill(child, left_s) and clean
        return clean

    def _launch(self, child: _Child) -> None:
        spec = child.spec
        child.started_s = self._clock.monotonic_s()
        try:
            child.process = subprocess.Popen(  # noqa: S603 - the commands are this program's own
                spec.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**spec.environ, SUPERVISED_VARIABLE: "1", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        except OSError as error:
            child.lines.append(str(error))
            self._give_up(child, f"cannot be started: {error}")
            return
        child.state = ProcessState.RUNNING
        child.reader = threading.Thread(
            target=self._read, args=(child, child.process), name=f"lines-{spec.name}", daemon=True
        )
        child.reader.start()
        again = f", restart {child.restarts}" if child.restarts else ""
        self._on_event(spec.name, f"started (pid {child.process.pid}{again})")

    def _read(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                child.lines.append(line)
                self._on_line(child.spec.name, line)

    def _ended(self, child: _Child, code: int) -> None:
        self._clean_up(child)
        child.exit_code = code
        hung, child.hung_s = child.hung_s is not None, None
        if code == 0 and not hung:
            child.state = ProcessState.FINISHED
            self._on_event(child.spec.name, "finished")
            return
        ran_s = self._clock.monotonic_s() - child.started_s
        child.in_a_row = 1 if ran_s >= self._policy.stable_seconds else child.in_a_row + 1
        if code == HOPELESS_EXIT_CODE and not hung:
            self._give_up(child, f"ended with {_code(code)}, which a restart does not cure")
        elif child.in_a_row > self._policy.maximum_in_a_row:
            self._give_up(child, f"crashed {child.in_a_row} times in a row, the last time with {_code(code)}")
        else:
            pause_s = self._policy.pause_s(child.in_a_row)
            child.state, child.due_s = ProcessState.WAITING, self._clock.monotonic_s() + pause_s
            self._on_event(child.spec.name, f"ended with {_code(code)}; it is started again in {pause_s:g} s")

    def _give_up(self, child: _Child, why: str) -> None:
        child.state = ProcessState.GAVE_UP
        said = f"; it said: {child.lines[-1]}" if child.lines else ""
        child.message = f"{child.spec.name} {why}{said}"
        self._on_event(child.spec.name, f"{child.message}. The others go on; mend it and start again")

    def _is_deaf(self, child: _Child, asked_s: float) -> bool:
        return self._clock.monotonic_s() - asked_s > child.spec.stop_seconds

    def _ask_to_stop(self, child: _Child) -> None:
        assert child.process is not None
        if child.process.poll() is None:
            with suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)

    def _wait_or_kill(self, child: _Child, limit_s: float) -> bool:
        """Whether it ended by itself."""
        assert child.process is not None
        until_s = self._clock.monotonic_s() + limit_s
        ended = child.process.poll() is not None
        while not ended and self._clock.monotonic_s() < until_s and not self._hurried:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(timeout=0.1)
            ended = child.process.poll() is not None
        if not ended:
            self._on_event(child.spec.name, "did not stop in time and is killed")
        self._clean_up(child)
        child.exit_code = child.process.wait()
        child.state = ProcessState.STOPPED
        self._on_event(child.spec.name, "stopped")
        return ended

    def _clean_up(self, child: _Child) -> None:
        """End whatever the process has left behind in its group, and hear its last words."""
        assert child.process is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        if child.process.stdin is not None:
            child.process.stdin.close()
        if child.reader is not None:
            child.reader.join(timeout=5.0)


def _code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
