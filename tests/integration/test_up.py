"""`swt up`: four real processes on one workspace, a crash, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from swt_core.clock import SystemClock
from swt_core.state import raise_flag
from swt_core.workspace import Workspace
from swt_ops.status import DaemonState, InstallationStatus, read_status

CLOCK = SystemClock()
LIMIT_S = 200.0
TINY = {
    "data.market_days": 30,
    "data.train_share": 0.4,
    "data.validation_share": 0.3,
    "model.hidden_dim": 16,
    "training.maximum_minutes": "null",
    "training.actors": 1,
    "training.episodes_per_actor": 2,
    "training.sessions_per_step": 2,
    "training.replayed_sessions_per_step": 0,
    "training.steps_per_round": 1,
    "training.head_start_steps": 1,
    "training.unroll_batch": 8,
    "training.action_value_roots": 8,
    "training.selection_sessions": 10,
    "training.checkpoint_every_episodes": 2,
    "training.checkpoint_minimum_seconds": 0,
    "trading.search.simulations": 2,
    "validation.quick_sessions": 4,
    "validation.monte_carlo_runs": 50,
    "validation.permutations": 99,
    # The trainer stays alive at its limit; afterwards the cores belong to validator and trader.
    "process_limits.maximum_episodes": 4,
    "process_limits.heartbeat_seconds": 1,
    "live.status_seconds": 60,
}


class Up:
    """`swt up` in a process of its own, and what it says."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.lines: list[str] = []
        sets = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
        ports = ["--trainer-port", "0", "--validator-port", "0", "--live-port", "0"]
        market = ["--practice-mode", "accelerated", "--practice-speed", "60"]
        command = ["up", "--profile", "demo", "--state-dir", str(root), *ports, *market, *sets]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "swt_cli.main", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("SWT_BROKER")},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.seen: dict[int, psutil.Process] = {}

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip() for line in self.process.stdout)

    def status(self) -> InstallationStatus:
        return read_status(self.workspace, CLOCK)

    def family(self) -> list[psutil.Process]:
        """All processes that were ever seen under it and live."""
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self.seen.setdefault(child.pid, child)
        return [p for p in self.seen.values() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        pause, end_s = threading.Event(), CLOCK.monotonic_s() + LIMIT_S
        while not condition():
            said = "\n".join(self.lines[-40:])
            assert CLOCK.monotonic_s() < end_s, f"not reached: {what}\n{said}"
            assert self.process.poll() is None or what.startswith("end"), f"it ended before: {what}\n{said}"
            self.family()
            pause.wait(0.2)

    def pid(self, name: str) -> int | None:
        return next((d.pid for d in self.status().daemons if d.name == name), None)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for process in self.family():
            process.kill()
        self._reader.join(timeout=5)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "state")
    yield made
    made.close()


@pytest.mark.timeout(600)
def test_everything_runs_survives_a_crash_and_stops_cleanly(up: Up) -> None:
    def running(name: str) -> bool:
        return any(d.name == name and d.state is DaemonState.RUNNING for d in up.status().daemons)

    def live_says(condition: Callable[[InstallationStatus], bool]) -> bool:
        status = up.status()
        return status.live is not None and condition(status)

    up.until("the trader waits for a person", lambda: live_says(lambda s: not s.live.started))  # type: ignore[union-attr]
    raise_flag(up.workspace.live_state / "START_TRADING")
    up.until("a checkpoint", lambda: up.status().training.checkpoints > 0)
    up.until("a verdict", lambda: up.status().verdict is not None)
    up.until("the trader decides", lambda: live_says(lambda s: s.live.decisions > 0))  # type: ignore[union-attr]
    assert all(running(name) for name in ("trainer", "validator", "live", "practice"))
    assert not [alarm for alarm in up.status().alarms if "silent" in alarm.text]

    first = up.pid("live")
    broker = up.pid("practice")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    up.until("the killed trader is back", lambda: up.pid("live") not in (None, first) and running("live"))
    up.until("it reconciles", lambda: live_says(lambda s: s.live.reconciled))  # type: ignore[union-attr]
    assert up.pid("practice") == broker

    up.process.send_signal(signal.SIGINT)
    up.until("end", lambda: up.process.poll() is not None)
    assert up.process.returncode == 0, "\n".join(up.lines[-40:])
    assert not up.family()
    stopped = [line.split()[0] for line in up.lines if line.endswith("● stopped")]
    assert stopped[0] == "live"
    assert stopped[-1] == "practice"
    assert sum("ended with SIGKILL" in line for line in up.lines) == 1

    shown = subprocess.run(
        [sys.executable, "-m", "swt_cli.main", "status", "--json", "--state-dir", up.workspace.root],
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(shown.stdout)
    assert {d["name"]: d["state"] for d in document["daemons"]}["trainer"] == "stopped"
    assert document["verdict"]["decision"] in ("TEST", "IMPROVE", "REJECT")
