"""Dashboard of the live trader."""

from __future__ import annotations

from panels import BLUE, GREEN, RED, TEXT, YELLOW, Dashboard, Panel, Query, Row, stat

YES_GOOD = {"0": ("no", RED), "1": ("yes", GREEN)}
YES_BAD = {"0": ("no", GREEN), "1": ("YES", RED)}


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """Median, 95th and 99th percentile of a histogram over the last hour."""
    group = f"le, {by}" if by else "le"
    return tuple(
        Query(f"histogram_quantile({q}, sum by ({group}) (rate({metric}_bucket[1h])))", name)
        for q, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    )


NOW = Row(
    "Now",
    (
        stat("State", "ACTIVE trades, REDUCING only closes, HALTED waits for a person.",
             "swt_live_state == 1",
             legend="{{state}}", names=True, width=4, base=BLUE),
        stat("Allowed to trade", "START_TRADING is there.", "swt_live_started", base=TEXT,
             mappings={"0": ("no", YELLOW), "1": ("yes", GREEN)}),
        stat("Market", "Whether the market trades.", "swt_live_market_open", base=TEXT,
             mappings={"0": ("closed", BLUE), "1": ("open", GREEN)}),
        stat("Emergency stop", "EMERGENCY_STOP is there: everything is closed, nothing trades.",
             "swt_live_emergency_stop", base=TEXT, mappings=YES_BAD),
        stat("Broker agrees", "Broker and journal agree; without it nothing trades.", "swt_live_reconciled",
             base=TEXT, mappings=YES_GOOD),
        stat("Orders of unknown outcome", "Never sent again; the broker's log is read until they show.",
             "swt_live_undecided_orders", steps=((1, RED),), width=4),
        stat("Safety violations today", "Slippage, size or position beyond a limit.",
             "swt_live_safety_violations", steps=((1, YELLOW), (3, RED)), width=4),
        stat("Position", "Signed units held; the limit is trading_safety.max_position_units.",
             "swt_live_position_units", base=BLUE, width=4),
        stat("Open profit", "At the last bar's close, pips.", "swt_live_open_equity_pips", "suffix: pips",
             decimals=1, base=RED, steps=((-20, YELLOW), (0, GREEN)), width=4),
        stat("Profit today", "Closed trades of the trading day, pips.", "swt_live_realised_today_pips",
             "suffix: pips", decimals=1, base=RED, steps=((-50, YELLOW), (0, GREEN)), width=4),
        stat("Profit", "All closed trades of the journal, pips.", "swt_live_realised_pips", "suffix: pips",
             decimals=1, base=RED, steps=((0, GREEN),), width=4),
        stat("Drawdown used", "Drawdown over the limit that halts entries.",
             "swt_live_drawdown_pips / swt_live_drawdown_limit_pips", "percentunit", decimals=0,
             steps=((0.5, YELLOW), (0.75, RED)), width=4),
        stat("Trades", "Closed trades in the journal.", "swt_live_trades", base=BLUE, width=4),
    ),
)  # fmt: skip

PROFIT = Row(
    "Profit and account",
    (
        Panel("Profit", "Closed trades, and with the open position, pips.",
              (Query("swt_live_realised_pips", "closed"),
               Query("swt_live_realised_pips + swt_live_open_equity_pips", "with the open position")),
              unit="suffix: pips"),
        Panel("Drawdown", "Distance from the highest equity, and the limit that halts entries.",
              (Query("swt_live_drawdown_pips", "drawdown"), Query("swt_live_drawdown_limit_pips", "limit")),
              unit="suffix: pips", minimum=0),
        Panel("Today", "Closed trades of the trading day, and the daily loss limit.",
              (Query("swt_live_realised_today_pips", "today"),
               Query("-swt_live_daily_loss_limit_pips", "limit")), unit="suffix: pips"),
        Panel("Account", "Balance and net asset value in the account's currency.",
              (Query("swt_live_account_balance", "balance"), Query("swt_live_account_nav",
               "net asset value")),
              unit="locale"),
        Panel("Margin used", "Share of the net asset value.",
              (Query("swt_live_account_margin_used / swt_live_account_nav", "margin"),), unit="percentunit",
              minimum=0, steps=((0.5, RED),), lines=True),
        Panel("Position", "Units of the book, and what the broker says it holds more.",
              (Query("swt_live_position_units", "units"),
               Query("swt_live_broker_minus_local_units", "broker − book"),
               Query("swt_live_position_limit_units", "limit")), decimals=0),
    ),
)  # fmt: skip

