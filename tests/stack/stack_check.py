"""The container stack for real: build, train, judge, trade, kill each container, go on. `make test-stack`.

Needs a Docker engine with Compose (DOCKER_HOST); one without bridge networks is used through the host's
loopback. Takes some minutes, removes what it made, and ends with 1 at the first sentence that is not true.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "swt-stack-test"
DAEMONS = {
    "trainer": "swt_training_container",
    "validator": "swt_validation_container",
    "live": "swt_live_trading",
    "data": "swt_data",
    "practice": "swt_practice",
}
BESIDE = {
    "prometheus": "swt_prometheus",
    "alertmanager": "swt_alertmanager",
    "grafana": "swt_grafana",
    "tensorboard": "swt_tensorboard",
    "dashboard": "swt_dashboard",
}
SETTINGS = {
    # A synthetic market with a known edge, a training of minutes, and trading without a DEPLOY verdict at the
    # embedded broker alone.
    "SWT_PROFILE": "demo",
    "PRACTICE_MODE": "accelerated",
    "PRACTICE_SPEED": "30",
    "SWT_TAG": "stack-test",
    "TRAINER_CPUS": "2",
}
_LISTENING = ("PROMETHEUS_HOST", "ALERTMANAGER_HOST", "GRAFANA_HOST", "TENSORBOARD_HOST", "DASHBOARD_HOST")
SLIM_BASE_BYTES = 130_000_000
LARGEST_IMAGE_BYTES = 1_800_000_000
_CUDA = "import torch; print(torch.version.cuda)"
LOOPBACK = dict.fromkeys(_LISTENING, "127.0.0.1")


class Stack:
    """Compose in one project with the test's settings."""

    def __init__(self, directory: Path) -> None:
        self.begun = time.monotonic()
        networks = run("docker", "network", "ls", "--format", "{{.Name}}").split()
        host = "bridge" not in networks
        settings = SETTINGS | (LOOPBACK if host else {})
        cores = os.cpu_count() or 1
        settings["TRAINER_CPUS"] = str(min(cores, int(settings["TRAINER_CPUS"])))
        env_file = directory / "stack.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        files = ["docker-compose.yml", "tests/stack/small.yml"]
        files += ["tests/stack/host-network.yml"] if host else []
        self.compose_words = ["docker", "compose", "-p", PROJECT, "--env-file", str(env_file)]
        for file in files:
            self.compose_words += ["-f", str(ROOT / file)]
        version = run("docker", "version", "-f", "{{.Server.Version}}")
        self.say(f"engine {version}, {'host' if host else 'bridge'} network")

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun:5.0f} s] {text}", flush=True)

    def compose(self, *words: str) -> str:
        return run(*self.compose_words, *words)

    def until(self, what: str, true: Callable[[], Any], within_s: float) -> Any:
        """Wait until ``true`` gives something; look every two seconds."""
        end, error = time.monotonic() + within_s, ""
        while time.monotonic() < end:
            try:
                if found := true():
                    self.say(what)
                    return found
            except (subprocess.CalledProcessError, OSError, ValueError, KeyError) as problem:
                error = f": {problem} {getattr(problem, 'stderr', '') or ''}"
            time.sleep(2.0)
        raise AssertionError(f"not within {within_s:.0f} s: {what}{error}")

    def services(self) -> dict[str, str]:
        """The containers of this stack: service → name."""
        known = {**DAEMONS, **BESIDE}
        return {name: known[name] for name in self.compose("config", "--services").split()}

    def all_healthy(self, within_s: float = 240.0) -> None:
        names = self.services().values()
        self.until(
            f"{len(names)} containers are healthy",
            lambda: all(health(n) == "healthy" for n in names),
            within_s,
        )


def run(*words: str, timeout_s: float = 900.0) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT)
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-4000:])
        done.check_returncode()
    return done.stdout.strip()


def inspect(name: str, what: str) -> str:
    return run("docker", "inspect", "-f", f"{{{{{what}}}}}", name)


def health(name: str) -> str:
    return inspect(name, ".State.Health.Status")


def execute(name: str, *words: str) -> str:
    return run("docker", "exec", name, *words)


def swt_json(name: str, *words: str) -> dict[str, Any]:
    """What a command of the product prints as JSON inside a container; alarms (1) are no failure here."""
    done = subprocess.run(
        ["docker", "exec", name, "swt", *words, "--json"], capture_output=True, text=True, check=False
    )
    return dict(json.loads(done.stdout))


def python(name: str, code: str) -> Any:
    """What Python code prints as JSON inside a container."""
    return json.loads(execute(name, "python", "-c", code))


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.loads(response.read())


def checkpoints() -> list[str]:
    code = "import json, pathlib; p = pathlib.Path('/workspace/checkpoints'); "
    return list(
        python(
            DAEMONS["trainer"], code + "print(json.dumps(sorted(x.name for x in p.glob('*.safetensors'))))"
        )
    )


def best() -> str | None:
    code = "import json, pathlib; p = pathlib.Path('/workspace/checkpoints/best.json'); "
    return python(DAEMONS["trainer"], code + "print(p.read_text() if p.exists() else 'null')")


def ledger() -> list[str]:
    code = "import json, pathlib; p = pathlib.Path('/workspace/validation_state/ledger.jsonl'); "
    return list(
        python(
            DAEMONS["validator"], code + "print(json.dumps(p.read_text().splitlines() if p.exists() else []))"
        )
    )


def episodes() -> int:
    """Episodes that the trainer's metrics tell of; the file is appended to and never begins again."""
    code = (
        "import json, pathlib; p = pathlib.Path('/workspace/training_state/metrics.jsonl'); "
        "print(len(p.read_text().splitlines()) if p.exists() else 0)"
    )
    return int(python(DAEMONS["trainer"], code))


