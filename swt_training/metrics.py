"""Training metrics: ``metrics.jsonl``, TensorBoard and Prometheus from one record a round."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from torch.utils.tensorboard import SummaryWriter

from swt_core.errors import StateError
from swt_core.logs import get_logger
from swt_core.state import StateDirectory
from swt_training.metric_names import FIGURES, undefined_in

METRICS_FILE = "metrics.jsonl"

_log = get_logger(__name__)


class TrainingMetrics:
    """Writes each round's figures to every place that shows them.

    Names are ``area/figure`` with units in the figure; Prometheus calls them as `metric_names` says, and
    shows those without a value, not yet or no longer, as NaN (alarms: 0).
    """

    def __init__(self, state: StateDirectory, registry: CollectorRegistry) -> None:
        self._state = state
        self._gauges = _gauges(registry)
        self._writer: SummaryWriter | None = None

    def write(self, step: int, time_s: float, figures: dict[str, float]) -> None:
        """One record; ``step`` is the number of searched episodes. A full disk is logged, not raised."""
        for name, value in figures.items():
            if name in self._gauges:
                self._gauges[name].set(value)
        for name in undefined_in(figures, self._gauges):
            self._gauges[name].set(float("nan"))
        try:
            self._state.append(METRICS_FILE, {"episode": step, "time_s": time_s, **figures}, durable=False)
            if self._writer is None:
                self._writer = SummaryWriter(str(Path(self._state.path) / "tensorboard"), flush_secs=30)
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step, walltime=time_s)
        except (StateError, OSError) as error:
            _log.error("metrics not written", error=str(error))
            # A writer that failed once fails for ever: the next record begins a new file.
            self.close()

    def close(self) -> None:
        """Flush what can be flushed."""
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.close()
        except OSError as error:
            _log.error("metrics not flushed", error=str(error))


def _gauges(registry: CollectorRegistry) -> dict[str, Gauge]:
    """The gauge of each figure, label included."""
    metrics: dict[str, Gauge] = {}
    found = {}
    for figure, shown in FIGURES.items():
        labels = () if shown.label is None else (shown.label,)
        if shown.metric not in metrics:
            metrics[shown.metric] = Gauge(shown.metric, shown.help, labels, registry=registry)
        gauge = metrics[shown.metric]
        found[figure] = gauge if shown.label is None else gauge.labels(shown.value)
        found[figure].set(0.0 if figure.startswith("Alarm/") else float("nan"))
    return found
