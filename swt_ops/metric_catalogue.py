"""Every metric that trainer, validator and live trader serve; run as a module it prints tables.

The registries are those of the daemons, filled by the same code, without anything running.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry

from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.metrics import metrics_registry, register_state
from swt_core.pool import SerialPool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory

SERVICES: Final = ("trainer", "validator", "live")
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}
# Labels of families that have no sample yet.
_LABELS: Final = {
    "swt_live_broker_request_seconds": ("operation",),
    "swt_live_broker_requests": ("operation", "outcome"),
    "swt_live_alerts": ("channel", "outcome"),
    "swt_live_skipped_decisions": ("reason",),
    "swt_live_vetoed_entries": ("reason",),
    "swt_live_state": ("state",),
}


@dataclass(frozen=True)
class Metric:
    """One metric by the name that a query uses; histograms also have ``_bucket``, ``_sum``, ``_count``."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series."""
        if self.kind != "histogram":
            return (self.name,)
        return tuple(f"{self.name}{part}" for part in ("_bucket", "_sum", "_count"))


def served_metrics(service: str) -> tuple[Metric, ...]:
    """What ``service`` (one of `SERVICES`) serves at ``/metrics``."""
    registry = metrics_registry(service)
    with TemporaryDirectory() as directory:
        state = StateDirectory(directory)
        register_state(registry, state, ManualClock(0.0))
        _FILL[service](registry, state)
        return tuple(
            Metric(
                family.name + _SUFFIXES.get(family.type, ""),
                family.type,
                family.documentation,
                _labels(family.name, [sample.labels for sample in family.samples]),
            )
            for family in registry.collect()
        )


def shared_metrics() -> tuple[Metric, ...]:
    """What all of them serve."""
    registry = metrics_registry("any")
    register_state(registry, StateDirectory("."), ManualClock(0.0))
    names = {family.name + _SUFFIXES.get(family.type, "") for family in registry.collect()}
    return tuple(metric for metric in served_metrics("validator") if metric.name in names)


def table(metrics: tuple[Metric, ...]) -> str:
    """The metrics as a Markdown table."""
    rows = ["| metric | kind | meaning |", "|---|---|---|"]
    for metric in metrics:
        labels = f"{{{','.join(f'{label}=' for label in metric.labels)}}}" if metric.labels else ""
        rows.append(f"| `{metric.name}{labels}` | {metric.kind} | {metric.help} |")
    return "\n".join(rows)


def _labels(family: str, samples: list[dict[str, str]]) -> tuple[str, ...]:
    if family in _LABELS:
        return _LABELS[family]
    return tuple(dict.fromkeys(label for sample in samples for label in sample if label != "le"))


def _fill_trainer(registry: CollectorRegistry, state: StateDirectory) -> None:
    from swt_training.gauges import register_gauges
    from swt_training.metrics import TrainingMetrics

    clock = ManualClock(0.0)
    process = ManagedProcess("trainer", SWTConfig().process_limits, state, clock)
    register_gauges(registry, process, clock, Path(state.path), SerialPool())
    TrainingMetrics(state, registry).close()


def _fill_validator(registry: CollectorRegistry, _: StateDirectory) -> None:
    from swt_validation.metrics import ValidatorMetrics

    ValidatorMetrics(registry)


def _fill_live(registry: CollectorRegistry, _: StateDirectory) -> None:
    from swt_live.limit_metrics import register_limits
    from swt_live.metrics import LiveMetrics

    register_limits(registry, SWTConfig())
    LiveMetrics(registry)


_FILL: Final[dict[str, Callable[[CollectorRegistry, StateDirectory], None]]] = {
    "trainer": _fill_trainer,
    "validator": _fill_validator,
    "live": _fill_live,
}


if __name__ == "__main__":
    shared = shared_metrics()
    print(f"## All daemons\n\n{table(shared)}")
    for service in SERVICES:
        own = tuple(metric for metric in served_metrics(service) if metric not in shared)
        print(f"\n## {service}\n\n{table(own)}")