def fills() -> list[str]:
    """Ids of the fills in the practice account's own log, over its API."""
    code = (
        "import json, os, urllib.request as r; "
        "from swt_ops.container import adopt_stack_variables as a; a(os.environ); "
        "account = os.environ['SWT_LIVE__BROKER_URL'] + '/v3/accounts/101-001-0000001-001'; "
        "base = account + '/transactions/sinceid?id=1'; "
        "q = r.Request(base, headers={'Authorization': 'Bearer ' + os.environ['SWT_BROKER_TOKEN']}); "
        "t = json.loads(r.urlopen(q, timeout=10).read())['transactions']; "
        "print(json.dumps([x['id'] for x in t if x['type'] == 'ORDER_FILL']))"
    )
    return list(python(DAEMONS["live"], code))


def journal_fills() -> int:
    code = (
        "import json, sqlite3; "
        "c = sqlite3.connect('file:/workspace/live_state/journal.db?mode=ro', uri=True); "
        "print(json.dumps(c.execute('SELECT COUNT(*) FROM trades').fetchone()[0]))"
    )
    return int(python(DAEMONS["live"], code))


def remembered() -> dict[str, Any]:
    """What must survive whatever happens to a process."""
    return {
        "best": best(),
        "rounds": episodes(),
        "ledger": ledger(),
        "fills": fills(),
        "trades": journal_fills(),
    }


def require_nothing_lost(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert after["best"] is not None
    assert after["rounds"] >= before["rounds"], "the trainer began anew"
    assert after["ledger"][: len(before["ledger"])] == before["ledger"], "the ledger lost trials"
    assert after["fills"][: len(before["fills"])] == before["fills"], "the practice account lost fills"
    assert after["trades"] >= before["trades"], "the journal lost trades"


def agreed() -> bool:
    """Whether the trader and its broker agree on what is held."""
    status = swt_json(DAEMONS["live"], "live", "status")
    return bool(status["reconciled"] and status["undecided_orders"] == 0 and status["started"])


def kill_each(stack: Stack) -> None:
    for service, name in stack.services().items():
        before, pid = remembered(), int(inspect(name, ".State.Pid"))
        count = int(inspect(name, ".RestartCount"))
        os.kill(pid, signal.SIGKILL)
        stack.until(
            f"{service}: process killed, container started again and healthy",
            lambda name=name, pid=pid, count=count: (
                int(inspect(name, ".RestartCount")) > count
                and int(inspect(name, ".State.Pid")) not in (0, pid)
                and health(name) == "healthy"
            ),
            240.0,
        )
        stack.until(f"{service}: trader and broker agree", agreed, 120.0)
        require_nothing_lost(before, remembered())


def check(stack: Stack) -> None:
    stack.compose("config", "-q")
    stack.compose("build")
    size = int(inspect("swt:stack-test", ".Size"))
    base = int(inspect("python:3.11-slim-bookworm", ".Size"))
    stack.say(f"image built: {size / 1e9:.2f} GB, of it {base / 1e9:.2f} GB the base")
    cuda = run(
        "docker", "run", "--rm", "--network", "none", "--entrypoint", "python", "swt:stack-test", "-c", _CUDA
    )
    # Whatever else a base image here carries, the published slim one has 0.13 GB.
    if cuda == "None":
        assert size - base + SLIM_BASE_BYTES < LARGEST_IMAGE_BYTES, "the image is too large"
    stack.compose("up", "-d")
    stack.all_healthy()
    for port in (8080, 8081, 8082):
        fetch(f"http://127.0.0.1:{port}/health")
    targets = "http://127.0.0.1:9090/api/v1/query?query=up"
    stack.until(
        "Prometheus scrapes all three daemons",
        lambda: (
            {r["metric"]["job"] for r in fetch(targets)["data"]["result"] if r["value"][1] == "1"}
            >= {"trainer", "validator", "live"}
        ),
        90.0,
    )
    stack.until("a best checkpoint", best, 420.0)
    stack.until("a verdict", ledger, 420.0)
    execute(DAEMONS["live"], "touch", "/workspace/live_state/START_TRADING")
    stack.until("the practice account has fills", fills, 300.0)
    stack.until("the journal has a closed trade", journal_fills, 300.0)
    kill_each(stack)

    before = remembered()
    stack.compose("restart")
    stack.all_healthy()
    stack.until("after `restart` trader and broker agree", agreed, 120.0)
    require_nothing_lost(before, remembered())

    before = remembered()
    stack.compose("down")
    stack.compose("up", "-d")
    stack.all_healthy()
    stack.until("after `down` and `up` trader and broker agree", agreed, 120.0)
    require_nothing_lost(before, remembered())

    execute(DAEMONS["live"], "rm", "/workspace/live_state/START_TRADING")
    stack.until(
        "START_TRADING removed: flat and no longer started",
        lambda: (s := swt_json(DAEMONS["live"], "live", "status"))["started"] is False and s["units"] == 0,
        120.0,
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            stack.compose("down", "-v", "--remove-orphans")
            check(stack)
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            print(run(*stack.compose_words, "ps", "-a"), file=sys.stderr)
            for name in DAEMONS.values():
                logs = subprocess.run(
                    ["docker", "logs", "--tail", "15", name], capture_output=True, text=True, check=False
                )
                print(f"--- {name}\n{logs.stdout}{logs.stderr}", file=sys.stderr)
            return 1
        finally:
            if not os.environ.get("KEEP_STACK"):
                stack.compose("down", "-v", "--remove-orphans", "-t", "20")
        stack.say("the stack does what it should")
    return 0


if __name__ == "__main__":
    sys.exit(main())
