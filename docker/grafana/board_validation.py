"""Dashboard of the validator."""

from __future__ import annotations

from panels import BLUE, GREEN, RED, TEXT, YELLOW, Dashboard, Panel, Query, Row, stat

NOW = Row(
    "Now",
    (
        stat("Validator", "Whether it answers.", 'up{job="validator"}', base=TEXT,
             mappings={"0": ("DOWN", RED), "1": ("up", GREEN)}),
        stat("Last verdict", "DEPLOY may trade; REJECT is the expected one on real bars.",
             "swt_validator_last_decision == 1", legend="{{decision}}", names=True, base=BLUE),
        stat("Its age", "Verdicts expire, after 30 days by default.",
             "time() - swt_validator_last_verdict_time_seconds", "s",
             steps=((2160000, YELLOW), (2592000, RED))),
        stat("Score", "Composite score, 0 to 100.", "swt_validator_score", decimals=1, base=RED,
             steps=((40, YELLOW), (70, GREEN))),
        stat("Safe-f", "Largest safe fraction.", "swt_validator_safe_f", decimals=3, base=BLUE),
        stat("At work", "A checkpoint is being judged.", "swt_validator_running", base=TEXT,
             mappings={"0": ("no", BLUE), "1": ("yes", GREEN)}),
        stat("Queue", "Checkpoints waiting.", "swt_validator_queue", steps=((10, YELLOW),)),
        stat("Failures", "Since the start.", "swt_validator_failures_total", steps=((1, RED),)),
    ),
)  # fmt: skip

VERDICTS = Row(
    "Verdicts",
    (
        Panel("Verdicts by decision", "Since the start.",
              (Query("sum by (decision) (swt_validator_verdicts_total)", "{{decision}}"),), stack="normal",
              decimals=0, minimum=0),
        Panel("Verdicts by level", "Since the start.",
              (Query("sum by (level) (swt_validator_verdicts_total)", "{{level}}"),), stack="normal",
              decimals=0, minimum=0),
        Panel("Score", "Of the last verdict.", (Query("swt_validator_score", "score"),), minimum=0,
              maximum=100),
        Panel("Expectancy", "Mean profit of a trade, pips.",
              (Query("swt_validator_expectancy_pips", "expectancy"),), unit="suffix: pips"),
        Panel("SQN", "Trades capped at 100.", (Query("swt_validator_sqn", "SQN"),)),
        Panel("p-value", "Of the expectancy; beneath the line luck is unlikely.",
              (Query("swt_validator_p_value", "p"),), minimum=0, maximum=1, base=GREEN,
              steps=((0.05, RED),), lines=True),
        Panel("Safe-f and drawdown", "Largest safe fraction; largest drawdown, share of equity.",
              (Query("swt_validator_safe_f", "safe-f"),
               Query("swt_validator_max_drawdown_share", "drawdown")), width=12, minimum=0),
        Panel("Trades", "Closed trades that were judged; DEPLOY needs 100.",
              (Query("swt_validator_trades", "trades"),), decimals=0, minimum=0, steps=((100, GREEN),),
              base=YELLOW, lines=True, width=12),
    ),
)  # fmt: skip

WORK = Row(
    "Work",
    (
        Panel("Queue", "Checkpoints waiting.", (Query("swt_validator_queue", "waiting"),), decimals=0,
              minimum=0, width=6),
        Panel("Age of the oldest that waits", "Since it was made; 6 hours are an alert.",
              (Query("swt_validator_queue_age_seconds", "age"),), unit="s", minimum=0, width=6,
              steps=((21600, RED),), lines=True),
        Panel("Time of a validation", "Median and 95th percentile of a day.",
              tuple(
                  Query(f"histogram_quantile({q}, sum by (le) "
                        "(rate(swt_validator_duration_seconds_bucket[1d])))", name)
                  for q, name in ((0.5, "median"), (0.95, "95 %"))
              ), unit="s", minimum=0, width=6),
        Panel("Begun, failed, unreadable", "Since the start.",
              (Query("sum(swt_validator_runs_total)", "begun"),
               Query("swt_validator_failures_total", "failed"),
               Query("swt_validator_unreadable_total", "looks at broken files")), decimals=0, minimum=0,
              width=6),
        Panel("At work", "When checkpoints were judged.", (Query("swt_validator_running", "judging"),),
              kind="state-timeline", base=TEXT, width=24, height=5,
              mappings={"0": ("idle", TEXT), "1": ("judging", BLUE)}),
    ),
)  # fmt: skip

VALIDATION = Dashboard(
    "swt-validation",
    "SWT validation",
    "What was judged, how, what waits.",
    (NOW, VERDICTS, WORK),
    period="now-24h",
)
