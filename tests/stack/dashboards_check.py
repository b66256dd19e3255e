"""Runs each panel's query of each dashboard against a real Prometheus that scrapes real daemons.

``make test-dashboards``: practice server, trainer, validator and live trader run on a demonstration market,
Prometheus (and the Alertmanager, where there is one) with the rules of ``docker/prometheus``, until a verdict
is there and trades are closed; then every query is asked as an instant and as a range, and every rule must
evaluate. Ends with 1 where a panel has no data, 77 without a Prometheus binary (`PATH`, or the directory of
`SWT_PROMTOOL`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from swt_ops.stack import free_port

ROOT: Final = Path(__file__).parents[2]
DASHBOARDS: Final = ROOT / "docker" / "grafana" / "dashboards"
MARKET_SECONDS_A_SECOND: Final = 60
CHART_SECONDS: Final = 300.0
# What a run of minutes may leave undefined (NaN), and why.
MAY_BE_UNDEFINED: Final = {
    "swt_live_oldest_undecided_order_seconds": "there is no order of unknown outcome",
    "swt_live_profit_factor": "no loss yet: infinite, or no trade",
    "swt_live_win_loss_ratio": "no loss yet",
    "swt_training_rolling_confidence": "sessions of the first rounds were not searched",
}
# All of this has happened before the panels are asked.
READY: Final = {
    "a verdict on trades": "max_over_time(swt_validator_expectancy_pips[10m]) > -1e9",
    "a selection": "swt_training_selection_pips_per_session > -1e9",
    "a checkpoint": "swt_training_checkpoint_age_seconds",
    "self-play": "swt_training_rolling_trades > 0",
    "closed trades": "swt_live_trades > 1",
    "decisions": "sum(swt_live_decisions_total) > 20",
    "a replayed decision": "swt_live_replay_checks > 0",
    "rates": "count_over_time(swt_live_decision_seconds_count[10m]) > 10",
}


@dataclass(frozen=True)
class Answer:
    """What Prometheus said to one query: series now, points of the last minutes, and how many are numbers."""

    board: str
    panel: str
    expr: str
    series: int
    numbers: int
    points: int
    error: str | None = None

    @property
    def excuse(self) -> str | None:
        """Why the figure may be undefined."""
        return next((why for name, why in MAY_BE_UNDEFINED.items() if name in self.expr), None)

    @property
    def well(self) -> bool:
        """Series came, over time too, and are numbers, or may be undefined."""
        has_data = not self.error and self.series > 0 and self.points > 0
        return has_data and (self.numbers > 0 or self.excuse is not None)


class Prometheus:
    """Its HTTP API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=20.0)

    def ask(self, path: str, **parameters: Any) -> Any:
        """The ``data`` of an answer; raises `ValueError` with Prometheus' own words."""
        body = self._client.get(f"/api/v1/{path}", params=parameters).json()
        if body["status"] != "success":
            raise ValueError(body["error"])
        return body["data"]

    def instant(self, expr: str) -> list[float]:
        """Values of the series of ``expr`` now; a scalar is one series."""
        found = self.ask("query", query=expr)
        if found["resultType"] == "scalar":
            return [float(found["result"][1])]
        return [float(series["value"][1]) for series in found["result"]]

    def chart(self, expr: str, seconds: float) -> list[float]:
        """Values that a chart over the last ``seconds`` would show."""
        end = time.time()
        found = self.ask("query_range", query=expr, start=end - seconds, end=end, step=15)
        return [float(value) for series in found["result"] for _, value in series["values"]]


