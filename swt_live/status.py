"""``status.json``: what the trader is doing, for everybody who cannot read its journal."""

from __future__ import annotations

from pydantic import Field

from swt_core.calendar import is_open
from swt_core.position import ACTION_NAMES
from swt_core.state import StateRecord
from swt_live.trader import LiveTrader

STATUS_FILE = "status.json"
_RECENT_TRADES = 20


class LiveStatus(StateRecord):
    """The live trader at one moment; profits in pips, prices in points."""

    time_s: float = Field(description="market time of the trader's clock, UTC epoch seconds")
    environment: str = Field(description="embedded, practice or live")
    state: str = Field(description="ACTIVE, REDUCING or HALTED")
    halt_reason: str | None = Field(None, description="why no entries are made until a person acts")
    entry_refusal: str | None = Field(None, description="why no entry would be made now")
    started: bool = Field(description="START_TRADING is there")
    emergency: bool = Field(description="EMERGENCY_STOP is there")
    market_open: bool
    reconciled: bool = Field(description="broker and journal agree; without it nothing trades")
    reconciled_s: float | None = Field(None, description="when they last agreed")
    feed_connected: bool
    feed_stale: bool
    tick_age_s: float | None = Field(None, description="age of the last price")
    units: int = Field(description="signed units held")
    entry_points: float | None = None
    equity_pips: float = Field(0.0, description="open profit at the last bar's close")
    realised_pips: float = Field(0.0, description="profit of all closed trades of this journal")
    realised_today_pips: float = 0.0
    drawdown_pips: float = 0.0
    violations: int = 0
    undecided_orders: int = Field(0, description="orders of which nobody knows what became")
    trades: int = 0
    win_rate: float | None = Field(None, description="of the last 20 trades")
    profit_factor: float | None = Field(None, description="of the last 20 trades; inf without a loss")
    model_name: str | None = None
    model_sha256: str | None = Field(None, description="the checkpoint in use: it must not be deleted")
    model_until_s: float | None = Field(None, description="until when its verdict authorises it")
    model_refusals: tuple[str, ...] = Field((), description="why other checkpoints may not trade")
    decisions: int = 0
    last_bar_s: int = 0
    last_action: str | None = None
    last_confidence: float | None = None
    skipped: dict[str, int] = Field(default_factory=dict, description="decisions not taken, by reason")
    vetoes: dict[str, int] = Field(default_factory=dict, description="entries not made, by reason")
    reconnects: int = 0
    gaps: int = 0
    gaps_recovered: int = 0
    closes_corrected: int = 0


def live_status(trader: LiveTrader) -> LiveStatus:
    """What `trader` is doing now."""
    parts, memory, feed = trader.parts, trader.safety.memory, trader.feed
    now_s = parts.clock.time_s()
    holding, point, model = trader.book.holding, trader.last_point, trader.models.model
    trades = parts.journal.trades()
    recent = [trade.pnl_pips for trade in trades[-_RECENT_TRADES:]]
    gains, losses = sum(p for p in recent if p > 0), -sum(p for p in recent if p < 0)
    tick_age_s = feed.tick_age_s()
    return LiveStatus(
        schema_version=1,
        time_s=now_s,
        environment=parts.config.live.environment,
        state=trader.state.value,
        halt_reason=memory.halt_reason,
        entry_refusal=trader.safety.entry_refusal(),
        started=trader.flags.started,
        emergency=trader.flags.emergency,
        market_open=bool(is_open(now_s)),
        reconciled=trader.reconciled,
        reconciled_s=trader.reconciler.last_ok_s,
        feed_connected=feed.connected,
        feed_stale=feed.stale(),
        tick_age_s=tick_age_s if tick_age_s != float("inf") else None,
        units=trader.book.units,
        entry_points=None if holding is None else holding.entry_points,
        equity_pips=trader.book.equity_pips,
        realised_pips=memory.realised_pips,
        realised_today_pips=memory.realised_today_pips,
        drawdown_pips=max(0.0, memory.peak_pips - memory.realised_pips - trader.open_pips()),
        violations=memory.violations,
        undecided_orders=len(trader.executor.undecided),
        trades=len(trades),
        win_rate=sum(p > 0 for p in recent) / len(recent) if recent else None,
        profit_factor=None if not recent else (gains / losses if losses else float("inf")),
        model_name=None if model is None else model.choice.ref.name,
        model_sha256=None if model is None else model.model_hash,
        model_until_s=None
        if model is None or model.choice.verdict is None
        else model.choice.verdict.expires_s,
        model_refusals=trader.models.refusals[:10],
        decisions=trader.counters.decisions,
        last_bar_s=trader.window.last_bar_s,
        last_action=None if point is None else ACTION_NAMES[point.decision.action],
        last_confidence=None if point is None else point.decision.confidence,
        skipped=dict(trader.counters.skipped),
        vetoes=dict(trader.counters.vetoes),
        reconnects=feed.counters.connects,
        gaps=feed.counters.gaps,
        gaps_recovered=feed.counters.gaps_recovered,
        closes_corrected=trader.window.corrections.closes_differ,
    )


def unwell(status: LiveStatus, *, disk_well: bool, feed_needed: bool) -> tuple[str, ...]:
    """Why the trader is not healthy: feed, broker, reconciliation and disk, one sentence each."""
    found = []
    if not disk_well:
        found.append("the journal cannot be written")
    if not status.reconciled:
        found.append("broker and journal have not been reconciled")
    if feed_needed and status.market_open and status.feed_stale:
        found.append("the price feed is stale")
    if status.undecided_orders:
        found.append(f"{status.undecided_orders} orders are undecided")
    return tuple(found)