TRADES = Row(
    "Trades",
    (
        Panel("Win rate", "Share of winners among the last 20 trades.",
              (Query("swt_live_win_rate", "win rate"),), unit="percentunit", minimum=0, maximum=1, width=6),
        Panel("Win over loss", "Average win over average loss, and profit factor, last 20 trades.",
              (Query("swt_live_win_loss_ratio", "win/loss"), Query("swt_live_profit_factor",
               "profit factor")),
              width=6, minimum=0, steps=((1, RED),), lines=True),
        Panel("Streaks", "Winners or losers in a row up to now.",
              (Query("swt_live_winning_streak_trades", "winning"),
               Query("swt_live_losing_streak_trades", "losing")), width=6, decimals=0, minimum=0),
        Panel("Largest open loss", "Mean of the last 20 trades (MAE), and the present position's.",
              (Query("swt_live_mae_pips", "mean of 20"), Query("swt_live_open_mae_pips", "now")),
              unit="suffix: pips", width=6, minimum=0),
        Panel("Time in position", "Age of the present position.",
              (Query("swt_live_time_in_position_seconds", "in position"),), unit="s", width=6, minimum=0),
        Panel("Trades in six hours", "Closed in the last six hours.",
              (Query("swt_live_trades_6h", "trades"),), width=6, decimals=0, minimum=0),
        Panel("Profit factor in six hours", "Wins over losses of the last six hours.",
              (Query("swt_live_profit_factor_6h", "profit factor"),), width=6, minimum=0),
        Panel("Unexplained", "Positions that vanished without a fill; positions the log did not explain.",
              (Query("swt_live_unexplained_trades", "vanished"),
               Query("sum by (kind) (swt_live_discrepancies_total)", "{{kind}}")), width=6, decimals=0,
              minimum=0, steps=((1, RED),), lines=True),
    ),
)  # fmt: skip

DECISIONS = Row(
    "Decisions",
    (
        Panel("Action mix", "Share of each action among the decisions of the last six hours.",
              (Query("sum by (action) (increase(swt_live_decisions_total[6h])) "
                     "/ on() group_left sum(increase(swt_live_decisions_total[6h]))", "{{action}}"),),
              stack="normal", unit="percentunit", minimum=0, maximum=1),
        Panel("Confidence", "Mean visit share of the chosen action over an hour, and the least for entries.",
              (Query("rate(swt_live_confidence_sum[1h]) / rate(swt_live_confidence_count[1h])", "mean"),
               Query("swt_live_minimum_confidence", "least for an entry")), unit="percentunit", minimum=0,
              maximum=1),
        Panel("Unsure decisions", "Share of decisions with a visit share of at most 0.4.",
              (Query('sum(rate(swt_live_confidence_bucket{le="0.4"}[1h])) '
                     "/ sum(rate(swt_live_confidence_count[1h]))", "share"),), unit="percentunit", minimum=0,
              maximum=1),
        Panel("Search time", "Of the last hour's decisions.", quantiles("swt_live_decision_seconds"),
              unit="s",
              minimum=0, steps=((0.1, RED),), lines=True),
        Panel("Search time, all", "Decisions by time.",
              (Query("sum by (le) (increase(swt_live_decision_seconds_bucket[$__rate_interval]))"),),
              kind="heatmap", unit="s"),
        Panel("Search depth", "Mean of the deepest node, and its 95th percentile, in steps.",
              (Query("rate(swt_live_search_depth_sum[1h]) / rate(swt_live_search_depth_count[1h])", "mean"),
               Query("histogram_quantile(0.95, sum by (le) (rate(swt_live_search_depth_bucket[1h])))",
                     "95 %")),
              minimum=0, decimals=1),
        Panel("Not decided",
              "Bars without a decision since the start, by reason; late: the search timed out.",
              (Query("sum by (reason) (swt_live_skipped_decisions) or vector(0)", "{{reason}}"),), decimals=0,
              minimum=0),
        Panel("Entries not made", "Vetoed since the start, by reason.",
              (Query("sum by (reason) (swt_live_vetoed_entries) or vector(0)", "{{reason}}"),), decimals=0,
              minimum=0),
        Panel("Live against replay", "Decisions computed again from the journal, and those that disagreed.",
              (Query("swt_live_replay_checks", "checked"),
               Query("swt_live_replay_disagreements", "disagreed")), decimals=0, minimum=0),
        Panel("Candidate on paper", "Profit and drawdown of the shadow, pips; 0 without one.",
              (Query("swt_live_shadow_realised_pips", "profit"),
               Query("swt_live_shadow_drawdown_pips", "drawdown")), unit="suffix: pips", width=12),
        Panel("Candidate against trader", "Share of the bars on which they would have acted differently.",
              (Query("swt_live_shadow_disagreements / clamp_min(swt_live_shadow_compared_decisions, 1)",
                     "differently"),), unit="percentunit", minimum=0, maximum=1, width=12),
    ),
)  # fmt: skip