def queries(folder: Path = DASHBOARDS) -> Iterator[tuple[str, str, str]]:
    """Dashboard, panel and expression of each query, Grafana's variables replaced as it would."""
    for path in sorted(folder.glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield board["title"], panel["title"], target["expr"].replace("$__rate_interval", "1m")


def examine(prometheus: Prometheus, board: str, panel: str, expr: str) -> Answer:
    """Ask one query both ways."""
    try:
        values = prometheus.instant(expr)
        charted = prometheus.chart(expr, CHART_SECONDS)
    except (ValueError, httpx.HTTPError) as error:
        return Answer(board, panel, expr, series=0, numbers=0, points=0, error=str(error))
    numbers = sum(map(math.isfinite, (*values, *charted)))
    return Answer(board, panel, expr, series=len(values), numbers=numbers, points=len(charted))


def binary(name: str) -> Path | None:
    """A tool of Prometheus: on the path, or beside ``SWT_PROMTOOL``."""
    beside = os.environ.get("SWT_PROMTOOL")
    candidates = [shutil.which(name), str(Path(beside).parent / name) if beside else None]
    return next((Path(found) for found in candidates if found and Path(found).exists()), None)


@contextmanager
def process(
    command: list[str], log: Path, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` as long as the block; ended with it, at last killed."""
    with log.open("w") as out:
        started = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environ, cwd=ROOT)
        try:
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(60)
            except subprocess.TimeoutExpired:
                started.kill()


def write_configuration(folder: Path, targets: dict[str, int]) -> Path:
    """The product's own configuration with targets of this machine and a faster pace."""
    found = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
    found["global"] = {"scrape_interval": "5s", "evaluation_interval": "5s"}
    found["rule_files"] = [str(ROOT / "docker" / "prometheus" / "rules" / "*.yml")]
    manager = f"127.0.0.1:{targets['alertmanager']}"
    found["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [manager]
    for job in found["scrape_configs"]:
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{targets[job['job_name']]}"]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(found))
    return path


# Small enough that everything happens within minutes on two busy cores; nothing of worth is learned.
SMALL: Final = {
    "data.market_days": 250,
    "model.hidden_dim": 32,
    "training.maximum_minutes": 60,
    "training.head_start_steps": 2,
    "training.sessions_per_step": 4,
    "training.steps_per_round": 2,
    "training.action_value_roots": 32,
    "training.actors": 1,
    "training.episodes_per_actor": 8,
    "training.selection_sessions": 10,
    "training.checkpoint_minimum_seconds": 20,
    "trading.minimum_confidence": 0,
    "trading.search.simulations": 8,
    "validation.level": "QUICK",
    "validation.quick_sessions": 10,
    "validation.monte_carlo_runs": 50,
    "validation.permutations": 99,
    "live.status_seconds": 60,
    "live.replay_every_decisions": 3,
}


def stack_command(state: Path, ports: dict[str, int]) -> list[str]:
    """`swt up` on a demonstration market whose time runs fast."""
    return [
        *(sys.executable, "-m", "swt_cli.main", "up", "--profile", "demo", "--state-dir", str(state)),
        *("--practice-mode", "accelerated", "--practice-speed", str(MARKET_SECONDS_A_SECOND)),
        *("--trainer-port", str(ports["trainer"]), "--validator-port", str(ports["validator"])),
        *("--live-port", str(ports["live"])),
        *(part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")),
    ]


def wait_until_ready(
    prometheus: Prometheus, stack: subprocess.Popen[bytes], flag: Path, limit_s: float
) -> list[str]:
    """Wait for `READY` as long as the stack runs; returns what has not come.

    An agent may hold a position for hours: stopping (``flag`` goes) closes it, and makes a trade of it.
    """
    end = time.monotonic() + limit_s
    missing = list(READY)
    while missing and time.monotonic() < end and stack.poll() is None:
        time.sleep(5.0)
        try:
            missing = [name for name in missing if not prometheus.instant(READY[name])]
            held = bool(prometheus.instant("swt_live_position_units != 0"))
        except httpx.HTTPError:
            continue
        if held and missing == ["closed trades"]:
            flag.unlink(missing_ok=True)
        else:
            flag.touch()
        waited_s = limit_s - (end - time.monotonic())
        print(f"{waited_s:4.0f} s, waiting for: {', '.join(missing) or 'nothing'}", flush=True)
    return missing


def check(limit_s: float, keep: bool) -> tuple[list[Answer], list[str], list[str]]:
    """Run everything; returns answers, what did not happen in time, and rules that do not evaluate."""
    prometheus_binary = binary("prometheus")
    assert prometheus_binary is not None
    manager = binary("prometheus-alertmanager") or binary("alertmanager")
    names = ("trainer", "validator", "live", "prometheus", "alertmanager")
    ports = {name: free_port() for name in names}
    folder = Path(tempfile.mkdtemp(prefix="swt-dashboards-"))
    with ExitStack() as stack:
        if not keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        state = folder / "state"
        up = stack.enter_context(process(stack_command(state, ports), folder / "up.log"))
        if manager is not None:
            environ = os.environ | {
                "ALERTMANAGER": str(manager),
                "ALERTMANAGER_TEMPLATES": str(ROOT / "docker" / "alertmanager"),
                "ALERTMANAGER_SECRETS": str(folder),
                "ALERTMANAGER_MADE": str(folder / "alertmanager.yml"),
            }
            command = ["sh", str(ROOT / "docker" / "alertmanager" / "start.sh")]
            command += [f"--storage.path={folder / 'am'}", "--cluster.listen-address="]
            command += [f"--web.listen-address=127.0.0.1:{ports['alertmanager']}"]
            stack.enter_context(process(command, folder / "alertmanager.log", environ))
        command = [str(prometheus_binary), f"--config.file={write_configuration(folder, ports)}"]
        command += [f"--storage.tsdb.path={folder / 'tsdb'}"]
        command += [f"--web.listen-address=127.0.0.1:{ports['prometheus']}"]
        stack.enter_context(process(command, folder / "prometheus.log"))
        (state / "live_state").mkdir(parents=True, exist_ok=True)
        flag = state / "live_state" / "START_TRADING"
        flag.touch()
        prometheus = Prometheus(f"http://127.0.0.1:{ports['prometheus']}")
        missing = wait_until_ready(prometheus, up, flag, limit_s)
        if up.poll() is not None:
            missing.append(f"`swt up` ended: {(folder / 'up.log').read_text()[-500:]}")
        answers = [examine(prometheus, *query) for query in queries()]
        groups = prometheus.ask("rules")["groups"]
        broken = [f"{rule['name']}: {rule['lastError']}" for group in groups for rule in group["rules"]
                  if rule["health"] != "ok"]  # fmt: skip
        firing = sorted({alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]})
        print(f"alerts on or pending: {', '.join(firing) or 'none'}")
        if not any(group["rules"] for group in groups):
            broken.append("no rules were loaded")
    return answers, missing, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit-seconds", type=float, default=420.0, help="how long to wait for data")
    parser.add_argument("--json", type=Path, help="write all answers here")
    parser.add_argument("--keep", action="store_true", help="keep state and logs")
    options = parser.parse_args()
    if binary("prometheus") is None:
        print("no prometheus binary: put it on the PATH, or set SWT_PROMTOOL", file=sys.stderr)
        return 77
    answers, missing, broken = check(options.limit_seconds, options.keep)
    if options.json is not None:
        options.json.write_text(json.dumps([vars(a) | {"well": a.well} for a in answers], indent=1))
    for answer in answers:
        mark = "ok " if answer.well else "BAD"
        note = answer.error or ("" if answer.numbers else f"undefined: {answer.excuse}")
        print(f"{mark} {answer.board:15} {answer.panel:34} {answer.series:3} series  {note}")
        if not answer.well:
            print(f"      {answer.expr}")
    bad = sum(not answer.well for answer in answers)
    print(f"{len(answers) - bad} of {len(answers)} queries returned data")
    for line in (*(f"did not happen in time: {name}" for name in missing), *broken):
        print(line)
    return 1 if bad or broken or missing else 0


if __name__ == "__main__":
    sys.exit(main())
