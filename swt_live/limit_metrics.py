"""The configured limits as metrics, so that alert rules and charts follow the configuration."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from swt_core.config import SWTConfig


def register_limits(registry: CollectorRegistry, config: SWTConfig) -> None:
    """Show the limits that trading is held to."""
    safety, trading, live = config.trading_safety, config.trading, config.live
    limits = {
        "position_limit_units": ("trading_safety.max_position_units", safety.max_position_units),
        "drawdown_limit_pips": ("trading_safety.max_drawdown_pips", safety.max_drawdown_pips),
        "daily_loss_limit_pips": ("trading_safety.max_daily_loss_pips", safety.max_daily_loss_pips),
        "slippage_limit_pips": ("trading_safety.max_slippage_pips", safety.max_slippage_pips),
        "minimum_confidence": ("trading.minimum_confidence", trading.minimum_confidence),
        "feed_stale_after_seconds": ("live.stale_after_seconds", live.stale_after_seconds),
        "reconcile_interval_seconds": ("live.reconcile_minutes, in seconds", live.reconcile_minutes * 60.0),
    }
    for name, (text, value) in limits.items():
        Gauge(f"swt_live_{name}", text, registry=registry).set(float(value))
