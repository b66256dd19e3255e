"""Gauges that show a field of the live status as it is: field, metric, help."""

from __future__ import annotations

from typing import Final

GAUGES: Final = {
    # Feed
    "tick_age_s": ("swt_live_feed_tick_age_seconds", "Seconds since the last price"),
    "feed_stale": ("swt_live_feed_stale", "1 while nothing is heard from the price stream"),
    "reconnects": ("swt_live_feed_connects", "Price streams opened since the start"),
    "gaps": ("swt_live_feed_gaps", "Stretches the stream did not see"),
    "gaps_recovered": ("swt_live_feed_gaps_recovered", "Stretches filled from candles"),
    "closes_corrected": ("swt_live_closes_corrected", "Bars whose close the candles corrected"),
    # Position and profit
    "units": ("swt_live_position_units", "Signed units held"),
    "equity_pips": ("swt_live_open_equity_pips", "Open profit at the last bar's close"),
    "mae_pips": ("swt_live_open_mae_pips", "Largest open loss of the present position"),
    "mean_mae_pips": ("swt_live_mae_pips", "Mean largest open loss of the last 20 trades"),
    "time_in_position_s": ("swt_live_time_in_position_seconds", "Age of the present position, 0 when flat"),
    "realised_pips": ("swt_live_realised_pips", "Profit of all closed trades"),
    "realised_today_pips": ("swt_live_realised_today_pips", "Profit of the trading day's closed trades"),
    "drawdown_pips": ("swt_live_drawdown_pips", "Distance from the highest equity"),
    "trades": ("swt_live_trades", "Closed trades in the journal"),
    "unexplained_trades": ("swt_live_unexplained_trades", "Positions that vanished without a fill"),
    "win_rate": ("swt_live_win_rate", "Share of winners among the last 20 trades"),
    "win_loss_ratio": ("swt_live_win_loss_ratio", "Average win over average loss of the last 20 trades"),
    "profit_factor": ("swt_live_profit_factor", "Profit factor of the last 20 trades"),
    "winning_streak": ("swt_live_winning_streak_trades", "Winners in a row up to now, 20 at most"),
    "losing_streak": ("swt_live_losing_streak_trades", "Losers in a row up to now, 20 at most"),
    "trades_6h": ("swt_live_trades_6h", "Trades closed in the last six hours"),
    "profit_factor_6h": ("swt_live_profit_factor_6h", "Profit factor of the last six hours' trades"),
    # Orders and costs
    "undecided_orders": ("swt_live_undecided_orders", "Orders whose outcome is unknown"),
    "oldest_undecided_s": (
        "swt_live_oldest_undecided_order_seconds",
        "Age of the oldest order whose outcome is unknown, NaN without one",
    ),
    "slippage_pips": ("swt_live_slippage_pips", "Mean slippage of the last 20 own fills"),
    "slippage_over_model_pips": (
        "swt_live_slippage_over_model_pips",
        "Mean slippage of the last 20 own fills less trading.slippage_pips",
    ),
    "spread_pips": ("swt_live_spread_pips", "Spread of the last quote"),
    "spread_over_model_pips": (
        "swt_live_spread_over_model_pips",
        "Mean closing spread of the last 60 bars less data.spread_pips",
    ),
    # Safety
    "violations": ("swt_live_safety_violations", "Safety violations of the trading day"),
    "started": ("swt_live_started", "1 while START_TRADING is there"),
    "emergency": ("swt_live_emergency_stop", "1 while EMERGENCY_STOP is there"),
    "market_open": ("swt_live_market_open", "1 while the market trades"),
    "reconciled": ("swt_live_reconciled", "1 while broker and journal agree"),
    # Account and disk
    "account_balance": ("swt_live_account_balance", "Balance in the account's currency"),
    "account_nav": ("swt_live_account_nav", "Net asset value in the account's currency"),
    "account_margin_used": ("swt_live_account_margin_used", "Margin in use in the account's currency"),
    "disk_free_bytes": ("swt_live_disk_free_bytes", "Free where the journal lies"),
    "disk_low": ("swt_live_disk_low", "1 while too little is free to make entries"),
    # Model
    "replay_checked": ("swt_live_replay_checks", "Decisions computed again from the journal"),
    "replay_disagreements": ("swt_live_replay_disagreements", "Of these, those that came out otherwise"),
    "shadow_units": ("swt_live_shadow_position_units", "Signed units the candidate holds on paper"),
    "shadow_trades": ("swt_live_shadow_trades", "Closed paper trades of the candidate"),
    "shadow_realised_pips": ("swt_live_shadow_realised_pips", "Profit of the candidate's paper trades"),
    "shadow_drawdown_pips": ("swt_live_shadow_drawdown_pips", "Its distance from its highest equity"),
    "shadow_compared": ("swt_live_shadow_compared_decisions", "Bars both decided on"),
    "shadow_disagreements": ("swt_live_shadow_disagreements", "Of these, bars with different actions"),
}