BROKER = Row(
    "Broker, orders, costs",
    (
        Panel("Reconciliations that succeed", "Share of the last hour.",
              (Query('sum(rate(swt_live_reconciliations_total{result="ok"}[1h])) '
                     "/ sum(rate(swt_live_reconciliations_total[1h]))", "success"),), unit="percentunit",
              minimum=0, maximum=1),
        Panel("Since reconciliation",
              "Seconds since broker and journal agreed; three intervals are too long.",
              (Query("swt_live_since_reconciliation_seconds", "since"),
               Query("3 * swt_live_reconcile_interval_seconds", "too long")), unit="s", minimum=0),
        Panel("Time of a reconciliation", "Of the last hour.", quantiles("swt_live_reconciliation_seconds"),
              unit="s", minimum=0),
        Panel("Requests", "To the broker, a minute, by outcome.",
              (Query("60 * sum by (outcome) (rate(swt_live_broker_requests_total[$__rate_interval]))",
                     "{{outcome}}"),), unit="reqpm", minimum=0),
        Panel("Failed requests", "A minute, by endpoint; 0 where there were none.",
              (Query('60 * sum by (operation) (rate(swt_live_broker_requests_total{outcome!="ok"}'
                     "[$__rate_interval])) or vector(0)", "{{operation}}"),), unit="reqpm", minimum=0),
        Panel("Broker latency", "95th percentile of an hour, by endpoint.",
              (Query("histogram_quantile(0.95, sum by (le, operation) "
                     "(rate(swt_live_broker_request_seconds_bucket[1h])))", "{{operation}}"),), unit="s",
              minimum=0, steps=((2, RED),), lines=True),
        Panel("Oldest order of unknown outcome", "Nothing without one; above a minute an alert goes out.",
              (Query("swt_live_oldest_undecided_order_seconds", "age"),), unit="s", minimum=0,
              steps=((60, RED),), lines=True),
        Panel("Slippage", "Mean of the last 20 fills, and how much above what training assumed.",
              (Query("swt_live_slippage_pips", "slippage"),
               Query("swt_live_slippage_over_model_pips", "above the model"),
               Query("swt_live_slippage_limit_pips", "violation")), unit="suffix: pips"),
        Panel("Spread", "Of the last quote, and an hour's mean above what training assumed.",
              (Query("swt_live_spread_pips", "spread"),
               Query("swt_live_spread_over_model_pips", "above the model")), unit="suffix: pips"),
        Panel("Fills by slippage", "How much worse than the price at sending own orders filled, pips.",
              (Query("sum by (le) (increase(swt_live_fill_slippage_pips_bucket[1h]))"),), kind="heatmap",
              unit="suffix: pips", width=12),
        Panel("The trader's own alerts", "By channel and what became of them, since the start.",
              (Query("sum by (channel, outcome) (swt_live_alerts_total) or vector(0)",
                     "{{channel}} {{outcome}}"),), decimals=0, minimum=0, width=12),
    ),
)  # fmt: skip

FEED = Row(
    "Feed",
    (
        Panel("Age of the last price", "Seconds; also grows while the market is closed.",
              (Query("swt_live_feed_tick_age_seconds", "age"),), unit="s", minimum=0),
        Panel("Stream", "1 while nothing is heard from it; streams opened since the start.",
              (Query("swt_live_feed_stale", "stale"), Query("swt_live_feed_connects", "opened")), decimals=0,
              minimum=0),
        Panel("Holes", "Stretches the stream did not see, those filled, closes that candles corrected.",
              (Query("swt_live_feed_gaps", "holes"), Query("swt_live_feed_gaps_recovered", "filled"),
               Query("swt_live_closes_corrected", "closes corrected")), decimals=0, minimum=0),
    ),
)  # fmt: skip

LIVE = Dashboard(
    "swt-live",
    "SWT live",
    "Does it trade, is it safe, what does it earn, is the broker well.",
    (NOW, PROFIT, TRADES, DECISIONS, BROKER, FEED),
)
