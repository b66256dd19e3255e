"""Prometheus metrics of the live trader; names are stable, units are in the names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from swt_core.position import ACTION_NAMES
from swt_live.decider import DecisionPoint
from swt_live.safety import TradingState
from swt_live.status import LiveStatus

_LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

# Gauges that show a number of the status as it is.
_GAUGES = {
    "tick_age_s": ("swt_live_feed_tick_age_seconds", "Seconds since the last price"),
    "units": ("swt_live_position_units", "Signed units held"),
    "equity_pips": ("swt_live_open_equity_pips", "Open profit at the last bar's close"),
    "realised_pips": ("swt_live_realised_pips", "Profit of all closed trades"),
    "realised_today_pips": ("swt_live_realised_today_pips", "Profit of the trading day's closed trades"),
    "drawdown_pips": ("swt_live_drawdown_pips", "Distance from the highest equity"),
    "violations": ("swt_live_safety_violations", "Safety violations of the trading day"),
    "undecided_orders": ("swt_live_undecided_orders", "Orders whose outcome is unknown"),
    "trades": ("swt_live_trades", "Closed trades in the journal"),
    "win_rate": ("swt_live_win_rate", "Share of winners among the last 20 trades"),
    "profit_factor": ("swt_live_profit_factor", "Profit factor of the last 20 trades"),
    "reconnects": ("swt_live_feed_connects", "Price streams opened since the start"),
    "gaps": ("swt_live_feed_gaps", "Stretches the stream did not see"),
    "gaps_recovered": ("swt_live_feed_gaps_recovered", "Stretches filled from candles"),
    "closes_corrected": ("swt_live_closes_corrected", "Bars whose close the candles corrected"),
    "started": ("swt_live_started", "1 while START_TRADING is there"),
    "emergency": ("swt_live_emergency_stop", "1 while EMERGENCY_STOP is there"),
    "market_open": ("swt_live_market_open", "1 while the market trades"),
    "reconciled": ("swt_live_reconciled", "1 while broker and journal agree"),
    "feed_stale": ("swt_live_feed_stale", "1 while nothing is heard from the price stream"),
}


class LiveMetrics:
    """Feeds a registry from status and decisions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            field: Gauge(name, text, registry=registry) for field, (name, text) in _GAUGES.items()
        }
        self._state = Gauge("swt_live_state", "1 for the present state", ["state"], registry=registry)
        self._since_reconciliation = Gauge(
            "swt_live_since_reconciliation_seconds",
            "Seconds since broker and journal agreed",
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
        self._skipped = Gauge(
            "swt_live_skipped_decisions", "Decisions not taken", ["reason"], registry=registry
        )

    def on_decision(self, point: DecisionPoint) -> None:
        """Count a decision."""
        self._decisions.labels(ACTION_NAMES[point.decision.action]).inc()
        self._confidence.observe(point.decision.confidence)
        self._latency.observe(point.decision.latency_ms / 1000.0)

    def show(self, status: LiveStatus) -> None:
        """Show a status; what is undefined is NaN."""
        for field, gauge in self._gauges.items():
            value = getattr(status, field)
            gauge.set(float("nan") if value is None else float(value))
        for state in TradingState:
            self._state.labels(state.value).set(float(state.value == status.state))
        since_s = float("nan") if status.reconciled_s is None else status.time_s - status.reconciled_s
        self._since_reconciliation.set(since_s)
        for reason, count in status.skipped.items():
            self._skipped.labels(reason.split(":")[0]).set(count)
