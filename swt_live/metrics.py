"""Prometheus metrics of the live trader; names are stable, units in the names; see `docs/metrics_live.md`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from swt_broker.observer import RequestSeen
from swt_core.position import ACTION_NAMES
from swt_live.decider import DecisionPoint
from swt_live.ledger import LedgerEvent
from swt_live.metric_names import GAUGES
from swt_live.reconciler import Drift, Reconciliation
from swt_live.safety import TradingState
from swt_live.status import LiveStatus

_LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLIPPAGE_BUCKETS_PIPS = (-5.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
_DEPTH_BUCKETS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_TRIGGERS = ("start", "reconnect", "order", "periodic", "duty", "position check")


class LiveMetrics:
    """Feeds a registry from status, decisions, reconciliations, fills and requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {field: Gauge(name, text, registry=registry) for field, (name, text) in GAUGES.items()}
        # Before the first status nothing is known; a 0 would read as an empty account.
        for gauge in self._gauges.values():
            gauge.set(float("nan"))
        self._state = Gauge("swt_live_state", "1 for the present state", ["state"], registry=registry)
        self._since_reconciliation = Gauge(
            "swt_live_since_reconciliation_seconds",
            "Seconds since broker and journal agreed",
            registry=registry,
        )
        self._units_apart = Gauge(
            "swt_live_broker_minus_local_units",
            "Units the broker said last that it holds, less those of the book",
            registry=registry,
        )
        self._decisions = Counter("swt_live_decisions", "Decisions by action", ["action"], registry=registry)
        self._confidence = Histogram(
            "swt_live_confidence",
            "Visit share of the searched action",
            buckets=[i / 10 for i in range(1, 11)],
            registry=registry,
        )
        self._latency = Histogram(
            "swt_live_decision_seconds", "Time of a search", buckets=_LATENCY_BUCKETS_S, registry=registry
        )
        self._depth = Histogram(
            "swt_live_search_depth",
            "Deepest node of a search, in steps",
            buckets=_DEPTH_BUCKETS,
            registry=registry,
        )
        self._skipped = Gauge(
            "swt_live_skipped_decisions", "Decisions not taken", ["reason"], registry=registry
        )
        self._vetoes = Gauge("swt_live_vetoed_entries", "Entries not made", ["reason"], registry=registry)
        self._reconciliations = Counter(
            "swt_live_reconciliations",
            "Comparisons of broker and journal by cause and result",
            ["trigger", "result"],
            registry=registry,
        )
        self._reconciliation_seconds = Histogram(
            "swt_live_reconciliation_seconds",
            "Time of a comparison of broker and journal",
            buckets=_REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._discrepancies = Counter(
            "swt_live_discrepancies",
            "Positions of the broker that the log did not explain, by kind",
            ["kind"],
            registry=registry,
        )
        self._slippage = Histogram(
            "swt_live_fill_slippage_pips",
            "How much worse than the price at sending own orders filled",
            buckets=_SLIPPAGE_BUCKETS_PIPS,
            registry=registry,
        )
        self._requests = Counter(
            "swt_live_broker_requests",
            "Requests to the broker by endpoint and outcome (ok, 4xx, 429, 5xx, no_answer)",
            ["operation", "outcome"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "swt_live_broker_request_seconds",
            "Time of a request to the broker",
            ["operation"],
            buckets=_REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._alerts = Counter(
            "swt_live_alerts",
            "Alerts by channel and what became of them (sent, failed, suppressed)",
            ["channel", "outcome"],
            registry=registry,
        )
        # Absent series are no alarm: what may stay at zero for weeks is there from the start.
        for action in ACTION_NAMES:
            self._decisions.labels(action)
        for trigger in _TRIGGERS:
            for result in ("ok", "failed"):
                self._reconciliations.labels(trigger, result)
        for drift in Drift:
            if drift is not Drift.NONE:
                self._discrepancies.labels(drift.value)

    def on_decision(self, point: DecisionPoint) -> None:
        """Count a decision."""
        self._decisions.labels(ACTION_NAMES[point.decision.action]).inc()
        self._confidence.observe(point.decision.confidence)
        self._latency.observe(point.decision.latency_ms / 1000.0)
        self._depth.observe(point.decision.max_depth)

    def on_reconciled(self, result: Reconciliation) -> None:
        """Count a comparison of broker and journal."""
        self._reconciliations.labels(result.trigger, "ok" if result.ok else "failed").inc()
        self._reconciliation_seconds.observe(result.seconds)
        if result.drift is not Drift.NONE:
            self._discrepancies.labels(result.drift.value).inc()

    def on_fill(self, event: LedgerEvent) -> None:
        """Count an own fill."""
        self._slippage.observe(event.slippage_pips)

    def on_request(self, request: RequestSeen) -> None:
        """Count a request to the broker."""
        self._requests.labels(request.operation, request.outcome).inc()
        self._request_seconds.labels(request.operation).observe(request.seconds)

    def on_alert(self, channel: str, outcome: str) -> None:
        """Count an alert."""
        self._alerts.labels(channel, outcome).inc()

    def show(self, status: LiveStatus) -> None:
        """Show a status; what is undefined is NaN."""
        for field, gauge in self._gauges.items():
            gauge.set(_number(getattr(status, field)))
        for state in TradingState:
            self._state.labels(state.value).set(float(state.value == status.state))
        since_s = float("nan") if status.reconciled_s is None else status.time_s - status.reconciled_s
        self._since_reconciliation.set(since_s)
        apart = None if status.broker_units is None else status.broker_units - status.units
        self._units_apart.set(_number(apart))
        for reason, count in status.skipped.items():
            self._skipped.labels(reason.split(":")[0]).set(count)
        for reason, count in status.vetoes.items():
            self._vetoes.labels(reason.split(":")[0]).set(count)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
