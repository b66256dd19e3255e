"""Metrics: each documented name is served, each served name is documented, and each has help and a unit."""

from __future__ import annotations

import re

import pytest
from monitoring_files import ROOT

from swt_ops.metric_catalogue import SERVICES, Metric, served_metrics, shared_metrics, table

PAGE = ROOT / "docs" / "monitoring.md"
LIVE_PAGE = ROOT / "docs" / "metrics_live.md"


def own(service: str) -> tuple[Metric, ...]:
    shared = {metric.name for metric in shared_metrics()}
    return tuple(metric for metric in served_metrics(service) if metric.name not in shared)


def section(title: str) -> str:
    return PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0].strip()


def test_the_page_has_the_tables_as_served() -> None:
    assert section("All daemons") == table(shared_metrics())
    for title, service in (("Trainer", "trainer"), ("Validator", "validator")):
        assert section(title).endswith(table(own(service))), "see python -m swt_ops.metric_catalogue"


def test_every_metric_of_the_live_trader_is_on_its_page() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", LIVE_PAGE.read_text(), re.MULTILINE))
    assert rows == {metric.name for metric in served_metrics("live")}


@pytest.mark.parametrize("service", SERVICES)
def test_every_metric_has_help_and_a_name_of_its_area(service: str) -> None:
    prefix = {"trainer": "swt_training_", "validator": "swt_validator_", "live": "swt_live_"}[service]
    for metric in own(service):
        assert len(metric.help) > 5, metric.name
        assert metric.name.startswith(prefix), metric.name
        assert not re.search(r"_(ms|s|minutes|hours|percent|mb)(_total)?$", metric.name), metric.name


@pytest.mark.parametrize("service", SERVICES)
def test_counters_alone_end_with_total(service: str) -> None:
    for metric in served_metrics(service):
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


@pytest.mark.parametrize("service", SERVICES)
def test_every_daemon_tells_memory_processors_heartbeat_and_disk(service: str) -> None:
    assert {metric.name for metric in shared_metrics()} <= {m.name for m in served_metrics(service)}


def test_what_an_operator_needs_of_training_and_validation_is_there() -> None:
    names = {metric.name for service in SERVICES for metric in served_metrics(service)}
    for wanted in (
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "swt_training_episodes_total",
        "swt_training_learner_steps",
        "swt_training_buffer_sessions",
        "swt_training_loss",
        "swt_training_learning_rate",
        "swt_training_rolling_action_share",
        "swt_training_rolling_trades",
        "swt_training_rolling_sqn",
        "swt_training_rolling_expectancy_pips",
        "swt_training_actor_events",
        "swt_training_checkpoint_age_seconds",
        "swt_training_alarm",
        "swt_training_limit_used_ratio",
        "swt_validator_queue",
        "swt_validator_queue_age_seconds",
        "swt_validator_runs_total",
        "swt_validator_duration_seconds",
        "swt_validator_verdicts_total",
        "swt_validator_safe_f",
        "swt_validator_last_verdict_time_seconds",
        "swt_validator_failures_total",
    ):
        assert wanted in names, wanted
