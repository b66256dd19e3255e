"""Prometheus metrics of the validator; names are stable, units in the names; see `docs/monitoring.md`."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import ValidationError

from swt_core.errors import StateError
from swt_core.verdict import VERDICT_FILE, Decision, Verdict
from swt_validation.ledger import read_ledger
from swt_validation.levels import LEVELS

_NAN = float("nan")


class ValidatorMetrics:
    """What Prometheus sees of the validator; what is undefined is NaN."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.verdicts = Counter(
            "swt_validator_verdicts", "Verdicts reached", ["level", "decision"], registry=registry
        )
        self.runs = Counter("swt_validator_runs", "Validations begun", ["level"], registry=registry)
        self.failures = Counter("swt_validator_failures", "Validations that failed", registry=registry)
        self.unreadable = Counter(
            "swt_validator_unreadable", "Looks at checkpoints/ that met broken files", registry=registry
        )
        self.running = Gauge("swt_validator_running", "1 while a checkpoint is judged", registry=registry)
        self.queue = Gauge("swt_validator_queue", "Checkpoints waiting", registry=registry)
        self.queue_age_s = Gauge(
            "swt_validator_queue_age_seconds", "Age of the oldest checkpoint that waits", registry=registry
        )
        self.duration = Histogram(
            "swt_validator_duration_seconds",
            "Time a validation took",
            registry=registry,
            buckets=(1, 3, 10, 30, 60, 120, 300, 600, 1800),
        )
        self.last_verdict_s = Gauge(
            "swt_validator_last_verdict_time_seconds",
            "When the last verdict was reached, epoch seconds",
            registry=registry,
        )
        self._last_decision = Gauge(
            "swt_validator_last_decision",
            "1 for the last verdict's decision",
            ["decision"],
            registry=registry,
        )

        def last(name: str, text: str) -> Gauge:
            gauge = Gauge(f"swt_validator_{name}", f"{text} of the last verdict", registry=registry)
            gauge.set(_NAN)
            return gauge

        self._score = last("score", "Composite score (0 to 100)")
        self._figures = {
            "safe_f": last("safe_f", "Largest safe fraction"),
            "sqn": last("sqn", "SQN, trades capped at 100,"),
            "expectancy_pips": last("expectancy_pips", "Mean profit of a trade"),
            "trades": last("trades", "Closed trades"),
            "p_value": last("p_value", "p-value of the expectancy"),
            "max_drawdown_share": last("max_drawdown_share", "Largest drawdown, share of equity,"),
        }
        self.last_verdict_s.set(_NAN)
        # What may stay at zero for weeks is there from the start: absent series are no alarm.
        for level in LEVELS:
            self.runs.labels(level)
            for decision in Decision:
                self.verdicts.labels(level, decision.value)
        for decision in Decision:
            self._last_decision.labels(decision.value)

    def show(self, verdict: Verdict) -> None:
        """Show the last verdict."""
        self.last_verdict_s.set(verdict.created_s)
        self._score.set(verdict.score)
        for decision in Decision:
            self._last_decision.labels(decision.value).set(float(decision is verdict.decision))
        for name, gauge in self._figures.items():
            value = getattr(verdict.statistics, name)
            gauge.set(_NAN if value is None else float(value))

    def restore(self, directory: Path) -> None:
        """Show the verdict that the ledger in ``directory`` ends with; nothing where it cannot be read."""
        try:
            trials = [trial for trial in read_ledger(directory) if trial.level in LEVELS]
        except StateError:
            return
        if not trials:
            return
        path = directory / trials[-1].checkpoint_sha256 / trials[-1].level / VERDICT_FILE
        try:
            self.show(Verdict.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            return
