"""``status.json``: what the trader is doing, for everybody who cannot read its journal."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swt_core.calendar import is_open
from swt_core.position import ACTION_NAMES, TROUGH
from swt_core.state import StateRecord
from swt_live.trade_window import RECENT_TRADES, WINDOW_S, trade_window
from swt_live.trader import LiveTrader

STATUS_FILE = "status.json"
SPREAD_BARS = 60
# One failed query is no news; two position checks in a row are.
_BROKER_LOST_S = 60.0


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
    win_loss_ratio: float | None = Field(None, description="average win over average loss, last 20 trades")
    winning_streak: int = 0
    losing_streak: int = 0
    mean_mae_pips: float | None = Field(None, description="mean largest open loss of the last 20 trades")
    trades_6h: int = Field(0, description="closed in the last six hours")
    profit_factor_6h: float | None = None
    mae_pips: float = Field(0.0, description="largest open loss of the present position")
    time_in_position_s: float = 0.0
    broker_units: int | None = Field(None, description="what the broker said last that it holds")
    broker_lost_s: float | None = Field(None, description="since when it does not say what it holds")
    oldest_undecided_s: float | None = Field(None, description="age of the oldest undecided order")
    unexplained_trades: int = Field(0, description="positions that vanished without a fill")
    slippage_pips: float | None = Field(None, description="mean of the last 20 own fills")
    slippage_over_model_pips: float | None = Field(None, description="the same less trading.slippage_pips")
    spread_pips: float | None = Field(None, description="spread of the last quote")
    spread_over_model_pips: float | None = Field(
        None, description="mean of the last 60 bars less data.spread_pips"
    )
    account_currency: str | None = None
    account_balance: float | None = None
    account_nav: float | None = None
    account_margin_used: float | None = None
    disk_free_bytes: int | None = Field(None, description="free where the journal lies")
    disk_low: bool = Field(False, description="too little to go on writing; entries stop")
    replay_checked: int = Field(0, description="decisions computed again from the journal")
    replay_disagreements: int = Field(0, description="of these, those that came out otherwise")
    shadow_name: str | None = Field(None, description="the candidate that trades on paper")
    shadow_sha256: str | None = Field(None, description="it must not be deleted either")
    shadow_refusal: str | None = Field(None, description="why no candidate trades on paper")
    shadow_units: int = 0
    shadow_trades: int = 0
    shadow_realised_pips: float = 0.0
    shadow_drawdown_pips: float = 0.0
    shadow_compared: int = Field(0, description="bars on which trader and candidate both decided")
    shadow_disagreements: int = Field(0, description="of these, bars with different actions")
    reconnects: int = 0
    gaps: int = 0
    gaps_recovered: int = 0
    closes_corrected: int = 0


def live_status(trader: LiveTrader) -> LiveStatus:
    """What `trader` is doing now."""
    parts, memory, feed = trader.parts, trader.safety.memory, trader.feed
    now_s = parts.clock.time_s()
    holding, point, model = trader.book.holding, trader.last_point, trader.models.model
    recent = parts.journal.last_trades(RECENT_TRADES)
    window = trade_window(recent, parts.journal.trades(now_s - WINDOW_S))
    undecided = trader.executor.undecided
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
        undecided_orders=len(undecided),
        oldest_undecided_s=max((now_s - intent.written_s for intent in undecided), default=None),
        trades=parts.journal.trade_count(),
        win_rate=window.win_rate,
        win_loss_ratio=window.win_loss_ratio,
        profit_factor=window.profit_factor,
        winning_streak=window.winning_streak,
        losing_streak=window.losing_streak,
        mean_mae_pips=window.mae_pips,
        trades_6h=window.trades_6h,
        profit_factor_6h=window.profit_factor_6h,
        mae_pips=float(-trader.book.row[TROUGH]),
        time_in_position_s=0.0 if holding is None else max(0.0, now_s - holding.entry_time_s),
        broker_units=trader.desk.broker_units,
        broker_lost_s=trader.desk.broker_lost_s,
        unexplained_trades=parts.journal.unexplained_trades(),
        disk_low=trader.desk.disk_low,
        **_costs(trader),
        **_account(trader),
        **_shadow(trader),
        **_replay(trader),
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


def _costs(trader: LiveTrader) -> dict[str, Any]:
    """Slippage and spread beside those that training and verdict assumed."""
    config, quote = trader.parts.config, trader.feed.last_quote()
    slippages = trader.parts.journal.last_slippages(RECENT_TRADES)
    mean = sum(slippages) / len(slippages) if slippages else None
    spread = trader.window.mean_spread_pips(SPREAD_BARS)
    pip = trader.parts.instrument.points_per_pip
    return {
        "slippage_pips": mean,
        "slippage_over_model_pips": None if mean is None else mean - config.trading.slippage_pips,
        "spread_pips": None if quote is None else (quote[1] - quote[0]) / pip,
        "spread_over_model_pips": None if spread is None else spread - config.data.spread_pips,
    }


def _account(trader: LiveTrader) -> dict[str, Any]:
    account = trader.reconciler.account
    if account is None:
        return {}
    return {
        "account_currency": account.currency,
        "account_balance": float(account.balance),
        "account_nav": float(account.nav),
        "account_margin_used": float(account.margin_used),
    }


def _shadow(trader: LiveTrader) -> dict[str, Any]:
    shadow = trader.parts.shadow
    if shadow is None:
        return {}
    memory = shadow.memory
    return {
        "shadow_name": memory.model_name or None,
        "shadow_sha256": memory.model_hash or None,
        "shadow_refusal": shadow.refusal or None,
        "shadow_units": shadow.book.units,
        "shadow_trades": memory.trades,
        "shadow_realised_pips": memory.realised_pips,
        "shadow_drawdown_pips": memory.drawdown_pips,
        "shadow_compared": memory.compared,
        "shadow_disagreements": memory.disagreed,
    }


def _replay(trader: LiveTrader) -> dict[str, Any]:
    check = trader.parts.self_check
    if check is None:
        return {}
    return {"replay_checked": check.counts.checked, "replay_disagreements": check.counts.disagreed}


def unwell(status: LiveStatus, *, disk_well: bool, feed_needed: bool) -> tuple[str, ...]:
    """Why the trader is not healthy: feed, broker, reconciliation and disk, one sentence each."""
    found = []
    if not disk_well:
        found.append("the journal cannot be written")
    if status.disk_low:
        found.append("too little disk is free: no entries")
    if status.broker_lost_s is not None and status.time_s - status.broker_lost_s > _BROKER_LOST_S:
        found.append("the broker does not say what it holds")
    if not status.reconciled:
        found.append("broker and journal have not been reconciled")
    if feed_needed and status.market_open and status.feed_stale:
        found.append("the price feed is stale")
    if status.undecided_orders:
        found.append(f"{status.undecided_orders} orders are undecided")
    return tuple(found)
