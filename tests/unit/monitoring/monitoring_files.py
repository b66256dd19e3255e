"""The committed monitoring files, parsed; and the tools of Prometheus, where there are any."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from swt_ops.metric_catalogue import SERVICES, served_metrics

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "docker" / "prometheus"
ALERTMANAGER = ROOT / "docker" / "alertmanager"
GRAFANA = ROOT / "docker" / "grafana"
# What Prometheus and the Alertmanager know about themselves and their targets.
FOREIGN = frozenset(
    {
        "up",
        "ALERTS",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "prometheus_tsdb_head_series",
        "prometheus_rule_evaluation_failures_total",
        "alertmanager_notifications_total",
        "alertmanager_notifications_failed_total",
    }
)
_WORDS = frozenset(["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "offset", "bool"])


def rules() -> list[dict[str, Any]]:
    """Every alert rule, with ``file`` and ``group``."""
    found = []
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            found += [rule | {"file": path.stem, "group": group["name"]} for rule in group["rules"]]
    return found


def dashboards() -> dict[str, dict[str, Any]]:
    """The committed dashboards by file name."""
    return {
        path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
    }


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels, rows left out."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def metrics_in(expr: str) -> set[str]:
    """Names of metrics that a PromQL expression selects."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    names = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)(?!\w)(?!\s*\()", bare)
    return {name for name in names if name not in _WORDS}


def labels_of(expr: str) -> list[tuple[str, str]]:
    """Pairs of metric and label that it selects by."""
    found = []
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
        found += [(name, label) for label in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers)]
    return found


@cache
def exported() -> dict[str, set[str]]:
    """Labels of every series that a daemon serves, by name."""
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        for metric in served_metrics(service):
            for series in metric.series:
                found[series] = set(metric.labels) | ({"le"} if series.endswith("_bucket") else set())
    return found


def tool(name: str) -> str:
    """A binary of Prometheus; skips the test without it."""
    beside = os.environ.get("SWT_PROMTOOL")
    places = [shutil.which(name), str(Path(beside).parent / name) if beside else None]
    for found in places:
        if found and Path(found).exists():
            return found
    pytest.skip(f"no {name}: put it on the PATH, or name promtool in SWT_PROMTOOL")


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a tool."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environ)
